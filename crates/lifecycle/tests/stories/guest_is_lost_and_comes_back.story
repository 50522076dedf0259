# Its hypervisor starts it again by itself; the cause is kept with the boot that ended.
with machines n1
with runs n1 g1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
= on g1
> done g1
> n1 has g1 running
> g1 takes its address as agent
> g1 reports h1
? phase ready
> n1 has g1 starting because qemu-died it was killed by signal 9
? rung g1 off
? phase degraded
? explain g1 QEMU ended: it was killed by signal 9
? waits g1 for n1 to start it again
= nothing
> n1 has g1 running
? rung g1 fetched
? boots g1 2
= nothing
> g1 takes its address as agent
> g1 reports h2
? phase ready
