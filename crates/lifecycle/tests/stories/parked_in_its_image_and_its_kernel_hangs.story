# A kernel that was started by kexec and never speaks: cold from then on, until a person switches the machine.
with parks 1800 in images
with machines n1
with limit start 60
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
? phase idle
? word n1 parked
> start demo
= nothing
> n1 takes its image
> n1 starts its kernel
? rung n1 fetched
@ 70
? fault n1 kernel-silent
? word n1 stopping
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b2 able to kexec
? phase ready
? explain n1 kexec failed in boot 2
? explain n1 it boots cold until a person
# It is not asked to stay again.
@ 80
> stop
? order n1 power-off
> sees n1 off
? phase idle
= nothing
? rests n1
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b3 able to kexec
> stop
> sees n1 off
# A person who switches it may have seen to it.
> on n1
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 asks its script
> start demo
= nothing
> n1 takes its image
> n1 reports b4 able to kexec
> stop
? order n1 park
> n1 waits in its image
? word n1 parked
