# What became worse is told once, kept over a restart, and gone with the boot.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
? phase ready
? writes
# A heartbeat is never written, and neither is what stands still.
> n1 links at 1000 of 1000
? writes 0
? explain n1 its port eth0 (r8169) has a link at 1000 Mbit/s
@ 30
> n1 drops 7 frames
? writes 1
? explain n1 its kernel began to drop frames: 7
? explain n1 docs/operating/node-health.md#frames-dropped
# It goes on: that is no news.
@ 60
> n1 drops 9 frames
? writes 0
> n1 kills qemu-system-x86 (77)
? writes 1
? explain n1 its kernel killed qemu-system-x86 (77) for want of memory
@ 61
> n1 disk sda fails 40 sectors are bad
> n1 links at 100 of 1000
? writes 2
? explain n1 disk sda expects to fail: 40 sectors are bad
? explain n1 eth0 came up with 100 Mbit/s and can 1000
> restart
> counter up
? explain n1 its kernel began to drop frames: 7
? word n1 ready
