# A system that says that it is done is ready, not before, and has its own limit for it.
with machines n1
with image plain
with ready done
with within 600
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 takes its address as system
? rung n1 fetched
? waits n1 until 610 for its system to say that it is done
@ 500
> n1 says done
? phase ready
