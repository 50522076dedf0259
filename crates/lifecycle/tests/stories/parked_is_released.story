# A machine that was switched on before anything was chosen waits, and is released without switching.
> counter up
> sees n1 on
> sees n2 off
? rung n1 on
> n1 takes its address as ipxe
> n1 asks its script
? word n1 waiting
? answer n1 wait no scenario is chosen
? rests n1
@ 1800
> n1 asks its script
? plan demo release n1, on n2
> start demo
= on n2
? phase booting
? answer n1 run
# Its time counts from the start, not from when it first asked.
? waits n1 until 2040 for its loader to ask again
> n1 takes its image
? rung n1 fetched
> n1 reports b1
? word n1 ready
> done n2
> sees n2 on
> n2 boots b2
? phase ready
? boots n1 1
