# An old iPXE is named with its cure, and what it logged last is the cause of a boot that failed.
with machines n1
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
@ 2
> n1 takes its address as ipxe
> n1 runs ipxe 1.0.0
? explain n1 iPXE 1.0.0, too old
? explain n1 replace its iPXE: the ROM of its network card
> n1 runs ipxe 1.0.0+git-20190125.36a4c85-5.1
# The number alone says less than what is known.
> n1 runs ipxe 1.0.0
? explain n1 iPXE 1.0.0+git-20190125.36a4c85-5.1, too old: built before 2020-10-14
> n1 logs iPXE initialising devices
> n1 logs error 4c116035: DNS look-up timed out (net/udp/dns.c)
> n1 logs No more network devices
? explain n1 its iPXE said: 4c116035
@ 242
? fault n1 fetch-stalled its iPXE said: 4c116035: DNS look-up timed out
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
# Another boot by another iPXE begins without the old complaint, and so does one that went on after it.
> n1 takes its address as ipxe
> n1 runs ipxe 1.21.1+git20250501.dad20602
> n1 logs error 4c0a6035: TCP connection timed out
> n1 takes its image
> n1 reports b1
? explain n1 iPXE 1.21.1+git20250501.dad20602
? phase ready
? fault n1 none
