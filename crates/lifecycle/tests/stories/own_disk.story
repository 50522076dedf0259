# A machine that boots its own disk takes no image; its system is waited for all the same.
with machines n1
with image disk
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 5
> n1 takes its address as pxe
? answer n1 disk its own disk
> n1 asks its script
? rung n1 fetched
? word n1 kernel
? waits n1 until 125 for its system to ask for an address
# The firmware walks on to another network entry before it reaches the disk: the same boot.
@ 9
> n1 takes its address as http
> n1 asks its script
? boots n1 1
? waits n1 until 125 for its system to ask for an address
@ 30
> n1 takes its address as system
? phase ready
