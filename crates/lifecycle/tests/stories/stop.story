# Stop: softly by the agent, by the port after ten seconds, and idle when all were seen off.
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
@ 100
> stop
? phase stopping
? phase because n1, n2 to be seen off
? order n1 power-off
? answer n1 wait the lab is being stopped
? waits n1 until 110 for its agent to switch it off
> start demo
? told stopping wait until its machines are off
> stop
? told already
@ 105
> sees n1 off
? rests n1
? phase stopping
@ 110
= off n2
? waits n2 until 125 for vms/n2 to answer the order "off"
> done n2
> sees n2 off
? phase idle
? phase because scenario demo was stopped
? answer n1 wait no scenario is chosen
? word n1 off
@ 1000
= nothing
> start demo
= on n1, on n2
? run 2
