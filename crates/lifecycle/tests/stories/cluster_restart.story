# The core is killed at the worst moments: nothing is pushed unseen, and etcd is begun on the same machine.
with machines n1 n2
with talos n1 n2
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> restart
> counter up
= mint
> keeps the secrets
> sees n1 on
> sees n2 on
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
= push n2
> restart
> counter up
= nothing
? waits n2 for Talos to come back with its config
> n2 is known booting
= bootstrap n2
> restart
> counter up
= bootstrap n2
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 is known booting
= nothing
> n2 is known booting with etcd
= nothing
> takes bootstrap n2 well
> cluster uses n1
> cluster uses n2
> n1 is known running
> n2 is known running with etcd
? phase ready
