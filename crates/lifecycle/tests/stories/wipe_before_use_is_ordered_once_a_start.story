# The scenario says so: what is recorded as the lab's is wiped once a start, and the machine is ready after that.
with machines n1
with wipe before use
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda labelled bench wiped
? rung n1 up
? wipes n1 1 sda as b1
? phase booting
? waits n1 until 70 for its agent to take the order to wipe sda
> n1 is given wipe 1 as b1
> n1 wipes 1 40
? rung n1 up
> n1 wiped 1
? rung n1 ready
? phase ready
? wipes n1 none
# The power goes: in this run its disk is in use, and stays as it is.
> n1 falls silent
> sees n1 off
= on n1
> done n1
> sees n1 on
@ 40
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b2 with sda labelled bench wiped
? wipes n1 none
? rung n1 ready
= nothing
# So do disks that are put in while it runs.
> n1 reports b2 with sdb labelled bench wiped
? wipes n1 none
? rung n1 ready
= nothing
# Another start: once more.
> stop
? order n1 power-off
@ 50
= off n1
> done n1
> sees n1 off
? phase idle
> start demo
= on n1
> done n1
> sees n1 on
@ 70
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b3 with sda labelled bench wiped
? wipes n1 2 sda as b3
