# A machine with a stick has its own address and its own cache: it asks once, fetches nothing, and climbs all the same.
with machines n1
with by-hand n1
> counter up
> start demo
? alone n1 no
@ 20
> n1 asks from a stick
> n1 asks its script
? boots n1 1
? rung n1 asked
? waits n1 for its image to be asked for
# Asked again after a broken connection it is the same boot.
> n1 asks from a stick
? boots n1 1
> n1 starts its kernel
? rung n1 fetched
? waits n1 for its kernel to start
> n1 reports b1
? phase ready
# What it was ready with it may start alone.
? alone n1 yes
# It starts again by itself: nobody saw it off, and its loader is heard first.
@ 60
> n1 takes its address as stick
? boots n1 2
> n1 asks from a stick
? boots n1 2
> n1 asks its script
> n1 starts its kernel
? rung n1 fetched
> n1 reports b2
? phase ready
