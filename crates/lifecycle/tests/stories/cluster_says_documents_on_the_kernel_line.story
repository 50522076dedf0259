# Documents of the scenario stand on the kernel line of its machines, in the boot that wipes and in those with a config.
with talos n1
with inline KLUv/Q==
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> done n1
> done n2
> sees n1 on
> sees n2 on
? answer n1 run wipes what it finds of itself in this boot [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/ talos.config.inline=KLUv/Q== talos.experimental.wipe=system]
? answer n2 run wipes what it finds of itself in this boot [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/ talos.config.inline=KLUv/Q== talos.experimental.wipe=system]
> n1 takes its address as ipxe
> n1 takes its image
> n1 waits with key aaa
> keeps the secrets
= push n1
? answer n1 run with the config that it was given [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/ talos.config.inline=KLUv/Q==]
