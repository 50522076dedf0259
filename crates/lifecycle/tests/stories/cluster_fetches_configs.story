# Configs that machines fetch: laid ready only for a boot that asked, and only for minutes.
with talos n1
with pull
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2, mint
> done n1
> done n2
> sees n1 on
> sees n2 on
> n1 takes its address as ipxe
> n1 takes its image
? rung n1 fetched
> n1 asks its config
? rung n1 up
? word n1 maintenance
? waits n1 for the cluster's secrets to be made and kept
= nothing
> keeps the secrets
= offer n1
> takes offer n1 well
? waits n1 until 600 for it to fetch its config
? answer n1 run with the config that it was given [talos.events.sink=10.0.0.1:4002 talos.logging.kernel=tcp://10.0.0.1:4001/]
> n2 takes its address as ipxe
> n2 takes its image
> n2 asks its config
? waits n2 for a control plane that has its config
= nothing
> n1 takes its config
? rung n1 fetched
? waits n1 for Talos to come back with its config
? explain n1 its config was laid ready to 10.0.0.11 to fetch, proven by address, taken
> n1 is known booting etcd is not healthy
? rung n1 configured
= bootstrap n1, offer n2
> takes bootstrap n1 well
> takes offer n2 well
@ 5
# The counter was started again and has forgotten it.
> n2 asks its config
= nothing
@ 15
= offer n2
> loses offer n2
@ 30
> n2 takes its config
? rung n2 fetched
# Another boot asks anew.
> n2 discovers ipxe
> n2 takes its address as ipxe
> n2 takes its image
= nothing
> n2 asks its config
= offer n2
> takes offer n2 well
@ 629
? waits n2 for it to fetch its config
@ 631
? fault n2 config-lost laid ready 1 times and not fetched
= off n2
