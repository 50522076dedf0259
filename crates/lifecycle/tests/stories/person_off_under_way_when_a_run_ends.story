# A run that ends does not forget what a person wants of a machine outside it.
with machines n1 n2
with scenario small n1
> counter up
> sees n1 off
> sees n2 on
> n2 boots old
> start small
= on n1
> stop
> off n2
? told yes
> done n1
= off n1
> sees n1 on
> done n1
> sees n1 off
? phase idle
? waits n2 for its agent to switch it off
@ 10
= off n2
> done n2
> sees n2 off
