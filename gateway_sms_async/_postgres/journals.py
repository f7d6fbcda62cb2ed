"""The journals of a database: named, claimed, and shown to every process."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from .._arguments import check_number
from .._shards.spool import Spool
from ..errors import (
    JournalError,
    JournalExistsError,
    JournalLockedError,
)
from .connection import Database, Server
from .store import ClaimedJournal, NewJournal, OnlyJournal, Shard, StoredJournal
from .tables import (
    DELETE,
    FIND,
    INSERT_CAMPAIGN,
    INSERT_SHARDS,
    LOCK_NAME,
    NAMES,
    PUBLISH,
    PUBLISH_PLACES,
    READ_PLACES,
)

__all__ = ["PostgresJournal", "PostgresJournals", "PostgresShards"]


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
        self._settings = _Settings(conninfo, schema, account, lease)

    async def install(self) -> None:
        """Create the tables, unless they are there. May be repeated.

        Raises JournalError if that is not possible, or if the tables are those of a newer version.
        """
        await asyncio.to_thread(_install, self._settings)

    async def names(self) -> list[str]:
        """Return the names of all campaigns of this account, the oldest first."""
        return await asyncio.to_thread(_names, self._settings)

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


@dataclass(frozen=True, slots=True)
class _Settings:
    conninfo: str = field(repr=False)
    schema: str
    account: str
    lease: float


def _install(settings: _Settings) -> None:
    database = Database(settings.conninfo, settings.schema, "PostgreSQL")
    try:
        database.install()
    finally:
        database.close()


def _names(settings: _Settings) -> list[str]:
    database = Database(settings.conninfo, settings.schema, "PostgreSQL")
    try:
        return [name for (name,) in database.all(NAMES, {"account": settings.account})]
    finally:
        database.close()


class _Campaign(NamedTuple):
    """A campaign as the database has it. `running`: a process has one of its shards."""

    id: int
    account: str
    shards: int
    total: int
    limited: bool
    server: str
    timeline: int
    running: bool


class PostgresJournal:
    """The place of one journal, or of the shards of one campaign, in a database."""

    def __init__(self, name: str, settings: _Settings) -> None:
        self.name = name
        self._settings = settings

    def __str__(self) -> str:
        return f"journal {self.name!r} in PostgreSQL"

    def __repr__(self) -> str:
        return f"PostgresJournal({self.name!r})"

    @property
    def handle(self) -> PostgresJournal:
        """What a user gives to resume it: this."""
        return self

    async def exists(self) -> bool:
        """Whether there is a journal of this name, with its whole list."""
        return await asyncio.to_thread(self._exists)

    async def is_being_written(self) -> bool:
        """Whether another process writes the list of a new campaign of this name."""
        return await asyncio.to_thread(self._is_being_written)

    def _exists(self) -> bool:
        database = self.connect()
        try:
            return database.one(FIND, {"name": self.name}) is not None
        finally:
            database.close()

    def _is_being_written(self) -> bool:
        database = self.connect()
        try:
            return database.one(LOCK_NAME, self._lock) != (True,)
        finally:
            database.close()

    @property
    def _lock(self) -> dict[str, object]:
        return {"lock": f"gateway_sms {self._settings.schema} {self.name}"}

    def check_new(self) -> None:
        """Raise JournalExistsError if there is a journal of this name."""
        if self._exists():
            raise self._already_there()

    def create(self) -> OnlyJournal:
        """Create a journal, which others see when it is published."""
        database = self.connect()
        try:
            campaign = self.insert(database, shards=1)
            shard = Shard(str(self), campaign, 0)
            return OnlyJournal(database, shard, owner=_owner(), lease=self._settings.lease)
        except BaseException:
            database.close()
            raise

    def open(self) -> ClaimedJournal:
        """Claim the only journal of a campaign."""
        return self.claim(0)

    def read(self) -> tuple[StoredJournal, bool]:
        """Return the journal as it is now, and whether a process runs its campaign."""
        database = self.connect()
        try:
            found = self.find(database)
            return self._as_it_is(database, found, 0), found.running
        except BaseException:
            database.close()
            raise

    def snapshot(self) -> StoredJournal:
        """Return the journal as it is now."""
        return self.read_shard(0)

    def peek(self) -> StoredJournal:
        """Return the journal for a moment."""
        return self.read_shard(0)

    # For the shards of a campaign

    def claim(self, shard: int, *, claims_all: bool = False) -> ClaimedJournal:
        """Claim one shard of a campaign; with `claims_all`, while nobody has another one."""
        database = self.connect()
        try:
            found = self.find(database)
            self._check_server(found, database.server)
            return ClaimedJournal.claim(
                database,
                Shard(self.text_of(shard), found.id, shard),
                owner=_owner(),
                lease=self._settings.lease,
                limited=found.shards > 1 and (found.limited or claims_all),
            )
        except BaseException:
            database.close()
            raise

    def read_shard(self, shard: int) -> StoredJournal:
        """Return the journal of a shard as it is now."""
        database = self.connect()
        try:
            return self._as_it_is(database, self.find(database), shard)
        except BaseException:
            database.close()
            raise

    def _as_it_is(self, database: Database, found: _Campaign, shard: int) -> StoredJournal:
        database.begin_to_read()
        return StoredJournal(database, Shard(self.text_of(shard), found.id, shard))

    def text_of(self, shard: int) -> str:
        """Return what names a shard in errors."""
        return str(self) if not shard else f"{self}, shard {shard + 1}"

    def create_shards(self) -> PostgresShards:
        """Reserve the name of a new campaign."""
        self.check_new()
        return PostgresShards(self, None)

    def open_shards(self) -> PostgresShards | None:
        """Return the shards of a campaign; None if it has only one journal."""
        database = self.connect()
        try:
            found = self.find(database)
            self._check_server(found, database.server)
        finally:
            database.close()
        return None if found.shards == 1 else PostgresShards(self, found)

    def read_shards(self) -> PostgresShards | None:
        """Return the shards of a campaign to read them; None if it has only one journal."""
        database = self.connect()
        try:
            found = self.find(database)
        finally:
            database.close()
        return None if found.shards == 1 else PostgresShards(self, found)

    def connect(self) -> Database:
        """Return a connection, which the caller closes."""
        database = Database(self._settings.conninfo, self._settings.schema, self)
        try:
            database.check_version()
        except BaseException:
            database.close()
            raise
        return database

    def insert(self, database: Database, *, shards: int) -> int:
        """Begin the transaction of a new campaign, and return its id."""
        database.begin()
        if database.one(LOCK_NAME, self._lock) != (True,):
            raise JournalLockedError(f"{self}: another process is using this journal")
        row = database.one(
            INSERT_CAMPAIGN,
            {
                "name": self.name,
                "account": self._settings.account,
                "shards": shards,
                "server": database.server.identifier,
                "timeline": database.server.timeline,
            },
        )
        if row is None:
            raise self._already_there()
        database.run(INSERT_SHARDS, {"campaign": row[0], "shards": shards})
        return int(row[0])

    def find(self, database: Database) -> _Campaign:
        """Return the campaign of this name; raises JournalError if there is none of the account."""
        row = database.one(FIND, {"name": self.name})
        if row is None:
            raise JournalError(f"{self}: there is no journal here")
        found = _Campaign(*row)
        if found.account != self._settings.account:
            raise JournalError(
                f"{self}: it is a campaign of the account {found.account!r}, and this is "
                f"{self._settings.account!r}"
            )
        return found

    def _check_server(self, found: _Campaign, server: Server) -> None:
        """Raise JournalError for a copy of the database, or one whose end may be missing."""
        if found.server != server.identifier:
            raise JournalError(
                f"{self}: the campaign was begun in another database, of which this is a copy: the "
                "original may send it as well; resume it there"
            )
        if found.timeline != server.timeline:
            raise JournalError(
                f"{self}: a standby has taken over, or a backup was restored, since the campaign was "
                "begun: what was written last may be missing here, so recipients could get the text "
                "twice; it is not resumed"
            )

    def _already_there(self) -> JournalExistsError:
        return JournalExistsError(
            f"{self}: this name is already used. If the campaign in it is unfinished, resume it; "
            "otherwise purge it, or use another name"
        )


class _ShardPlace:
    """The place of the journal of one shard."""

    def __init__(self, shards: PostgresShards, shard: int) -> None:
        self._shards = shards
        self._shard = shard

    def __str__(self) -> str:
        return self._shards.place.text_of(self._shard)

    @property
    def handle(self) -> PostgresJournal:
        """What a user gives to resume it: the campaign."""
        return self._shards.place

    def check_new(self) -> None:
        """Do nothing: the campaign is new."""

    def create(self) -> NewJournal:
        """Create the journal, in the transaction of its campaign."""
        return self._shards.new_journal(self._shard)

    def open(self) -> ClaimedJournal:
        """Claim the shard."""
        return self._shards.place.claim(self._shard, claims_all=self._shards.claims_all)

    def read(self) -> tuple[StoredJournal, bool]:
        """Return the journal as it is now."""
        return self.snapshot(), False

    def snapshot(self) -> StoredJournal:
        """Return the journal as it is now."""
        return self._shards.place.read_shard(self._shard)

    def peek(self) -> StoredJournal:
        """Return the journal for a moment."""
        return self.snapshot()


class PostgresShards:
    """The shards of one campaign. Several processes may run them at the same time, each its own."""

    is_shared: bool = True
    claims_all: bool = False

    def __init__(self, place: PostgresJournal, found: _Campaign | None) -> None:
        self.place = place
        self._found = found
        self._is_published = found is not None
        self._count = 0 if found is None else found.shards
        self._total = 0 if found is None else found.total
        self._new: tuple[Database, int] | None = None
        self._folder: Path | None = None
        self._closed = False

    def __str__(self) -> str:
        return str(self.place)

    @property
    def handle(self) -> PostgresJournal:
        """What a user gives to resume the campaign."""
        return self.place

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return self._count

    @property
    def total(self) -> int:
        """How many recipients the source has."""
        return self._total

    @property
    def is_published(self) -> bool:
        """Whether the campaign is in the database for others to see."""
        return self._is_published

    @property
    def is_in_use(self) -> bool:
        """Whether another process runs one of the shards."""
        return self._found is not None and self._found.running

    def begin(self, shards: int) -> list[Spool]:
        """Begin the transaction of a new campaign, and return a file for the recipients of each shard."""
        database = self.place.connect()
        try:
            self._new = database, self.place.insert(database, shards=shards)
            self._count = shards
            folder = self._folder = Path(tempfile.mkdtemp(prefix="gateway-sms-"))
        except BaseException:
            database.close()
            raise
        return [
            Spool(folder / f"{shard}.spool", folder / f"{shard}.places", self.check_lock)
            for shard in range(shards)
        ]

    def journal(self, shard: int) -> _ShardPlace:
        """Return the place of the journal of a shard."""
        return _ShardPlace(self, shard)

    def new_journal(self, shard: int) -> NewJournal:
        """Return the journal of a shard whose recipients are written."""
        self.check_lock()
        assert self._new is not None, "the campaign is published"
        database, campaign = self._new
        return NewJournal(database, Shard(self.place.text_of(shard), campaign, shard))

    def places(self, shard: int) -> Sequence[int]:
        """Return the positions in the source of the recipients of a shard."""
        database = self.place.connect()
        try:
            found = self.place.find(database)
            row = database.one(READ_PLACES, {"campaign": found.id, "shard": shard})
        finally:
            database.close()
        places = array("I")
        places.frombytes(b"" if row is None else row[0] or b"")
        if sys.byteorder == "big":
            places.byteswap()
        return places

    def publish(self, total: int, spools: Sequence[Spool], *, limited: bool) -> None:
        """Make all durable at once: from now on a resume needs only the database."""
        self.check_lock()
        assert self._new is not None, "the campaign is published"
        database, campaign = self._new
        for shard, spool in enumerate(spools):
            values = {"campaign": campaign, "shard": shard, "places": spool.read_places()}
            database.run(PUBLISH_PLACES, values)
        database.run(PUBLISH, {"campaign": campaign, "total": total, "limited": limited})
        database.commit()
        self._is_published = True
        self._total = total
        self._end_writing()

    def check_lock(self) -> None:
        """Raise JournalError if the campaign was closed."""
        if self._closed:
            raise JournalError(f"{self}: the campaign has ended")

    def remove(self) -> None:
        """Delete the campaign, unless a process runs one of its shards."""
        database = self.place.connect()
        try:
            found = self.place.find(database)
            if found.running:
                raise JournalLockedError(f"{self}: another process is using this journal")
            database.one(DELETE, {"campaign": found.id})
        finally:
            database.close()

    def close(self) -> None:
        """End the transaction of a campaign that was not published: nothing of it stays."""
        self._closed = True
        self._end_writing()

    def _end_writing(self) -> None:
        new, self._new = self._new, None
        if new is not None:
            new[0].close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _owner() -> str:
    """Return a name for this claim, for people who look at the table."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"
