# What became of a push is looked at, never believed: a machine that waits again gets its config again.
with machines n1
with talos n1
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
# The answer was lost on its way.
> loses push n1
? waits n1 for Talos to come back with its config
@ 5
> n1 waits with key aaa
? waits n1 until 15 for its next push: nobody knows whether it took its config
@ 15
= push n1
> refuses push n1 unreachable connection refused
> n1 waits with key aaa
? waits n1 until 18 for its next push: connection refused
@ 18
= push n1
> takes push n1 well
@ 20
# Still open: it answers first, then closes.
> n1 waits with key aaa
? waits n1 until 30 for its next push: it took its config and waits again
@ 25
> n1 has no Talos
? waits n1 for Talos to come back with its config
@ 1821
? fault n1 config-lost
= off n1
