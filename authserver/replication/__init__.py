"""Replication: how this process hears of what other processes changed.

May import core. Follows the change log and the revocations; knows the caches only as callables.
"""
