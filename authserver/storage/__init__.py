"""The database: the store Protocols of `core/ports.py` on SQLAlchemy Core, and the migrations that build its tables.

`open_database` in `database.py` is the one door. Imports `core` alone, and alone imports SQLAlchemy and Alembic.
The stores are written once; what SQLite and PostgreSQL do differently stands in `sqlite*.py` and `postgresql*.py`,
of which only one set is ever loaded. Alembic is loaded only when there is something to migrate.
"""
