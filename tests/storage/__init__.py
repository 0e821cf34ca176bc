"""The storage: one contract that every backend passes, and what is particular to SQLite and to the migrations."""
