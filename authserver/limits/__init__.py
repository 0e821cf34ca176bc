"""Limits: what one caller may ask of the server. May import core; holds bounded state in memory only."""
