# Who has nobody left to run it is given up, and says so.
with machines n1
with runs n1 g1
with limit tries 1
> counter up
> sees n1 off
> start demo
= on n1
> fails n1 the relay is stuck
? bad n1
? bad g1
? fault g1 host-lost n1, which was to run it, is bad: vms/n1 refused to switch it on: the relay is stuck
= nothing
