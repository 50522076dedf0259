# A guest waits for its hypervisor, is ordered like any machine, and starts from its hypervisor's store.
with machines n1
with runs n1 g1
> counter up
> sees n1 off
> start demo
= on n1
? waits g1 for n1, which runs it, to be ready
? wish g1 off
> done n1
> sees n1 on
> n1 boots b1
? rung n1 ready
= on g1
? wish g1 on
> done g1
> n1 has g1 fetching
? waits g1 for n1 to have what it boots (n1 says fetching)
= nothing
@ 30
= nothing
> n1 has g1 running
? rung g1 fetched
? word g1 kernel
? tries g1 1
> g1 takes its address as agent
> g1 reports h1
? rung g1 ready
? phase ready
= nothing
# What it says again changes nothing.
> n1 has g1 running
? boots g1 1
> stop
# Its hypervisor switches it off, and goes off itself after it.
= off g1
? wish g1 off
? order g1 stay
? order n1 stay
> done g1
> n1 has g1 off because ordered it was wished off
? rung g1 off
? order n1 power-off
@ 40
= off n1
> done n1
> sees n1 off
? phase idle
