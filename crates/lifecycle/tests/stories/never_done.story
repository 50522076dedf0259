# The limit of a system that never says that it is done ends, too.
with machines n1
with image plain
with ready done
with limit tries 1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
@ 130
? fault n1 kernel-silent waited 2 min 0 s for its system to say that it is done
? bad n1
? phase failed
