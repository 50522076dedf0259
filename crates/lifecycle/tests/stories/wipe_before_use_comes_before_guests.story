# Guests come after the disks of their hypervisor: until these were wiped, none is ordered on.
with machines n1
with runs n1 g1
with wipe before use
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda labelled bench wiped
? rung n1 up
? waits g1 for n1, which runs it, to be ready
? wish g1 off
= nothing
> n1 is given wipe 1 as b1
> n1 wipes 1 50
= nothing
? wish g1 off
> n1 wiped 1
? rung n1 ready
= on g1
? wish g1 on
