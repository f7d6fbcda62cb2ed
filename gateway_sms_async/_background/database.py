"""A database of campaigns: the journals of one account in PostgreSQL."""

from __future__ import annotations

from .._postgres.journals import PostgresJournal, PostgresJournals
from .status import ListedCampaign, ShardCounts

__all__ = ["CampaignDatabase"]


class CampaignDatabase:
    """The journals of campaigns in PostgreSQL. See `CampaignShelf`."""

    check_every: float = 0.25
    holds_faults: bool = True

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

    def check_name(self, name: str) -> None:
        """Raise ValueError for a name that no campaign has."""
        self._journals[name]

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        return await self._journals[name].exists()

    def is_seen(self, name: str) -> bool:  # noqa: ARG002
        """Return False: to look takes a connection, and is done now and then."""
        return False

    async def listed(self) -> list[ListedCampaign]:
        """Return all campaigns of the account."""
        return [
            ListedCampaign(
                one.name,
                one.held,
                ShardCounts(one.shards, one.finished, one.running, one.set_aside),
            )
            for one in await self._journals.listed()
        ]

    async def waiting(self) -> list[tuple[str, int]]:
        """Return the free shards that a process should run."""
        return await self._journals.waiting()

    async def why_held(self, name: str) -> str | None:  # noqa: ARG002
        """Return None: the database itself refuses a campaign that is held."""
        return None

    async def clear(self, name: str) -> None:
        """Do nothing: a purge leaves nothing."""

    async def hold(self, name: str, reason: str, *, at_limit: bool = False) -> None:
        """Stop a campaign in all processes."""
        journal = self._journals[name]
        await (journal.hold_at_limit(reason) if at_limit else journal.hold(reason))

    async def go_on(self, name: str, *, after_failover: bool) -> None:
        """Undo `hold`."""
        await self._journals[name].go_on(after_failover=after_failover)

    async def is_being_read(self, name: str) -> bool:
        """Whether another process is reading the list of a new campaign into its journal."""
        return await self._journals[name].is_being_written()

    def check_owner(self, name: str) -> None:
        """Do nothing: the database has roles."""
