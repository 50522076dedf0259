# It took the whole image and no agent reported.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 5
> n1 takes its address as ipxe
> n1 takes its image
? rung n1 fetched
? word n1 kernel
@ 124.9
? waits n1 until 125 for its kernel to start
@ 125
? fault n1 kernel-silent last seen: it took the whole image
= off n1
> done n1
> sees n1 off
= on n1
? tries n1 2
