"""Every act of an administrator, whoever asks: the management API, the console or the command line.

Each verb reads as a list: authorise, validate, write the watermark, store, record, settle. Stands on
clients, resources, claims, keys and core; knows nothing of HTTP.
"""
