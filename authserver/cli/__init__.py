"""The command line: one file for each group of commands, over the same verbs as the management API.

`program` the root and what a failure becomes · `session` the runtime that a command works on · `output` JSON or
aligned text · `options` what several commands take. May import everything below; only it imports click.
"""
