# The same night for an image without our agent, whose last words on the wire are all there is.
with machines n1
with image plain
> counter up
> sees n1 on
* 200 > n1 takes its address as ipxe
@ 36000
> n1 asks its script
> start demo
> n1 takes its image
> n1 takes its address as system
? rung n1 ready
? phase ready
