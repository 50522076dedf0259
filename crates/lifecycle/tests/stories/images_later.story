# The files of the images are read after the core began; who asks before is told to ask again.
with machines n1
with images later
> counter up
> sees n1 off
> start demo
? told images_unread ask again in a moment
> images are read
> start demo
= on n1
> done n1
> sees n1 on
# A new core serves on what the old one found until it has looked for itself.
> restart
? answer n1 run
> n1 boots b1
> images are read
> counter up
? phase ready
