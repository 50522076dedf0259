# Renewals cannot be heard while the counter is away.
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
@ 310
> n1 requests system
> n1 gets its address as system
@ 320
> counter down
@ 5000
? rung n1 ready
> counter up
@ 5500
? rung n1 ready
@ 5602
? rung n1 up
