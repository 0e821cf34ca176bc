"""The composition root: builds every object, mounts every route, runs the process. Only it knows them all.

`capabilities` what is held in memory · `runtime` the use cases on top · `surface` every route ·
`background` what happens by itself · `serving` the process. May import everything below.
"""
