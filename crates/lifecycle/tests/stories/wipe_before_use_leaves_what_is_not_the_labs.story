# A disk of somebody else is never wiped because a file says so: the start waits until its serial is typed.
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
> n1 reports b1 with sda sdb labelled museum wiped
? wipes n1 none
? rung n1 up
? waits n1 for a person's word about sda (serial n1-sda, 256 GB): it is not recorded as this lab's, its last owner is lab museum
? explain n1 `labinator wipe n1 --disk sda --confirm n1-sda`
@ 400
= nothing
? phase booting
> n1 is heard as b1
> wipe n1 sda
? told disk_unconfirmed
> wipe n1 sda confirm n1-sda
> n1 is given wipe 1 as b1
> n1 wiped 1
? wipes n1 none
? waits n1 for a person's word about sdb (serial n1-sdb, 256 GB): it is not recorded as this lab's, no owner of it is known
> wipe n1 sdb confirm n1-sdb
> n1 is given wipe 2 as b1
> n1 fails wipe 2 byte 7: cannot be written
# From now on it is the lab's by nobody's record: it was not read back.
? rung n1 up
? waits n1 for a person's word about sdb
> wipe n1 sdb confirm n1-sdb
> n1 is given wipe 3 as b1
> n1 wiped 3
? rung n1 ready
? phase ready
