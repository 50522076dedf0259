# A disk with nothing on it sends the machine round in circles: that ends by its limit, not never.
with machines n1
with image disk
with limit tries 1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 5
> n1 takes its address as ipxe
> n1 asks its script
@ 60
> n1 takes its address as ipxe
> n1 asks its script
@ 120
> n1 takes its address as ipxe
> n1 asks its script
@ 125
? fault n1 kernel-silent last seen: it was told to boot its disk
? bad n1
