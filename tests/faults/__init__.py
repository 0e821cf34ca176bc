"""What happens when a dependency or the process itself fails, on real processes that are stopped, cut off and killed.

`make test` runs the short form, `make faults` the long one; `python -m tests.faults` prints the figures.
"""
