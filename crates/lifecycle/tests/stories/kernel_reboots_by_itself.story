# An image whose kernel panics and starts again, and again: that is not climbing, it ends after the tries.
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
? tries n1 1
@ 30
> n1 takes its address as ipxe
> n1 takes its image
? boots n1 2
? tries n1 2
@ 60
> n1 takes its address as ipxe
> n1 takes its image
? tries n1 3
? good n1
@ 90
> n1 takes its address as ipxe
? bad n1
? fault n1 kernel-silent began by itself
? phase failed
= nothing
