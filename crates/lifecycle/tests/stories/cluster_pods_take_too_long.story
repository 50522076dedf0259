# Pods that never come make the lab degraded after `limits.pods`, with the reason; it goes on waiting.
with machines n1
with talos n1
with manifests
with limit pods 120
> counter up
> sees n1 off
> start demo
= on n1, mint
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
> keeps the secrets
= push n1
> takes push n1 well
> n1 is known running
= bootstrap n1
> takes bootstrap n1 well
> n1 is known running with etcd
> cluster uses n1
= apply
> takes apply well
> pods 0 of 1 web-a is pending (Unschedulable: 0/1 nodes are available: 1 Insufficient memory.)
@ 119
? phase booting
@ 121
? phase degraded
? phase because 1 of 1 machines are ready, but it waited 2 min 0 s for 1 more pod of 1: Deployment default/web has 0 of 1, web-a is pending (Unschedulable: 0/1 nodes are available: 1 Insufficient memory.)
? lab waits until 180 for 1 more pod of 1
@ 500
? phase degraded
= nothing
> pods 1 of 1
? phase ready
? lab rests
