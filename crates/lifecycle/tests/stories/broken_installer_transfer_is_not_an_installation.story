# A transfer that broke off installed nothing: the machine may be installed still.
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
> n1 asks its script
> n1 asks kernel vmlinuz 1000000
> n1 took vmlinuz
> n1 asks initrd initrd 1000000
> n1 breaks off initrd the connection ended
? answer n1 run
@ 250
= off n1
? fault n1 fetch-stalled
? answer n1 wait
> done n1
> sees n1 off
= on n1
? answer n1 run
