# The machine that tried it is not to blame: it boots the generation before, with all its tries.
with machines n1 n2
with candidate 2 after 3
with limit tries 1
> counter up
> sees n1 off
> sees n2 off
> the candidate is built
> start demo
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
> n2 boots b1
> n1 takes its address as ipxe
> n1 takes its image
? rung n1 fetched
@ 124
? fault n1 kernel-silent
? trial refused 0 n1: waited 2 min 0 s for its kernel to start
? good n1
= off n1
> done n1
> sees n1 off
= on n1
? answer n1 run scenario demo, run 1
? trial refused 0
> done n1
> sees n1 on
> n1 boots b2
? phase ready
? trial refused 0
> restart
? trial refused 0
> the candidate is given up
? trial none
