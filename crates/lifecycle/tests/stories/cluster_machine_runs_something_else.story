# Our own agent is heard where Talos should be: the machine booted something else, and is started again.
with machines n1
with talos n1
> counter up
> start demo
= on n1, mint
> n1 reports b1
? fault n1 kernel-silent it booted something else than Talos
? word n1 stopping
