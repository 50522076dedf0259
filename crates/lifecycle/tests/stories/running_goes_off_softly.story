# An agent that obeys spares its machine the hard way.
> counter up
> sees n1 on
> n1 boots old
> sees n2 off
> start demo
? phase powering down
@ 6
> sees n1 off
= on n1, on n2
? phase booting
