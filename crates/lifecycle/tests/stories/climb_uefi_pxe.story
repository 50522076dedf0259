# EDK2 collects offers for four seconds, asks its loader twice, and iPXE asks once more.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
@ 1
> done n1
> sees n1 on
@ 4
> n1 shows a frame
> n1 discovers pxe
> n1 is offered
? waits n1 until 244 for firmware collects offers (4 s timer, EDK2)
# After five seconds the timer is no explanation any more.
@ 9.5
> n1 discovers pxe
@ 9.6
? waits n1 until 244 for UEFI PXE to take an address
> n1 requests pxe
> n1 gets its address as pxe
> n1 asks loader snponly.efi 200000
> n1 breaks off snponly.efi aborted by the client
> n1 asks loader snponly.efi 200000
> n1 took snponly.efi
@ 11
> n1 asks for a router
? waits n1 until 244 for its loader to go on
> n1 takes its address as ipxe
> n1 takes its image
? rung n1 fetched
# Firmware that asked again and again is one boot, not three.
? boots n1 1
@ 14
> n1 takes its address as agent
> n1 reports b1
? word n1 ready
? phase ready
