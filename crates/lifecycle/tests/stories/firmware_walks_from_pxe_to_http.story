# Nobody answers its PXE, so the firmware goes on to HTTP: still the same boot.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 4
> n1 discovers pxe
@ 64
> n1 takes its address as http
> n1 asks uki live.efi 95000000
> n1 took live.efi
? boots n1 1
? rung n1 fetched
> n1 reports b1
? phase ready
