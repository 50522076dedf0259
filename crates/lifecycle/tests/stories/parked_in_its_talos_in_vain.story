# A Talos that was reset and does not come back is switched off, and not reset again; what is not heard any more goes off.
with machines n1 n2
with talos n1
with parks 600 by reset
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> keeps the secrets
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 is known running
= bootstrap n1
> takes bootstrap n1 well
> n1 is known running with etcd
> cluster uses n1
> done n2
> sees n2 on
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
= push n2
> takes push n2 well
> n2 is known running
> cluster uses n2
? phase ready
@ 100
> stop
= reset n1, reset n2
> takes reset n1 well
> takes reset n2 well
> n1 has no Talos
> n2 has no Talos
@ 130
> n2 waits with key ddd
? word n2 parked
@ 279
= nothing
@ 281
= off n1
> done n1
> sees n1 off
? phase idle
? word n2 parked
@ 300
> n2 has no Talos
@ 344
= nothing
@ 346
= off n2
> done n2
> sees n2 off
? rests n2
@ 400
> start demo
= on n1, on n2, mint
> keeps the secrets
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> takes push n1 well
> n1 is known running
= bootstrap n1
> takes bootstrap n1 well
> n1 is known running with etcd
> cluster uses n1
> done n2
> sees n2 on
> n2 takes its address as ipxe
> n2 takes its image
> n2 waits with key bbb
= push n2
> takes push n2 well
> n2 is known running
> cluster uses n2
? phase ready
> stop
= off n1, reset n2
