# Nothing is wiped by a request that belongs to no running installation.
with machines n1
with image plain
> counter up
> sees n1 off
> install n1
? told not_installing
> install n9
? told unknown_node
