# A machine by hand asks, takes nothing, and is switched by a person whom nobody sees doing it.
with machines n1
with by-hand n1
> counter up
> start demo
> n1 discovers bios
@ 240
? fault n1 fetch-stalled
? waits n1 for somebody to switch it off and on again
? answer n1 wait
@ 400
> n1 discovers bios
? answer n1 run
? boots n1 2
> n1 takes its image
> n1 reports b1
? phase ready
