# A driver that cannot tell: the machine is switched, and believed when it asks.
with machines n1
> counter up
> sees n1 unknown
? plan demo on n1
? word n1 unknown
> start demo
= on n1
> done n1
? word n1 starting
@ 5
> n1 discovers bios
? rung n1 asked
> n1 takes its image
> n1 reports b1
? phase ready
> stop
@ 15
= off n1
> done n1
> n1 falls silent
> sees n1 unknown
@ 60
= off n1
= nothing
