"""Clients: how they are registered, held in memory and authenticated.

May import core; reads clients through the Protocols of `core/ports.py`.
"""
