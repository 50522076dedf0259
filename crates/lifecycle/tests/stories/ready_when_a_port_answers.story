# A port that accepts connections is ready; one that ceases is lost, and repaired.
with machines n1
with image plain
with ready port 22
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> finds n1 port closed
? rung n1 fetched
? waits n1 for its system to accept connections on port 22
@ 40
> finds n1 port open
? phase ready
@ 1000
> finds n1 port closed
? rung n1 up
? phase degraded
? waits n1 until 1090 for port 22 to accept connections again
@ 1020
> finds n1 port open
? phase ready
@ 2000
> finds n1 port closed
@ 2090
= off n1
? fault n1 agent-lost
