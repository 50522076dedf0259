# A control plane and a worker become a cluster: the worker waits for the control plane, etcd is begun once.
with talos n1
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> done n1
> done n2
> sees n1 on
> sees n2 on
? answer n1 run wipes what it finds of itself in this boot [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/ talos.experimental.wipe=system]
> n1 takes its address as ipxe
> n1 takes its image
? rung n1 fetched
? waits n1 for Talos to start and to wait for its config
> n1 waits with key aaa
? rung n1 up
? word n1 maintenance
> n1 says that it is maintenance in initialize config
? bar n1 maintenance it says: in maintenance, phase config
? waits n1 for the cluster's secrets to be made and kept
> keeps the secrets
= push n1
? answer n1 run with the config that it was given [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/]
? answer n2 run wipes
> takes push n1 well
? rung n1 fetched
? word n1 joining
? waits n1 until 1800 for Talos to come back with its config
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
? waits n2 for a control plane that has its config
= nothing
@ 60
> n1 is known booting etcd is not healthy
? rung n1 configured
? bar n1 installing
? bar n1 joining it says: in maintenance
= bootstrap n1, push n2
? waits n1 until 960 for n1 to begin etcd
> takes bootstrap n1 well
? waits n1 for the cluster to know it
> takes push n2 well
> n2 is known booting
> cluster knows n1 container runtime network not ready
? rung n1 joined
? waits n1 for the cluster to give it work (container runtime network not ready)
> n1 is known running with etcd
> cluster uses n1
? rung n1 ready
? word n1 ready
# It started well, and its next start wipes nothing: it may start without the boss, too.
? alone n1 yes
? phase booting
? explain n1 Talos (control plane) is 1.12.11, running, known by its identity
> cluster uses n2
? waits n2 for Talos to be running; it is booting
> n2 is known running
? phase ready
@ 4000
= nothing
? phase ready
# What wipes at its next start may not.
> stop
= off n1, off n2
> done n1
> done n2
> sees n1 off
> sees n2 off
? phase idle
> start demo
? answer n1 run wipes
? alone n1 no
= on n1, on n2, mint
