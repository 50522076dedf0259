# A report that arrives after its machine was seen off says nothing about the boot that follows.
with machines n1
> counter up
> sees n1 on
> n1 boots old
> start demo
@ 5
> sees n1 off
= on n1
> n1 reports old
? rung n1 off
> n1 falls silent
> done n1
@ 6
> sees n1 on
? rung n1 on
