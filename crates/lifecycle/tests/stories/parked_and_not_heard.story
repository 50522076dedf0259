# A parked machine is believed for as long as its loader asks. One that does not is switched off, and starts from cold.
with machines n1
with parks 600
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
@ 10
> stop
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 asks its script
@ 30
> n1 asks its script
@ 50
> n1 asks its script
? writes
@ 70
> n1 asks its script
? writes 0
# Nobody is heard while the counter is away, and nobody is missed.
> counter down
@ 200
? word n1 parked
> counter up
@ 244
? word n1 parked
@ 245
= off n1
? word n1 stopping
? explain n1 asks no more
> done n1
> sees n1 off
? rests n1
> start demo
= on n1
