# A named machine tries it. A power port that fails says nothing about an image, and neither does another machine.
with candidate 7 after 1 on n2
with limit tries 1
> counter up
> sees n1 off
> sees n2 off
> the candidate is built
> start demo
= on n1, on n2
? answer n2 run scenario demo, run 1, generation 7 of live on trial (0 of 1 good starts)
? answer n1 run scenario demo, run 1
> fails n2 no such port
? fault n2 power-refused
? trial tried 0
> done n1
> sees n1 on
> n1 boots b1
? trial tried 0
# Given up for this run, it tries nothing.
? answer n2 run scenario demo, run 1
