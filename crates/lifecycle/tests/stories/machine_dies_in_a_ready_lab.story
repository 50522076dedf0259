# A machine loses power in a ready lab and climbs alone, behind no gate.
with machines n1 n2 n3
> counter up
> sees n1 off
> sees n2 off
> sees n3 off
> start demo
= on n1, on n2, on n3
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
> done n3
> sees n3 on
> n3 boots b3
? phase ready
@ 100
> sees n2 off
= on n2
? phase degraded
? rung n2 off
? word n1 ready
@ 101
> done n2
> sees n2 on
@ 103
> n2 boots b4
? phase ready
? boots n1 1
? boots n2 2
