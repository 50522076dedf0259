# A report with another boot id is another boot, even when nothing else was seen of it.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
? boots n1 1
@ 30
# What an old boot says now is not believed.
> n1 is heard as b0
@ 31
> n1 falls silent
> n1 reports b2
? boots n1 2
? word n1 ready
? phase ready
