# Firmware that boots its disk by itself after an installation asks nobody: the system's address after "done" is enough.
with machines n1
with image plain
with installs
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 takes its address as system
@ 600
> n1 says done
? rung n1 fetched
@ 640
> n1 takes its address as system
? phase ready
