# What a guest waits for, and since when, is its own: it is not judged again with each rung of its hypervisor.
with machines n1
with runs n1 g1
> counter up
> sees n1 off
@ 10
> start demo
= on n1
? waits g1 until 130 for n1, which runs it, to be ready
@ 15
> done n1
> sees n1 on
? rung n1 on
? waits g1 until 130 for n1, which runs it, to be ready
> n1 takes its address as ipxe
? rung n1 asked
? waits g1 until 130 for n1, which runs it, to be ready
= nothing
