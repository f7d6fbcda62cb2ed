"""The journals of a database by their names, as users have them."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from .._arguments import check_number
from .campaign import CampaignRows, DatabaseSettings
from .connection import Database
from .shards import PostgresShards
from .store import ClaimedJournal, OnlyJournal, StoredJournal
from .tables import LISTED, MOST_ATTEMPTS, WAITING

__all__ = ["ListedCampaign", "PostgresJournal", "PostgresJournals"]


class ListedCampaign(NamedTuple):
    """A campaign in a database.

    - `held`: why nothing of it is sent until it is let go on; None if it may be sent.
    - `shards`: how many there are; `finished` need nothing more, `running` are those that a process
      has, and `set_aside` those at which one process after the other died.
    """

    name: str
    held: str | None
    shards: int
    finished: int
    running: int
    set_aside: int


class PostgresJournals:
    """Journals in PostgreSQL, for processes on several machines. Needs the extra `postgres`.

    ```python
    journals = PostgresJournals("postgresql://localhost/sms")
    await journals.install()
    receipt = await gateway.send_bulk(
        recipients, sender="ACME", body="Ciao", journal=journals["spring"]
    )
    ```

    - `conninfo`: the address of the database, or keywords as in `psql`. The user's role needs to
      create a schema for `install`, later only to read and write its tables.
    - `schema`: where the tables are.
    - `account`: a name for the account whose campaigns these are. A campaign of another one is not
      resumed.
    - `lease`: seconds after which another process may take a campaign over if the one that runs it does
      not answer. It is renewed all the time.

    A process that was paused, or cut off from the database, may come back after another one has taken its
    campaign over. Then it sends nothing more, and its campaign ends with a JournalLostError as the cause.

    Raises ValueError or TypeError for an argument that cannot be used. Connects only when a journal is
    used.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "gateway_sms",
        account: str = "default",
        lease: float = 30.0,
    ) -> None:
        for name, value in (("conninfo", conninfo), ("schema", schema), ("account", account)):
            if not isinstance(value, str):
                raise TypeError(f"{name} must be a str, not {type(value).__name__}")
            if not value or "\0" in value:
                raise ValueError(f"{name} must be a text that is not empty")
        if not _SHORTEST_LEASE <= check_number("lease", lease) <= _LONGEST_LEASE:
            raise ValueError(
                f"lease is a number of seconds from {_SHORTEST_LEASE} to {_LONGEST_LEASE}"
            )
        self._settings = DatabaseSettings(conninfo, schema, account, lease)

    async def install(self) -> None:
        """Create the tables, unless they are there. May be repeated.

        Raises JournalError if that is not possible, or if the tables are those of a newer version.
        """
        await asyncio.to_thread(_install, self._settings)

    async def names(self) -> list[str]:
        """Return the names of all campaigns of this account, the oldest first."""
        return [one.name for one in await self.listed()]

    async def listed(self) -> list[ListedCampaign]:
        """Return all campaigns of this account, the oldest first."""
        return await asyncio.to_thread(_listed, self._settings)

    async def waiting(self) -> list[tuple[str, int]]:
        """Return the free shards that a process should run: names, and numbers from 0."""
        return await asyncio.to_thread(_waiting, self._settings)

    def __getitem__(self, name: str) -> PostgresJournal:
        """Return the place of a journal, new or old. `name` has 1 to 200 characters."""
        if not isinstance(name, str):
            raise TypeError(f"the name of a journal is a str, not {type(name).__name__}")
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValueError(
                f"the name of a journal has 1 to {_LONGEST_NAME} characters that can be printed"
            )
        return PostgresJournal(name, self._settings)

    def __repr__(self) -> str:
        # The address may hold a password.
        return f"PostgresJournals(schema={self._settings.schema!r}, lease={self._settings.lease})"


_LONGEST_NAME = 200


_SHORTEST_LEASE = 0.01


_LONGEST_LEASE = 86_400


def _install(settings: DatabaseSettings) -> None:
    database = Database(settings.conninfo, settings.schema, "PostgreSQL")
    try:
        database.install()
    finally:
        database.close()


