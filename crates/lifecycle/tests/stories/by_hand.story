# Nobody can say that a button was not pressed: the lab waits, says for what, and sees what happens.
with machines n1
with by-hand n1
> counter up
? plan demo hand n1
> start demo
? phase booting
? waits n1 until 90 for somebody to switch it on
? then n1 go on waiting
? explain n1 press the button of n1
@ 90
? waits n1 until 180 for somebody to switch it on
= nothing
@ 200
> n1 discovers bios
? rung n1 asked
> n1 takes its image
> n1 reports b1
? phase ready
# Stop: its agent is told; when nobody can see it go off, the lab does not wait for ever.
@ 300
> stop
? order n1 power-off
? waits n1 until 390 for somebody to switch it off
> n1 falls silent
@ 390
? bad n1
? fault n1 power-unseen
? phase idle
