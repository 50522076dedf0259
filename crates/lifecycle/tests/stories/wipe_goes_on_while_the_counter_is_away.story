# Nobody can tell while the counter is away: nothing is given up, and nothing is switched.
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
> n1 is given wipe 1 as b1
> counter down
> n1 falls silent
@ 2000
= nothing
? waits n1 for its agent to wipe sda
> counter up
> n1 is heard as b1
> n1 fails wipe 1 byte 4096: found 45 46, where zeros must be
? explain n1 failed
? explain n1 byte 4096: found 45 46
> wipe n1 confirm n1-sda
? wipes n1 2 sda as b1
