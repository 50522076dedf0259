# A machine that takes no part is left alone, whatever it does.
with machines n1 n2
with scenario small n1
> counter up
> sees n1 off
> sees n2 on
> start small
= on n1
? answer n2 wait does not use this machine
> n2 takes its address as bios
> n2 asks its script
> done n1
> sees n1 on
> n1 boots b1
? phase ready
@ 2000
> sees n2 off
> stop
@ 2010
= off n1
> done n1
> sees n1 off
? phase idle
