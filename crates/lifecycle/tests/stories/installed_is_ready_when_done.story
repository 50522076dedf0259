# With `ready: done` the installer's own word makes the machine ready, and starting again does not take it away.
with machines n1
with image plain
with installs
with ready done
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
@ 600
> n1 says done
? phase ready
@ 610
> n1 takes its address as ipxe
? answer n1 disk
? rung n1 ready
> n1 asks its script
? phase ready
