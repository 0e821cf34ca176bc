"""Resources: how an administrator writes them, and the lookup that every token request uses.

May import core, and pydantic for the model.
"""
