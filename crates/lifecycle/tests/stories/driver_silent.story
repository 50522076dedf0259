# A driver that never answers: after its limit nobody knows, so the machine is looked at instead.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
? waits n1 until 15 for vms/n1 to answer
@ 14.9
? waits n1 for to answer
@ 15
= nothing
? waits n1 until 30 for it to be seen on
@ 30
? fault n1 power-unseen
= on n1
? tries n1 2
# An answer to the old order says nothing about the new one.
@ 60
= on n1
? tries n1 3
@ 90
? bad n1
? phase failed
= nothing
