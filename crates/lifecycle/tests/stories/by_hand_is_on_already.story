# A machine by hand whose firmware has not asked yet: its first ask shows that it boots.
with machines n1
with by-hand n1
> counter up
> sees n1 on
> start demo
? phase powering down
? waits n1 for somebody to switch it off and on again
@ 5
> n1 discovers pxe
? phase booting
? answer n1 run
