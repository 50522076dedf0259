# The endpoint is the address of the second machine: etcd begins there, however early the first is there.
with machines n1 n2
with talos n1 n2
with endpoint 10.0.0.12
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
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 is known booting etcd is not healthy
= nothing
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
= push n2
> takes push n2 well
> n2 is known booting etcd is not healthy
= bootstrap n2
