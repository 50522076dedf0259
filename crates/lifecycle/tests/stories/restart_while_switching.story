# The core is started again while an order is on its way: nobody knows, so it looks first.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
@ 1
> restart
= nothing
? waits n1 until 16 for it to be seen on
# The answer to the old core's order reaches nobody.
> counter up
> done n1
> sees n1 on
? rung n1 on
> n1 boots b1
? phase ready
