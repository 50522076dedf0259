# What was cut off is ordered again, some times; then a person is asked. What uses a disk is named, and what is no disk of
# the box is passed over.
with machines n1
with wipe before use
with limit tries 2
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda labelled bench wiped used sda1 is part of md0
? wipes n1 none
? waits n1 for sda (serial n1-sda, 256 GB) to be free: sda1 is part of md0
> n1 reports b1 with sda labelled bench wiped
? wipes n1 1 sda as b1
> n1 is given wipe 1 as b1
> n1 falls silent
> sees n1 off
= on n1
> done n1
> sees n1 on
@ 40
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b2 with sda labelled bench begun
? wipes n1 2 sda as b2
> n1 is given wipe 2 as b2
> n1 fails wipe 2 byte 7: cannot be written
? wipes n1 none
? rung n1 up
? waits n1 for a wipe of sda (serial n1-sda, 256 GB) that succeeds: `labinator wipe n1 --disk sda` tries again
? explain n1 byte 7: cannot be written
> n1 reports b2 with sda labelled bench begun used it is write-protected
? rung n1 ready
