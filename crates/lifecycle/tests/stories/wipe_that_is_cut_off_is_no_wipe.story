# A boot that ends in the middle leaves the disk half wiped, and the next boot is not given its order.
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
? disks n1 free
> wipe n1 confirm n1-sda
> n1 is given wipe 1 as b1
? disks n1 wiping
@ 13
> n1 wipes 1 10
> n1 falls silent
> sees n1 off
? explain n1 wiping sda (serial n1-sda, 256 GB) failed 0.0 s ago: its power went off while sda was being wiped: it is half wiped
= on n1
> done n1
> sees n1 on
@ 30
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b2 with sda labelled bench begun
? wipes n1 none
? explain n1 sda (serial n1-sda, 256 GB) was found half wiped
# What it told before is not believed of another boot.
> n1 wiped 1
? explain n1 was found half wiped
> wipe n1
? wipes n1 2 sda as b2
