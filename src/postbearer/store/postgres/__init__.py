"""The spool on PostgreSQL 13 and later, shared by several nodes."""
