# A machine that has somebody else's config is never pushed to; it is started again, wiped. Two keys stop it.
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
> n1 is locked
? waits n1 until 20 for it to give up the identity of another cluster
@ 20
? fault n1 impostor
= off n1
> done n1
> sees n1 off
= on n1
? answer n1 run [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/ talos.experimental.wipe=system]
> done n1
> sees n1 on
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
= push n1
> loses push n1
> n1 waits with key bbb
? fault n1 impostor two keys were shown
? bad n1
= nothing
