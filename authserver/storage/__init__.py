"""The database: the store Protocols of `core/ports.py` on SQLAlchemy Core, and the migrations that build its tables.

`open_database` in `database.py` is the one door. Imports `core` alone, and alone imports SQLAlchemy and Alembic.
Alembic is loaded only when there is something to migrate.
"""
