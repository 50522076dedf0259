# Off while "on" is on its way: what a person said last is what happens.
> counter up
> sees n1 off
> on n1
= on n1
@ 1
> off n1
? told yes
# Nothing is asked while the first order is on its way.
= nothing
> sees n1 off
@ 2
> done n1
= off n1
> sees n1 on
> done n1
> sees n1 off
? rests n1
@ 100
= nothing
? word n1 off
