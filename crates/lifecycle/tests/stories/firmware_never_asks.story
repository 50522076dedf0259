# Power is on and no DISCOVER comes: off and on again, and bad after three tries.
with scenario demo n1 n2 enough 1
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> done n2
> sees n2 on
> n2 boots b2
@ 89.9
? waits n1 until 90 for its first DISCOVER
@ 90
? fault n1 never-asked
= off n1
? waits n1 until 105 for to answer the order "off"
? word n1 stopping
> done n1
> sees n1 off
= on n1
? tries n1 2
> done n1
> sees n1 on
? waits n1 until 180 for its first DISCOVER
? then n1 switch it off and on once more
@ 180
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
? then n1 mark it bad and go on without it
? phase booting
@ 270
= nothing
? bad n1
? fault n1 never-asked
? phase ready
? phase because without n1
# Given up means left alone, even when it asks after all.
> n1 discovers bios
@ 1000
= nothing
