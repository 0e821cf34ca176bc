"""What every HTTP surface shares: the front door, the form, presented credentials, answers and errors.

May import tokens, administration, the capabilities and core; knows no endpoint.
"""
