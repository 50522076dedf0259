# The driver says done, and nothing is seen: three times, then a person must look.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
@ 1
> done n1
? waits n1 until 16 for it to be seen on
@ 16
? fault n1 power-unseen waited 15.0 s for it to be seen on
= on n1
@ 17
> done n1
@ 32
= on n1
@ 33
> done n1
? then n1 mark it bad
@ 47
? good n1
@ 48
? bad n1
? phase failed
? phase because n1 bad (power-unseen); 1 of 1 are needed
