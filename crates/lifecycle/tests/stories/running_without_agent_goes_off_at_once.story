# A machine that is on and never asked us for anything runs something we do not know: off with it first.
> counter up
> sees n1 on
> sees n2 off
@ 3600
? rung n1 on
? plan demo off n1, on n1 n2
> start demo
= off n1
? phase powering down
> done n1
> sees n1 off
= on n1, on n2
? phase booting
