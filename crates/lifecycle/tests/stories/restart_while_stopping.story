# The core is started again in the middle of a stop: it goes on stopping, and asks once.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
@ 50
> stop
@ 60
= off n1
@ 61
> restart
? phase stopping
> counter up
> sees n1 on
= nothing
? waits n1 until 76 for it to be seen off
> sees n1 off
? phase idle
