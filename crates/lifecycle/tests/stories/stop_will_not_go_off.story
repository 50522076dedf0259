# A machine that will not go off is named; the lab is idle all the same.
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
@ 20
> stop
> sees n2 off
@ 30
= off n1
> done n1
@ 45
= off n1
> fails n1 the relay does not answer
? waits n1 until 48 for the relay does not answer
@ 48
= off n1
> done n1
@ 63
= off n1
> done n1
@ 74
? phase stopping
@ 75
? bad n1
? word n1 bad
? fault n1 power-unseen
? phase idle
@ 1000
= nothing
