# A loader that waits asks again and again, a system that is up renews its address, strangers come back: nothing of it is
# written down, and the boot is still told when its turn comes.
with machines n1
with image plain
with lease 600
> counter up
> sees n1 on
> n1 takes its address as ipxe
> n1 asks its script
> n1 asks its script
> n1 asks script again.cfg 900
> n1 took again.cfg
> n1 asks script again.cfg 900
> n1 took again.cfg
> stranger 02:ff:00:00:00:01 discovers ipxe
> stranger 02:ff:00:00:00:01 asks its script
? writes
# An hour, every two seconds; GRUB takes a small file over TFTP each time, and is quiet for a moment.
* 1800 > n1 asks its script
* 1800 > n1 asks script again.cfg 900
* 1800 > n1 took again.cfg
* 240 > n1 shows a frame
* 240 > n1 asks its script
* 240 > stranger 02:ff:00:00:00:01 asks its script
* 240 > stranger 02:ff:00:00:00:01 discovers ipxe
? writes 0
# That it falls silent is news, and that it is heard again.
@ 3600
? word n1 unknown
? writes 1
> n1 asks its script
? writes 1
? word n1 waiting
> start demo
? answer n1 run
> n1 asks its script
> n1 asks kernel vmlinuz 1000000
> n1 took vmlinuz
> n1 asks initrd initrd 1000000
> n1 took initrd
> n1 takes its address as system
? rung n1 ready
? boots n1 1
# Its address is renewed each five minutes: the first time tells that it will go on so.
@ 3900
> n1 requests system
> n1 gets its address as system
? writes
@ 4200
> n1 requests system
> n1 gets its address as system
@ 4500
> n1 requests system
> n1 gets its address as system
? writes 0
@ 5000
? rung n1 ready
@ 5150
? rung n1 up
