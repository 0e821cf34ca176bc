"""A small server beside a service: forward-auth, introspection and keys from a local copy of what the centre knows."""
