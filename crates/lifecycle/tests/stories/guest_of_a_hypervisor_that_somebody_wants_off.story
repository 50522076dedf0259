# Who switches a hypervisor off wants its guests off: they say whom they wait for, and come back with it.
with machines n1
with runs n1 g1
> counter up
> sees n1 off
> start demo
= on n1
? waits g1 for n1, which runs it, to be ready
> done n1
> sees n1 on
> n1 boots b1
? rung n1 ready
= on g1
> done g1
> n1 has g1 running
? rung g1 fetched
> off n1
? order n1 power-off
@ 10
= off n1
> done n1
> sees n1 off
? rung g1 off
? waits g1 for somebody to switch n1 on, which runs it
= nothing
@ 4000
? waits g1 for somebody to switch n1 on, which runs it
= nothing
> on n1
= on n1
? waits g1 for n1, which runs it, to be ready
