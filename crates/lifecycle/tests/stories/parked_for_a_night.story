# A parked machine asks thousands of times; when its turn comes, its boot is still written down.
with machines n1
> counter up
> sees n1 on
> n1 takes its address as ipxe
* 200 > n1 takes its address as ipxe
* 200 > n1 asks its script
* 40 > n1 asks loader undionly.kpxe 70000
@ 36000
? word n1 unknown
# It was away for the night; it is here.
> n1 asks its script
? word n1 waiting
> start demo
? answer n1 run
> n1 takes its image
? rung n1 fetched
> n1 reports b1
? phase ready
? boots n1 1
