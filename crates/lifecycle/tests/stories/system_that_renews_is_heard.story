# A system that renewed its address once is expected to go on; one that stops is started again.
with machines n1
with image plain
with lease 600
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as bios
> n1 takes its image
> n1 takes its address as system
? phase ready
@ 310
> n1 requests system
> n1 gets its address as system
? explain n1 its system renewed its address
@ 900
? rung n1 ready
@ 911
? rung n1 up
? phase degraded
? waits n1 for its system to renew its address
@ 950
> n1 requests system
> n1 gets its address as system
? rung n1 ready
? phase ready
@ 1645
= off n1
? fault n1 agent-lost
> done n1
> sees n1 off
= on n1
