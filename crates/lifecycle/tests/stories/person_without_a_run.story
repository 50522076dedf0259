# Without a run a machine can be switched all the same, and nothing else is wanted of it.
> counter up
> sees n1 off
> sees n2 off
> off n1
? told already
> on n1
= on n1
? phase idle
> done n1
> sees n1 on
? rests n1
> on n1
? told already
> n1 takes its address as ipxe
> n1 asks its script
? word n1 waiting
@ 3600
= nothing
> off n1
= off n1
> done n1
> sees n1 off
? word n1 off
