# An order that was not seen to be carried out waits with the guest when its hypervisor is not heard any more.
with machines n1
with runs n1 g1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
= on g1
> done g1
> n1 has g1 running
@ 8
> n1 has g1 off because powered-off SHUTDOWN of QEMU, guest-shutdown
? rung g1 off
= on g1
> n1 falls silent
@ 22
> done g1
? waits g1 until 37 for it to be seen on
@ 36.5
? rung n1 up
? waits g1 for n1, which runs it, to be ready
= nothing
