# Somebody else had the nonce of this boot: the boot is stopped and said, and the next one has another nonce.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 reports b1 by key a
? word n1 ready
? explain n1 known by the key of this boot
@ 20
> n1 is claimed by key a and by b
? fault n1 impostor key aaaaaaaaaaaa claimed this boot, and key bbbbbbbbbbbb of 10.0.0.99 had its nonce too
? explain n1 key aaaaaaaaaaaa claimed this boot
? order n1 power-off
> n1 falls silent
@ 31
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 boots b2
# An agent that makes no key is heard, and shown as such.
? word n1 ready
? fault n1 none
? explain n1 known by its address alone
