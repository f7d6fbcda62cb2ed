"""The address of one journal as text, for the command line: `postgresql://host/database#NAME`."""

from __future__ import annotations

from .journals import PostgresJournal, PostgresJournals

__all__ = ["is_address", "journal_at"]

_SCHEMES = ("postgresql://", "postgres://")


def is_address(text: str) -> bool:
    """Whether a text is an address of PostgreSQL, and no path."""
    return text.startswith(_SCHEMES)


def journal_at(text: str) -> PostgresJournal:
    """Return the journal at an address; raises ValueError if it names none."""
    conninfo, _, name = text.rpartition("#")
    if not name:
        raise ValueError(
            "an address of PostgreSQL names its journal after a number sign: "
            "postgresql://host/database#NAME"
        )
    return PostgresJournals(conninfo)[name]
