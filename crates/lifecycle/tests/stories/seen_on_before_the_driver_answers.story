# Seen on first, "done" later: the late word must not be mistaken for an order still to be seen.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
@ 1
> sees n1 on
@ 2
> done n1
@ 3
> n1 boots b1
? phase ready
@ 500
> sees n1 off
= on n1
? fault n1 none
? tries n1 1
