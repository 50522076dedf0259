# A machine that restarts by itself climbs the same ladder, and nobody switches it.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
? phase ready
@ 50
> n1 discovers ipxe
? rung n1 asked
? phase degraded
? boots n1 2
> n1 takes its image
> n1 reports b2
? phase ready
= nothing
