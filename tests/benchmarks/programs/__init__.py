"""Programs that the bench runs in processes of their own: services that use the library, measured from inside.

They are told what to do, and tell what they found, in lines of JSON (`tests.benchmarks.talk`).
"""
