# Parking is not worth a fight: a machine that does not come to its loader, or leaves it, is left off.
with parks 600
with limit tries 1
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
@ 10
> stop
> sees n1 off
> sees n2 off
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
> n2 takes its address as pxe
> n2 asks its script
? word n2 parked
# A person who wants it off ends it, too.
> off n2
? waits n2 until 20 for its loader to switch it off
> sees n2 off
? rests n2
@ 100
= off n1
> done n1
> sees n1 off
? rests n1
? good n1
? fault n1 none
@ 1000
= nothing
