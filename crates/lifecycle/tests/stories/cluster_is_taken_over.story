# A cluster that runs is taken over: nothing is switched, begun, pushed or wiped; what is lost later is started again.
with machines n1 n2
with talos n1
> counter up
> sees n1 on
> sees n2 on
> adopts demo
= nothing
? waits n1 for its Talos to answer; a cluster that is taken over is not switched
? answer n1 run the config of the cluster that was taken over [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/]
? phase booting
@ 3600
= nothing
> n2 waits with key bbb
? waits n2 for a config, which a machine of a cluster that was taken over gets by hand
= nothing
> n2 is foreign
? waits n2 for it to show the identity of the cluster that is taken over
@ 7200
= nothing
> n1 is known running with etcd
? rung n1 configured
> cluster uses n1
? rung n1 ready
> n2 is known running
> cluster uses n2
? phase ready
= nothing
> sees n2 off
? phase degraded
= on n2
> done n2
> sees n2 on
> n2 takes its address as ipxe
? answer n2 run the config of the cluster that was taken over [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/]
> n2 takes its image
? waits n2 for Talos to answer again
> n2 is known running
? phase ready
= nothing
