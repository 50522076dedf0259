# Machines that are not on the board are shown, newest last, and nothing is done about them.
with machines n1
> counter up
> stranger 02:ff:00:00:00:01 discovers bios
> stranger 02:ff:00:00:00:02 discovers pxe
> stranger 02:ff:00:00:00:01 discovers ipxe
? strangers 2
? last stranger 02:ff:00:00:00:01 ipxe
? boots n1 0
@ 100
= nothing
