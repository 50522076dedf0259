# The core was away for an hour; its agents get time to be heard before they count as lost.
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
@ 10
> n1 falls silent
> n2 falls silent
@ 25
> restart
? phase ready
@ 50
? phase ready
> counter up
> n1 is heard as b1
> n2 is heard as b2
@ 300
= nothing
? phase ready
