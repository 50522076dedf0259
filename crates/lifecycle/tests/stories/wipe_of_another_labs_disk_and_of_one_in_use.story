# Whose disk it was last is said, and what uses it.
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
> n1 reports b1 with sda sdb labelled museum wiped
> wipe n1
? told which_disk n1 has 2 disks, and none was named
> wipe n1 sda
? told disk_unconfirmed its last owner is lab museum
> wipe n1 sda confirm n1-sda
? wipes n1 1 sda as b1
> wipe n1 sdb confirm n1-sdb
? told wiping sda
> n1 is given wipe 1 as b1
> n1 wiped 1
> wipe n1 sdb confirm n1-sdb
? wipes n1 2 sdb as b1
> n1 is given wipe 2 as b1
> n1 fails wipe 2 byte 0: cannot be written
> n1 reports b1 with sda labelled museum wiped used sda1 is mounted at /srv
> wipe n1 sda confirm n1-sda
? told disk_in_use sda (serial n1-sda, 256 GB) of n1 is not wiped: sda1 is mounted at /srv; free it
