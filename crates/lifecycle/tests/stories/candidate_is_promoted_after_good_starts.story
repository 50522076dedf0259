# One machine tries a new generation; when it was ready twice, all machines get it.
with candidate 2 after 2
> counter up
> sees n1 off
> sees n2 off
? trial none
> the candidate is built
? trial tried 0
> start demo
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
? answer n1 run scenario demo, run 1, generation 2 of live on trial (0 of 2 good starts)
? answer n2 run scenario demo, run 1
> n1 boots b1
? trial tried 1 n1 is ready
> n2 boots b2
? phase ready
# What goes on is counted once.
> n1 is heard as b1
@ 60
? trial tried 1
= nothing
> stop
@ 61
= nothing
@ 71
= off n1, off n2
> done n1
> sees n1 off
> done n2
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
> n2 boots b3
? trial tried 1
> n1 boots b4
? trial promoted 2
? answer n2 run scenario demo, run 2, generation 2 of live
# The core ends before the boss's disk says so, and knows it all the same.
> restart
? trial promoted 2
? answer n2 run scenario demo, run 2, generation 2 of live
> the candidate is in use
? trial none
? answer n2 run scenario demo, run 2
