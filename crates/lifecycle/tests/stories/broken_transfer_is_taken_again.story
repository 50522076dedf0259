# A file that broke off and was taken in a second go counts as taken.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 asks its script
> n1 asks kernel vmlinuz 14000000
> n1 took vmlinuz
> n1 asks initrd initrd 81000000
> n1 is asked to come back for initrd
? waits n1 until 240 for initrd, 0 of 81000 kB
> n1 breaks off initrd the client went away
? rung n1 asked
> n1 asks initrd initrd 81000000
> n1 took initrd
? rung n1 fetched
