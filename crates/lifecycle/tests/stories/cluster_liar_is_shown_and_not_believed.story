# Whoever has a machine's address can push "running, ready" to the boss. It is shown, and nothing moves by it.
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
> n1 says that it is running
? rung n1 on
> n1 takes its address as ipxe
? rung n1 asked
> n1 says that it is running
? rung n1 asked
> n1 takes its image
> n1 says that it is booting in initialize config
? explain n1 without proof: booting for 0.0 s, in phase config of initialize, ready
> n1 kernel writes [talos] task runningMaintenance (1/1): starting
? explain n1 its kernel wrote last: [talos] task runningMaintenance (1/1): starting
> keeps the secrets
= nothing
> n1 says that it is maintenance
# Not pushed to: the eye has not seen the key it would go to.
= nothing
? rung n1 fetched
? word n1 kernel
? waits n1 for Talos to start and to wait for its config
> n1 says that it is running
? rung n1 fetched
? word n1 kernel
= nothing
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 says that it is running
? rung n1 fetched
? word n1 joining
? waits n1 for Talos to come back with its config
# No control plane has its config, whatever n1 says: n2 gets none, and etcd is not begun.
> n2 takes its address as ipxe
> n2 takes its image
> n2 says that it is running
> n2 waits with key bbb
? waits n2 for a control plane that has its config
= nothing
@ 60
> n1 is known booting etcd is not healthy
= bootstrap n1, push n2
> takes bootstrap n1 well
> n1 says that it is running
> cluster knows n1 container runtime network not ready
? rung n1 joined
> takes push n2 well
> n1 says that it is resetting
? rung n1 joined
> n1 is known running with etcd
> cluster uses n1
? rung n1 ready
# Neither does a lie take a ready machine from the lab.
> n1 says that it is rebooting
? rung n1 ready
? explain n1 known by its identity
? explain n1 it says of itself, without proof: rebooting
= nothing
