# An agent falls silent and is heard again before its machine would be switched.
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
? phase ready
@ 60
? phase ready
> n1 falls silent
@ 89
? rung n1 ready
? phase ready
@ 91
? rung n1 up
? word n1 degraded
? phase degraded
? phase because 1 of 2 machines are ready
? waits n1 until 180 for its agent to be heard again
? word n2 ready
@ 100
> n1 is heard as b1
? rung n1 ready
? phase ready
? rests n1
@ 400
= nothing
