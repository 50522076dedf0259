# Where nothing more is to be seen, the whole image is enough.
with machines n1
with image plain
with ready fetched
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
? phase ready
