# A machine that comes on and goes off again by itself is not switched on for ever.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 5
> sees n1 off
= on n1
> done n1
> sees n1 on
@ 10
> sees n1 off
= on n1
? tries n1 3
> done n1
> sees n1 on
@ 15
> sees n1 off
= nothing
? bad n1
? fault n1 power-unseen went off by itself
? phase failed
