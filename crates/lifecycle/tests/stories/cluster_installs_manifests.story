# The manifests are applied once the machines are there; the lab is ready when their pods are, and a crash is no secret.
with machines n1
with talos n1
with manifests
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
> pods 0 of 2 no other pod of it is there yet
? lab rests
@ 60
> cluster uses n1
= apply
? phase booting
? lab waits until 960 for its manifests to be applied
> takes apply well
? lab waits for 2 more pods of 2: Deployment default/web has 0 of 2, no other pod of it is there yet
> pods 1 of 2 web-b is pending (Unschedulable: 0/1 nodes are available)
? lab waits until 960 for 1 more pod of 2: Deployment default/web has 1 of 2, web-b is pending (Unschedulable
> pods 2 of 2
? phase ready
? phase because 1 of 1 machines are ready, and 2 pods of its manifests are
? lab rests
? writes
> pods on n1 5 of 6 kube-system/dns ends again and again
? explain n1 5 of its 6 pods are ready or done
? explain n1 pod kube-system/dns ends again and again
? writes 0
@ 100
> pods 1 of 2 web-a ends again and again
? phase ready
? lab waits until 130 for 1 more pod of 2
@ 131
? phase degraded
? phase because web-a ends again and again
= nothing
> pods 2 of 2
? phase ready
@ 200
> pods are away it cannot be reached
@ 231
? phase degraded
? phase because the Kubernetes API, which is not heard: it cannot be reached
> pods 2 of 2
? phase ready
= nothing
