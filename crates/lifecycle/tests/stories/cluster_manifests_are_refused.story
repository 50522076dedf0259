# A refusal names its object; it is tried again, later each time. Whoever was asked and fell silent is asked again.
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
> cluster uses n1
= apply
> refuses apply manifest-rejected web.yaml: Deployment web: 422 Invalid: spec.replicas: must be positive
? phase booting
? lab waits for its manifests to be applied, which failed: web.yaml: Deployment web: 422 Invalid: spec.replicas
= nothing
@ 3
= apply
> refuses apply manifest-conflict web.yaml: Deployment web: `kubectl` has set .spec.replicas
= nothing
@ 8
= nothing
@ 9
= apply
> refuses apply cluster-unreachable 10.0.0.11:6443 cannot be reached
@ 20
= nothing
@ 21
= apply
> loses apply
= apply
> takes apply well
> pods 2 of 2
? phase ready
@ 4000
= nothing
