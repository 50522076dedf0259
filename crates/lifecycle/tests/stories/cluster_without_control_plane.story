# A worker whose control plane is given up says so.
with talos n1
with limit tries 1
with limit install 100
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> keeps the secrets
> done n1
> done n2
> sees n1 on
> sees n2 on
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
@ 100
? fault n1 config-lost
? bad n1
? fault n2 no-control-plane
? bad n2
? phase failed
