# Two machines with a BIOS climb from cold to ready.
> counter up
> sees n1 off
> sees n2 off
? answer n1 wait no scenario is chosen
? plan demo on n1 n2
> start demo
= on n1, on n2
? phase booting
? answer n1 run scenario demo, run 1
? word n1 starting
? waits n1 until 15 for vms/n1 to answer the order "on"
@ 2
> done n1
? waits n1 until 17 for it to be seen on
> sees n1 on
? rung n1 on
? waits n1 until 92 for its first DISCOVER
? then n1 switch it off and on again, 2 more times
> done n2
> sees n2 on
@ 4
> n1 discovers bios
? rung n1 asked
? word n1 dhcp
? waits n1 until 244 for BIOS PXE to take an address
> n1 is offered
> n1 requests bios
> n1 gets its address as bios
? waits n1 until 244 for its loader to be asked for
> n1 asks loader undionly.kpxe 70000
? word n1 loader
? waits n1 until 244 for undionly.kpxe, 0 of 70 kB
> n1 took undionly.kpxe
@ 5
> n1 takes its address as ipxe
> n1 asks its script
? word n1 image
> n1 asks kernel vmlinuz 14000000
> n1 took vmlinuz
? rung n1 asked
> n1 asks initrd initrd 81000000
> n1 has 40000000 of initrd
? waits n1 until 244 for initrd, 40000 of 81000 kB
> n1 took initrd
? rung n1 fetched
? word n1 kernel
? waits n1 until 125 for its kernel to start
@ 9
> n1 takes its address as agent
? waits n1 until 125 for its agent to report
> n1 reports b1
? rung n1 ready
? word n1 ready
? rests n1
? tries n1 0
? phase booting
> n2 boots b2
? phase ready
? phase because 2 of 2 machines are ready
@ 600
= nothing
? phase ready
