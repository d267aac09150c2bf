"""Alembic's folder: what brings a database from any released schema to the present one."""
