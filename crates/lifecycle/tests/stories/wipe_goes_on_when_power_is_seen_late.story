# Power was seen off while the machine ran on: an order that is taken after that shows that its boot goes on, so a
# late "on" is no next boot, and nothing switches the machine while its disk may be half wiped.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda
> wipe n1 confirm n1-sda
> sees n1 off
= on n1
> done n1
> n1 reports b1 with sda
> n1 is given wipe 1 as b1
> sees n1 on
? explain n1 sda (serial n1-sda, 256 GB) is being wiped
> stop
= nothing
? order n1 stay
> n1 wiped 1
? explain n1 was wiped
