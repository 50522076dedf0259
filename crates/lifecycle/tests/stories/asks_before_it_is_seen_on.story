# Fast firmware asks before the driver has looked: that is one boot, and it has asked.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
@ 1
> n1 takes its address as bios
@ 3
> sees n1 on
? boots n1 1
? rung n1 asked
? waits n1 until 241 for its loader
