# A person outranks the scenario: off stays off, until the same person or the next start says otherwise.
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
@ 100
> off n1
? told yes
? word n1 stopping
? order n1 power-off
@ 110
= off n1
> done n1
> sees n1 off
? phase degraded
? word n1 off
? rests n1
? explain n1 off: a person asked for it
@ 2000
= nothing
> on n1
= on n1
> done n1
> sees n1 on
? waits n1 until 2090 for its first DISCOVER
> n1 boots b3
? phase ready
