# An image costs power no longer than a loader does: its agent switches the machine off, or its port does.
with parks 60 in images
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
> n1 waits in its image
? word n1 parked
? off-at n1 70
@ 40
> n1 asks its script
@ 70
? word n1 stopping
? order n1 power-off
? waits n1 until 80 for its agent to switch it off
> sees n1 off
? word n1 off
? rests n1
# What cannot be started without firmware is not tried for ever: it says so, and starts again by itself.
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b2 able to kexec
> stop
> n1 waits in its image
> start demo
= nothing
> n1 cannot kexec
> n1 takes its address as pxe
? boots n1 5
> n1 takes its image
> n1 reports b3 able to kexec
? phase ready
? explain n1 kexec failed in boot 4
