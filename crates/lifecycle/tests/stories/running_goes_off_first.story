# What runs something else goes off before anything goes on: softly by its agent, then by its port.
> counter up
> sees n1 on
> n1 boots old
? rung n1 ready
> sees n2 off
? plan demo off n1, on n1 n2
> start demo
? phase powering down
? phase because run something else
? answer n1 wait being switched off before it boots
? order n1 power-off
? waits n1 until 10 for its agent to switch it off
? then n1 switch it off by its power port
? word n1 stopping
? waits n2 for n1 to be seen off
@ 9.9
= nothing
@ 10
= off n1
? waits n1 until 25 for vms/n1 to answer the order "off"
@ 11
> done n1
? waits n1 until 26 for it to be seen off
= nothing
@ 12
> sees n1 off
= on n1, on n2
? phase booting
? order n1 stay
