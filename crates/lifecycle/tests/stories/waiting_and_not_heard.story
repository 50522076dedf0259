# A machine that waited in its loader and asks no more may run anything by now: the next start switches it off first.
with machines n1
> counter up
> sees n1 on
> n1 takes its address as ipxe
> n1 asks its script
? word n1 waiting
@ 44
? plan demo release n1
@ 45
? word n1 unknown
? explain n1 asks no more
? plan demo off n1, on n1
? rests n1
> start demo
? phase powering down
= off n1
> done n1
> sees n1 off
= on n1
