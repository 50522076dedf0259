# What the front desk says.
with machines n1 n2 n3
with by-hand n3
with scenario small n1
with scenario ghost n1
with missing ghost
> start demo
? told counter_away labinator doctor
> start dmeo
? told unknown_scenario this lab has: demo, ghost, small
> start ghost
? told image_missing scenario ghost cannot be started: its kernel
> stop
? told already
> on n9
? told unknown_node this board has: n1, n2, n3
> on n3
? told switched_by_hand press the button of n3
> counter up
> sees n1 off
> start small
? told yes
= on n1
> start small
? told already
> start demo
? told another_running stop it first
? run 1
> counter down
> start small
? told already
