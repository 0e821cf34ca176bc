"""The command line: one file for each group of commands, over the same verbs as the management API.

`program` the root and what a failure becomes · `session` the runtime that a command works on · `output` JSON or
aligned text · `options` what several commands take · `secret_files` where a new secret goes · `refusals` what the verbs
refuse, in terms of options · `cautions` what is allowed and seldom meant. May import everything below; only it
imports click.
"""
