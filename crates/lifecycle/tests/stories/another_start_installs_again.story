# A start of an installing scenario is what a person asks for; stop and start again is asking again.
with machines n1
with image plain
with installs
with ready fetched
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 says done
? phase ready
> stop
= off n1
> done n1
> sees n1 off
? phase idle
@ 100
> start demo
= on n1
? answer n1 run
