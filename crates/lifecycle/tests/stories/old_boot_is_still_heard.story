# A machine lost power and climbs again; what the boot before still says keeps nobody alive.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
? heard n1 b1
@ 10
> sees n1 off
= on n1
? heard n1 none
> done n1
> sees n1 on
> n1 boots b2
> n1 is heard as b1
@ 50
? rung n1 up
? phase degraded
