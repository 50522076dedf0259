# An image without our agent is ready when its system has its address.
with machines n1
with image plain
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as bios
> n1 takes its image
? rung n1 fetched
? waits n1 for its system to ask for an address
@ 20
> n1 discovers system
? rung n1 fetched
> n1 gets its address as system
? rung n1 ready
? phase ready
# It has no agent that could fall silent, and none that could switch it off.
@ 5000
? phase ready
> stop
= off n1
> done n1
> sees n1 off
? phase idle
