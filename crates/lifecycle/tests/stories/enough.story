# Two of three are enough: ready without the bad one, degraded while it is tried, failed with one left.
with machines n1 n2 n3
with scenario demo n1 n2 n3 enough 2
with limit tries 1
> counter up
> sees n1 off
> sees n2 off
> sees n3 off
> start demo
= on n1, on n2, on n3
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
> done n3
> sees n3 on
? phase booting
@ 90
? bad n3
? phase ready
? phase because 2 of 3 machines are ready, without n3
@ 100
> sees n2 off
= on n2
? phase degraded
> done n2
@ 115
? bad n2
? phase failed
? phase because n2, n3 bad
? word n1 ready
# After a failure the same scenario may be started again: everything is tried anew.
> sees n2 off
> sees n3 off
> start demo
? told yes
? run 2
? good n3
? phase powering down
@ 125
= off n1
> done n1
> sees n1 off
= on n1, on n2, on n3
