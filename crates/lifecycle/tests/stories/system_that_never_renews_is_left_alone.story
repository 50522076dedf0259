# A live image keeps the address of its initramfs and never renews it: nobody switches it off for that.
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
> n1 takes its address as system
@ 100000
? rung n1 ready
? phase ready
