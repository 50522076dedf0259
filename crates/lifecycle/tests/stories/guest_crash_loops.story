# One that ends again and again is given up with its cause; a person's order starts it anew.
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
> n1 has g1 crash-looping because out-of-memory Out of memory: Killed process 77 (qemu-system-x86)
? bad g1
? phase failed
? fault g1 crash-looping
? explain g1 its hypervisor ran out of memory: Out of memory: Killed process 77 (qemu-system-x86)
> on g1
= on g1
> done g1
> n1 has g1 running
? good g1
