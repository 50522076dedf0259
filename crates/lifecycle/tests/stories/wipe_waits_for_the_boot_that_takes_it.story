# What was offered and not taken is for the next boot; an agent that never takes it is too old.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda
> wipe n1 confirm n1-sda
? wipes n1 1 sda as b1
> n1 falls silent
> sees n1 off
? wipes n1 none
= on n1
> done n1
> sees n1 on
@ 30
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b2 with sda
? wipes n1 1 sda as b2
@ 89
? waits n1 until 90 for its agent to take the order
@ 91
? wipes n1 none
? explain n1 was refused
? explain n1 nothing of it was touched: waited 60.0 s for its agent to take the order
