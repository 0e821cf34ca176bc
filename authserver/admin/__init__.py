"""The management API (`/admin/v1`): JSON in, JSON out, one file for each thing that is administered.

Thin: reads a request, calls one verb of `administration`, shows the result. The same descriptions and models
drive the routes and `/openapi.json`. May import wire, administration and what lies below.
"""
