"""The composition root: builds every object, mounts every route, runs the process. Only it knows them all.

`capabilities` what is held in memory · `runtime` the use cases on top · `surface` every route ·
`background` what happens by itself · `secrets` what is replaced meanwhile · `serving` the process, by `server`
and `listening` · `supervisor` and `worker` several processes as one. May import everything below.
"""
