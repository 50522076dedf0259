# A parked machine that goes off before its time, by a button or a pulled plug, is left off: nobody asked for it to wait.
with machines n1
with parks 600
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
@ 10
> stop
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 asks its script
? word n1 parked
@ 30
> sees n1 off
= nothing
? rests n1
? word n1 off
