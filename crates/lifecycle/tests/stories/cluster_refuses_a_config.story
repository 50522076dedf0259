# A config that Talos refuses is nothing that another push would cure.
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
> refuses push n1 refused machine.install.disk: no such disk
? fault n1 config-refused it refused its config: machine.install.disk: no such disk
? bad n1
? phase failed
