"""Journals in PostgreSQL, for campaigns that outlive their machine. Needs the extra `postgres`."""

from ._postgres.journals import PostgresJournal, PostgresJournals

__all__ = ["PostgresJournal", "PostgresJournals"]
