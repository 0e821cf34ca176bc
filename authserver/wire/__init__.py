"""What every HTTP surface shares: the front door, the form, presented credentials, answers and errors.

Below them the server that they stand on: HTTP/1.1 within limits, stopping by stages, the event loop. May import tokens,
administration, the capabilities and core; knows no endpoint.
"""
