# It asked, it began to fetch, and it never ended.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 2
> n1 takes its address as bios
> n1 asks loader undionly.kpxe 70000
> n1 took undionly.kpxe
> n1 takes its address as ipxe
> n1 asks its script
> n1 asks kernel vmlinuz 14000000
> n1 took vmlinuz
> n1 asks initrd initrd 81000000
> n1 has 3000000 of initrd
@ 100
> n1 breaks off initrd the client went away
@ 241.9
? rung n1 asked
@ 242
? fault n1 fetch-stalled last seen: initrd broke off: the client went away
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 boots b1
? phase ready
? fault n1 none
? tries n1 0
