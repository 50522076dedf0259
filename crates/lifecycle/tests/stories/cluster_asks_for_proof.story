# A config goes only to a machine that is proven as surely as the lab asks.
with talos n1
with proof place
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> done n1
> done n2
> sees n1 on
> sees n2 on
> keeps the secrets
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
? rung n1 up
? waits n1 for a proof of it by place: so far there is one by address
= nothing
@ 30
= nothing
> n1 waits with key aaa proven by key
= push n1
> takes push n1 well
? explain n1 its config was pushed to 10.0.0.11, proven by key, taken 0.0 s ago
