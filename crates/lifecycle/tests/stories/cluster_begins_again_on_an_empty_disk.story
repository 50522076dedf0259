# The whole of a control plane loses its disk, as a guest does with its hypervisor: etcd begins again, and what follows.
with machines n1
with talos n1
with manifests
> counter up
> sees n1 off
> start demo
= on n1, mint
> keeps the secrets
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 is known running
= bootstrap n1
> takes bootstrap n1 well
> n1 is known running with etcd
> cluster uses n1
= apply
> takes apply well
> pods 2 of 2
? phase ready
# Off and on again: it has what it had, and nothing is begun.
@ 100
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 is known booting
= nothing
> n1 is known running with etcd
> cluster uses n1
> pods 2 of 2
? phase ready
= nothing
# With nothing on its disk it asks for a config, and etcd has nothing either.
@ 200
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key bbb
? waits n1 for its next push: it took its config and waits again
@ 240
= push n1
> takes push n1 well
> n1 is known booting
= bootstrap n1
> takes bootstrap n1 well
> n1 is known running with etcd
= apply
> takes apply well
? phase ready
= nothing
