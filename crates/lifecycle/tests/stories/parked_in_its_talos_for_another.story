# A machine that waits in its Talos goes off for a scenario that wants something else of it.
with machines n1
with talos n1
with scenario other n1
with scenario twin as demo
with scenario newer as demo but release
with scenario extended as demo but image
with scenario pulled as demo but pull
with parks 600 by reset
> counter up
> sees n1 off
> start demo
= on n1, mint
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
? phase ready
> stop
= reset n1
> takes reset n1 well
> n1 has no Talos
> n1 waits with key bbb
? word n1 parked
? plan other off n1, on n1
? plan newer off n1, on n1
? plan extended off n1, on n1
? plan pulled off n1, on n1
? plan twin release n1
@ 100
> start other
= off n1
> done n1
> sees n1 off
= on n1
> done n1
> sees n1 on
> n1 takes its address as ipxe
? boots n1 3
? answer n1 run
