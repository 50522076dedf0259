# A hypervisor that starts again in a ready lab brings its guests back, without anybody's help.
with machines n1
with runs n1 g1 g2
> counter up
> sees n1 off
> start demo
= on n1
> done n1
> sees n1 on
> n1 boots b1
= on g1, on g2
> done g1
> done g2
> n1 has g1 running
> n1 has g2 running
> g1 takes its address as agent
> g1 reports h1
> g2 takes its address as agent
> g2 reports h2
? phase ready
> n1 takes its address as ipxe
? rung n1 asked
> n1 takes its image
> n1 reports b2
? rung g1 off
? explain g1 n1, which runs it, started again
= on g1, on g2
> done g1
> done g2
> n1 has g1 running
> n1 has g2 running
> g1 takes its address as agent
> g1 reports h3
> g2 takes its address as agent
> g2 reports h4
? phase ready
