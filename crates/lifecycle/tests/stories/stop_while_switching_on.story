# Stop comes while an order "on" is on its way: the machine comes on, and must go off again.
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
@ 1
> done n2
> stop
# n2's driver said done, n1's has not answered: both may come on any moment.
? phase stopping
= off n2
@ 2
# The drivers look once more before anything changed; that proves nothing.
> sees n1 off
? phase stopping
@ 3
> done n1
= off n1
> sees n1 on
> done n1
> sees n1 off
> sees n2 on
> done n2
> sees n2 off
? phase idle
