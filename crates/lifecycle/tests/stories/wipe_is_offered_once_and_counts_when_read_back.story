# A disk of which no owner is known is wiped when its serial was typed; from then on it is the lab's.
with machines n1
> counter up
> wipe n1
? told no_agent nothing that n1 runs, or is to run, carries the agent
> sees n1 off
> start demo
> wipe n1
? told disks_unknown
= on n1
> done n1
> sees n1 on
@ 10
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 with sda
? phase ready
> wipe n1 sdb
? told which_disk n1 has no disk `sdb`; it has sda (serial n1-sda, 256 GB)
> wipe n1
? told disk_unconfirmed no owner of it is known; if all of it may go: `labinator wipe n1 --disk sda --confirm n1-sda`
> wipe n1 confirm n1-sdb
? told disk_unconfirmed `n1-sdb` is not its serial
? wipes n1 none
> wipe n1 confirm n1-sda
> wipe n1 confirm n1-sda
? told already
? wipes n1 1 sda as b1
? waits n1 until 70 for its agent to take the order to wipe sda
? explain n1 sda (serial n1-sda, 256 GB) is to be wiped
> n1 is given wipe 1 as b1
? waits n1 until 610 for its agent to wipe sda
# Whoever asks again in that boot gets the same.
? wipes n1 1 sda as b1
@ 16
> n1 wipes 1 40
? waits n1 for its agent to wipe sda (serial n1-sda, 256 GB): overwriting headers, 40 %
> off n1
? told wiping sda (serial n1-sda, 256 GB) of n1 is being wiped
# Nobody switches it, and it is not told to switch itself: whatever is asked waits.
> stop
= nothing
? order n1 stay
@ 60
= nothing
? phase stopping
> n1 wiped 1
? wipes n1 none
? order n1 power-off
? explain n1 was wiped
@ 70
= off n1
> done n1
> sees n1 off
? phase idle
# The next boot knows that it is ours.
> start demo
= on n1
> done n1
> sees n1 on
@ 100
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b2 with sda labelled bench wiped
? wipes n1 none
> wipe n1
? wipes n1 2 sda as b2
