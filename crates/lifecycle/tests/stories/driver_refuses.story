# A driver that refuses is asked again after three seconds, as often as a machine is tried.
with scenario demo n1 n2 enough 1
> counter up
> sees n1 off
> sees n2 off
> start demo
= on n1, on n2
> done n2
> sees n2 on
> n2 boots b2
> fails n1 /dev/kvm is missing
? tries n1 1
? waits n1 until 3 for /dev/kvm is missing
? then n1 ask it again
@ 3
= on n1
> fails n1 /dev/kvm is missing
@ 6
= on n1
? tries n1 3
? phase booting
> fails n1 /dev/kvm is missing
? bad n1
? word n1 bad
? fault n1 power-refused /dev/kvm is missing
? explain n1 docs/operating/power-refused.md
? explain n1 nothing more in this run
? phase ready
? phase because without n1
@ 600
= nothing
