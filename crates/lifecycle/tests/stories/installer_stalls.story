# An installer that never ends is started again from cold, and the disk is not wiped a second time for it.
with machines n1
with image plain
with installs
with limit install 900
with limit tries 2
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
@ 910
= off n1
? fault n1 install-stalled its installer to end
> done n1
> sees n1 off
= on n1
? answer n1 disk
> done n1
> sees n1 on
@ 920
> n1 takes its address as ipxe
> n1 asks its script
@ 1040
? bad n1
? fault n1 kernel-silent
