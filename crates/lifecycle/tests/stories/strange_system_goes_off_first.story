# A machine that booted from its own disk asks for an address too; that does not make it a parked one.
> counter up
> sees n1 on
> sees n2 off
> n1 takes its address as system
> start demo
= off n1
? phase powering down
