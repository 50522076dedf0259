# A parked machine costs power for as long as its scenario says: its loader switches it off, or the port does.
with parks 600
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
> stop
> sees n1 off
> sees n2 off
? phase idle
= on n1, on n2
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 asks its script
> done n2
> sees n2 on
> n2 takes its address as pxe
> n2 asks its script
? word n2 parked
? order n1 stay
@ 40
> n1 asks its script
> n2 asks its script
@ 80
> n1 asks its script
> n2 asks its script
@ 120
> n1 asks its script
> n2 asks its script
@ 160
> n1 asks its script
> n2 asks its script
@ 200
> n1 asks its script
> n2 asks its script
@ 240
> n1 asks its script
> n2 asks its script
@ 280
> n1 asks its script
> n2 asks its script
@ 320
> n1 asks its script
> n2 asks its script
@ 360
> n1 asks its script
> n2 asks its script
@ 400
> n1 asks its script
> n2 asks its script
@ 440
> n1 asks its script
> n2 asks its script
@ 480
> n1 asks its script
> n2 asks its script
@ 520
> n1 asks its script
> n2 asks its script
@ 560
> n1 asks its script
> n2 asks its script
? word n1 parked
@ 600
> n1 asks its script
> n2 asks its script
@ 610
? word n1 stopping
? order n1 power-off
? waits n1 until 620 for its loader to switch it off
> sees n1 off
? word n1 off
? rests n1
# The other does not, and is switched off.
@ 620
= off n2
> done n2
> sees n2 off
? rests n2
@ 3000
= nothing
