# What cannot be applied keeps the scenario from being started, before a machine is switched.
with talos n1
with manifests that are wrong
> counter up
> sees n1 off
> sees n2 off
> start demo
? told manifests_wrong labinator check
= nothing
? phase idle