def _listed(settings: DatabaseSettings) -> list[ListedCampaign]:
    database = Database(settings.conninfo, settings.schema, "PostgreSQL")
    values = _values(settings, database)
    try:
        return [ListedCampaign(*row) for row in database.all(LISTED, values)]
    finally:
        database.close()


def _waiting(settings: DatabaseSettings) -> list[tuple[str, int]]:
    database = Database(settings.conninfo, settings.schema, "PostgreSQL")
    values = _values(settings, database)
    try:
        return [(name, shard) for name, shard in database.all(WAITING, values)]
    finally:
        database.close()


def _values(settings: DatabaseSettings, database: Database) -> dict[str, object]:
    return {
        "account": settings.account,
        "most": MOST_ATTEMPTS,
        "server": database.server.identifier,
        "timeline": database.server.timeline,
    }


class PostgresJournal:
    """The place of one journal, or of the shards of one campaign, in a database."""

    def __init__(self, name: str, settings: DatabaseSettings) -> None:
        self.name = name
        self._rows = CampaignRows(name, settings)

    def __str__(self) -> str:
        return str(self._rows)

    def __repr__(self) -> str:
        return f"PostgresJournal({self.name!r})"

    @property
    def handle(self) -> PostgresJournal:
        """What a user gives to resume it: this."""
        return self

    async def exists(self) -> bool:
        """Whether there is a journal of this name, with its whole list."""
        return await asyncio.to_thread(self._rows.exists)

    async def is_being_written(self) -> bool:
        """Whether another process writes the list of a new campaign of this name."""
        return await asyncio.to_thread(self._rows.is_being_written)

    async def hold(self, reason: str = "stopped on request") -> None:
        """Stop the campaign, wherever it runs, until `go_on`. Raises JournalError if there is none.

        The processes that run it know within two seconds; their requests in flight complete. A campaign
        that is held already keeps its first reason.
        """
        await asyncio.to_thread(self._rows.hold, reason, at_limit=False)

    async def hold_at_limit(self, reason: str) -> None:
        """Stop the campaign until `resume_bulk` is given another limit, or `go_on`."""
        await asyncio.to_thread(self._rows.hold, reason, at_limit=True)

    async def go_on(self, *, after_failover: bool = False) -> None:
        """Let the campaign go on, with the shards that were set aside. Starts nothing by itself.

        `after_failover=True` also accepts a standby that has taken over, or a restored database. Say so
        only if it has all that was ever acknowledged, as a synchronous standby has, and if the old one
        sends nothing any more: what is missing would be sent again. From then on each message is one
        POST and one close, so that counts alone prove it.

        Raises JournalError if there is no such campaign.
        """
        await asyncio.to_thread(self._rows.go_on, after_failover=after_failover)

    # What a campaign asks of it. These block.

    def check_new(self) -> None:
        """Raise JournalExistsError if there is a journal of this name."""
        self._rows.check_new()

    def create(self) -> OnlyJournal:
        """Create a journal, which others see when it is published."""
        return self._rows.create()

    def open(self) -> ClaimedJournal:
        """Claim the only journal of a campaign."""
        return self._rows.claim(0)

    def read(self) -> tuple[StoredJournal, bool]:
        """Return the journal as it is now, and whether a process runs its campaign."""
        return self._rows.read()

    def snapshot(self) -> StoredJournal:
        """Return the journal as it is now."""
        return self._rows.read_shard(0)

    def peek(self) -> StoredJournal:
        """Return the journal for a moment."""
        return self._rows.read_shard(0)

    def raise_limit(self) -> None:
        """Let the campaign go on, if a limit has stopped it for all processes."""
        self._rows.raise_limit()

    def create_shards(self) -> PostgresShards:
        """Reserve the name of a new campaign in shards."""
        self._rows.check_new()
        return PostgresShards(self._rows, self, None)

    def open_shards(self) -> PostgresShards | None:
        """Return the shards of a campaign; None if it has only one journal."""
        found = self._rows.look_to_run()
        return None if found.shards == 1 else PostgresShards(self._rows, self, found)

    def read_shards(self) -> PostgresShards | None:
        """Return the shards of a campaign to read them; None if it has only one journal."""
        found = self._rows.look()
        return None if found.shards == 1 else PostgresShards(self._rows, self, found)
