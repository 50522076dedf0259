# The order was done after all, and only the answer was late.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
@ 20
? waits n1 for it to be seen on
> done n1
> sees n1 on
? rung n1 on
> n1 boots b1
? phase ready
? tries n1 0
