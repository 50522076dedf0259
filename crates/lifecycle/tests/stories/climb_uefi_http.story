# Firmware that boots over HTTP by itself takes one file: the UKI.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 5
> n1 takes its address as http
> n1 asks uki live.efi 95000000
? word n1 image
> n1 has 50000000 of live.efi
? waits n1 until 245 for live.efi, 50000 of 95000 kB
@ 15
> n1 took live.efi
? rung n1 fetched
? waits n1 until 135 for its kernel to start and its agent to ask
@ 20
> n1 takes its address as agent
> n1 reports b1
? phase ready
? boots n1 1
