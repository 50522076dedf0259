# An agent that was told to stay and does not, one that asks no more, and one that starts again by itself.
with parks 600 in images
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b1 able to kexec
@ 10
> stop
? order n1 park
# It does not stay: its power port, after half a minute.
@ 41
= off n1
> done n1
> sees n1 off
? phase idle
? rests n1
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b2 able to kexec
> stop
> n1 waits in its image
? word n1 parked
@ 60
> n1 asks its script
# It asks no more: whether it waits, nothing tells.
@ 105
= off n1
> done n1
> sees n1 off
? rests n1
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b3 able to kexec
> stop
> n1 waits in its image
? word n1 parked
# Its firmware asks: somebody pressed its button, and nothing would switch it off by itself.
@ 120
> n1 discovers pxe
= off n1
> done n1
> sees n1 off
? rests n1
