"""A database of campaigns: the journals of one account in PostgreSQL."""

from __future__ import annotations

from .._postgres.journals import PostgresJournal, PostgresJournals

__all__ = ["CampaignDatabase"]


class CampaignDatabase:
    """The journals of campaigns in PostgreSQL. See `CampaignShelf`."""

    check_every: float = 0.25

    def __init__(self, journals: PostgresJournals) -> None:
        self._journals = journals

    def __repr__(self) -> str:
        return repr(self._journals)

    async def open(self) -> None:
        """Check that the tables are there."""
        await self._journals.names()

    def place(self, name: str) -> PostgresJournal:
        """Return the place of a journal."""
        return self._journals[name]

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        return await self._journals[name].exists()

    def is_seen(self, name: str) -> bool:  # noqa: ARG002
        """Return False: to look takes a connection, and is done now and then."""
        return False

    async def names(self) -> list[str]:
        """Return the names of all campaigns."""
        return await self._journals.names()

    async def is_being_read(self, name: str) -> bool:
        """Whether another process is reading the list of a new campaign into its journal."""
        return await self._journals[name].is_being_written()

    def check_owner(self, name: str) -> None:
        """Do nothing: the database has roles."""
