# In a ready lab a machine that falls silent is repaired alone, and never wiped.
with machines n1
with talos n1
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
> n1 is known booting
= bootstrap n1
> takes bootstrap n1 well
> cluster uses n1
> n1 is known running with etcd
? phase ready
# A service that starts again takes nobody from the lab.
> n1 is known running with etcd kubelet is not healthy
? rung n1 ready
@ 100
> cluster knows n1 Kubelet stopped posting node status.
? rung n1 joined
? word n1 degraded
? phase degraded
> n1 has no Talos
? rung n1 fetched
? waits n1 until 220 for Talos to answer again
@ 220
? fault n1 agent-lost
= off n1
> done n1
> sees n1 off
= on n1
? answer n1 run with the config that it was given [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/]
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 is known running with etcd
? rung n1 joined
> cluster uses n1
? phase ready
= nothing
