# The boot counter is away for a while: nobody can be heard, and nobody is lost for it.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
? phase ready
@ 20
> counter down
> n1 falls silent
@ 500
? phase ready
= nothing
> counter up
? rung n1 ready
@ 510
> n1 is heard as b1
@ 600
? phase ready
= nothing
# With the counter back, silence counts again.
> n1 falls silent
@ 640
? phase degraded
