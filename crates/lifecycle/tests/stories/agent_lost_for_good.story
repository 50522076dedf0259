# One machine is lost for good: it alone is switched, and the lab climbs back to ready.
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
> n1 falls silent
@ 179
? phase degraded
? then n1 switch it off and on again, 3 more times
@ 180
? fault n1 agent-lost waited 2 min 0 s for its agent to be heard again
= off n1
? rests n2
> done n1
> sees n1 off
= on n1
? phase degraded
> done n1
> sees n1 on
@ 185
> n1 boots b3
? phase ready
? fault n1 none
? boots n2 1
