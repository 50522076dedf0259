# A machine by hand that runs the old lab: a fresh boot is as good as being seen off.
with machines n1 n2
with by-hand n1
> counter up
> sees n2 off
> n1 boots old
> start demo
? phase powering down
? waits n1 for somebody to switch it off and on again
? waits n2 for n1 to be seen off
@ 40
> n1 discovers bios
= on n2
? phase booting
? answer n1 run
