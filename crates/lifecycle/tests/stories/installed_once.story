# sidero#1321, matchbox#429: what was installed is not installed again; it boots its disk.
with machines n1
with image plain
with installs
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 10
? answer n1 run
> n1 takes its address as ipxe
> n1 takes its image
? answer n1 disk it was installed in boot 1
? waits n1 until 1810 for its installer to end
# The installer asks for an address: that is not the system it installs.
@ 20
> n1 takes its address as system
? rung n1 fetched
? bar n1 kernel installing: its installer is at work
@ 700
> n1 says done
? bar n1 kernel until it said that it is done
> n1 takes its address as ipxe
> n1 asks its script
? boots n1 2
? tries n1 1
? rung n1 fetched
? waits n1 for its system to ask for an address
@ 730
> n1 takes its address as system
? phase ready
? explain n1 installed in boot 1
# An installer is not what starts without the boss.
? alone n1 no
# It starts again next week, and is still not installed again.
@ 90000
> n1 takes its address as ipxe
? answer n1 disk
> n1 asks its script
> n1 takes its address as system
? phase ready
# Until a person asks.
> install n1
= off n1
> done n1
> sees n1 off
= on n1
? answer n1 run
> install n1
? told already
