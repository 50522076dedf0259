# Talos that is reset at the end of a run waits for its next config, and the next start needs neither power nor firmware.
with machines n1 n2
with talos n1
with parks 1800 by reset
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
? order n1 stay
? waits n1 until 160 for its Talos to be reset
? then n1 switch it off by its power port
@ 101
> takes reset n1 well
? waits n1 for its Talos to start again and to wait for the next start
> refuses reset n2 unreachable nobody answered
= off n2
@ 110
> done n2
> sees n2 off
> n1 has no Talos
? phase stopping
@ 130
> n1 waits with key ccc
? phase idle
? word n1 parked
? boots n1 2
? waits n1 until 1930 for the next start, parked in its Talos
? explain n1 parked after its run
? plan demo release n1, on n2
= nothing
# It may be unheard for a moment.
@ 200
> n1 has no Talos
? waits n1 until 245 for its Talos to answer again
> n1 waits with key ccc
? waits n1 until 1930 for the next start
@ 500
> start demo
= on n2, mint
? boots n1 2
? rung n1 fetched
? waits n1 until 620 for Talos to start and to wait for its config
> keeps the secrets
> n1 waits with key ccc
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
> n2 waits with key ddd
= push n2
> takes push n2 well
> n2 is known running
> cluster uses n2
? phase ready
# Who refused once is asked again.
> stop
= reset n1, reset n2
