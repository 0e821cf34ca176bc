"""Tests of `authserver.claims`: the language, its limits, the metadata rules and the catalog."""
