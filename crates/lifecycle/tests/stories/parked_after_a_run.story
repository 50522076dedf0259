# After the run its machines wait in their loader, and the next start needs no firmware.
with parks 1800
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> n1 boots b1
> done n2
> sees n2 on
> n2 boots b2
? phase ready
@ 100
> stop
? off-at n1 never
@ 105
> sees n1 off
? rests n1
> sees n2 off
? phase idle
# Off first, whatever they ran; then on again, for the loader alone.
= on n1, on n2
? off-at n1 1905
> done n1
> sees n1 on
? word n1 starting
? waits n1 until 195 for its first DISCOVER
? then n1 switch it off
> n1 takes its address as pxe
> n1 asks loader labinator-x64.efi 200000
> n1 took labinator-x64.efi
> n1 asks its script
? word n1 parked
? answer n1 wait no scenario is chosen
? waits n1 until 1905 for the next start, parked in its loader
? then n1 switch it off
? explain n1 parked after its run
? tries n1 1
@ 110
> done n2
> sees n2 on
@ 125
> n1 asks its script
@ 145
> n1 asks its script
# n1 is released as it is; n2 takes its loader still, and that is all it would do.
? plan demo release n1 n2
> start demo
= nothing
? phase booting
? answer n1 run
? off-at n1 never
? tries n1 0
> n1 takes its image
? rung n1 fetched
> n1 reports b3
? word n1 ready
> n2 boots b4
? phase ready
? boots n1 2
