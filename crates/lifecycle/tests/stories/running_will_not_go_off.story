# The gate does not wait for ever: who will not go off is bad, and the others climb.
with scenario demo n1 n2 enough 1
> counter up
> sees n1 on
> n1 boots old
> sees n2 off
> start demo
@ 10
= off n1
> done n1
@ 25
= off n1
? fault n1 power-unseen
> done n1
@ 40
= off n1
> done n1
@ 54
? good n1
? phase powering down
? waits n2 for n1 to be seen off
@ 55
? bad n1
? fault n1 power-unseen could not be switched off in 55.0 s
= on n2
? phase booting
> done n2
> sees n2 on
> n2 boots b2
? phase ready
? phase because without n1
