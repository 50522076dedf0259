# Stop in the middle: who has no agent yet is switched off at once.
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
> n2 takes its address as ipxe
> stop
= off n1, off n2
? phase stopping
> done n1
> sees n1 off
> done n2
> sees n2 off
? phase idle
