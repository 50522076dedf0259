# A machine that runs an image which can kexec stays in it after the run, and the next start needs neither power nor firmware.
with parks 1800 in images
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n1
> sees n1 on
> n1 takes its address as pxe
> n1 takes its image
> n1 reports b1 able to kexec
> done n2
> sees n2 on
> n2 takes its address as pxe
> n2 takes its image
> n2 reports b2 unable to kexec: kexec_load_disabled is 1
? phase ready
? explain n1 kexec: it can start the next kernel by itself
? explain n2 kexec: not from here: kexec_load_disabled is 1
@ 100
> stop
# The one is told to stay, and when it goes off by itself; the other goes off, as without `park`.
? order n1 park
? off-at n1 1900
? waits n1 until 130 for its agent to wait in memory
? then n1 switch it off by its power port
? order n2 power-off
@ 102
> n1 waits in its image
? word n1 parked
? phase stopping
@ 104
> sees n2 off
? phase idle
= nothing
? word n1 parked
? off-at n1 1904
? waits n1 until 1904 for the next start, parked in its image
? word n2 off
? rests n2
? explain n1 parked after its run
? plan demo release n1, on n2
@ 120
> n1 asks its script
> start demo
= on n2
? off-at n1 never
? answer n1 run
? boots n1 2
> n1 takes its image
> n1 starts its kernel
? word n1 kernel
> n1 reports b3 able to kexec
? word n1 ready
? boots n1 2
> done n2
> sees n2 on
> n2 boots b4
? phase ready
