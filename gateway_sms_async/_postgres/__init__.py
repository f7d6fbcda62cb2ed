"""Journals in PostgreSQL: tables, a journal in them, and what a worker has to claim before it writes."""
