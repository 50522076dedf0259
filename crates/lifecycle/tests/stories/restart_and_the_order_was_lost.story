# The order was written down and never reached its driver: seen off by its limit, asked again.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> restart
> counter up
> sees n1 off
= nothing
@ 15
= on n1
? tries n1 2
> done n1
> sees n1 on
