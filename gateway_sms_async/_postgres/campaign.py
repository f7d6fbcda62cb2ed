"""The rows of one campaign: found, begun, claimed and read by its name."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass, field
from typing import NamedTuple

from ..errors import JournalError, JournalExistsError, JournalHeldError, JournalLockedError
from .connection import Database, Server
from .store import ClaimedJournal, OnlyJournal, Shard, StoredJournal
from .tables import (
    ADOPT_SERVER,
    FIND,
    GO_ON,
    HOLD,
    INSERT_CAMPAIGN,
    INSERT_SHARDS,
    LOCK_NAME,
    MOST_ATTEMPTS,
    RAISE_LIMIT,
    TAKE_BACK,
)

__all__ = ["CampaignRows", "DatabaseSettings", "FoundCampaign"]


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where the tables are, whose campaigns are meant, and for how long a claim holds."""

    conninfo: str = field(repr=False)
    schema: str
    account: str
    lease: float


class FoundCampaign(NamedTuple):
    """A campaign as the database has it.

    - `held`: why nothing of it is sent; None if it may be.
    - `running`: a process has one of its shards.
    """

    id: int
    account: str
    shards: int
    total: int
    limited: bool
    server: str
    timeline: int
    held: str | None
    running: bool


class CampaignRows:
    """The rows of a campaign. Every method connects anew, or is given a connection. Blocks."""

    def __init__(self, name: str, settings: DatabaseSettings) -> None:
        self.name = name
        self._settings = settings

    def __str__(self) -> str:
        return f"journal {self.name!r} in PostgreSQL"

    def exists(self) -> bool:
        """Whether there is a campaign of this name, with its whole list."""
        database = self.connect()
        try:
            return database.one(FIND, {"name": self.name}) is not None
        finally:
            database.close()

    def is_being_written(self) -> bool:
        """Whether another process writes the list of a new campaign of this name."""
        database = self.connect()
        try:
            return database.one(LOCK_NAME, self._lock) != (True,)
        finally:
            database.close()

    @property
    def _lock(self) -> dict[str, object]:
        return {"lock": f"gateway_sms {self._settings.schema} {self.name}"}

    def check_new(self) -> None:
        """Raise JournalExistsError if there is a campaign of this name."""
        if self.exists():
            raise self._already_there()

    def create(self) -> OnlyJournal:
        """Begin a campaign with one journal, which others see when it is published."""
        database = self.connect()
        try:
            campaign = self.insert(database, shards=1)
            shard = Shard(str(self), campaign, 0)
            return OnlyJournal(database, shard, owner=_owner(), lease=self._settings.lease)
        except BaseException:
            database.close()
            raise

    def look(self) -> FoundCampaign:
        """Return the campaign as it is now."""
        database = self.connect()
        try:
            return self.find(database)
        finally:
            database.close()

    def look_to_run(self) -> FoundCampaign:
        """Return the campaign; raises JournalError for a copy of the database, or if it is held."""
        database = self.connect()
        try:
            found = self.find(database)
            self._check_server(found, database.server)
            if found.held is not None:
                raise JournalHeldError(f"{self}: {found.held}", reason=found.held)
            return found
        finally:
            database.close()

    def read(self) -> tuple[StoredJournal, bool]:
        """Return the first journal as it is now, and whether a process runs the campaign."""
        database = self.connect()
        try:
            found = self.find(database)
            return self._as_it_is(database, found, 0), found.running
        except BaseException:
            database.close()
            raise

    def claim(
        self, shard: int, *, claims_all: bool = False, campaign: int | None = None
    ) -> ClaimedJournal:
        """Claim one shard of a campaign; with `claims_all`, while no process has another one.

        `campaign` is the id of the one that is meant, if that is known.
        """
        database = self.connect()
        try:
            found = self.find(database)
            if campaign not in {None, found.id}:
                raise JournalError(
                    f"{self}: the campaign was deleted, and its name is that of another one now"
                )
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

    def hold(self, reason: str, *, at_limit: bool) -> None:
        """Stop the campaign, wherever it runs; `at_limit`: until a run has another limit."""
        database = self.connect()
        try:
            found = self.find(database)
            values = {"campaign": found.id, "reason": reason, "at_limit": at_limit}
            database.run(HOLD, values)
        finally:
            database.close()

    def raise_limit(self) -> None:
        """Let the campaign go on, if a limit has stopped it."""
        database = self.connect()
        try:
            database.run(RAISE_LIMIT, {"campaign": self.find(database).id})
        finally:
            database.close()

    def go_on(self, *, after_failover: bool) -> None:
        """Let the campaign go on, with the shards that were set aside."""
        database = self.connect()
        try:
            found = self.find(database)
            if not after_failover:
                self._check_server(found, database.server)
            database.begin()
            if after_failover:
                server = database.server
                values = {"server": server.identifier, "timeline": server.timeline}
                database.run(ADOPT_SERVER, {"campaign": found.id, **values})
            database.run(TAKE_BACK, {"campaign": found.id, "most": MOST_ATTEMPTS})
            database.run(GO_ON, {"campaign": found.id})
            database.commit()
        finally:
            database.close()

    def read_shard(self, shard: int) -> StoredJournal:
        """Return the journal of a shard as it is now."""
        database = self.connect()
        try:
            return self._as_it_is(database, self.find(database), shard)
        except BaseException:
            database.close()
            raise

    def _as_it_is(self, database: Database, found: FoundCampaign, shard: int) -> StoredJournal:
        database.begin_to_read()
        return StoredJournal(database, Shard(self.text_of(shard), found.id, shard))

    def text_of(self, shard: int) -> str:
        """Return what names a shard in errors."""
        return str(self) if not shard else f"{self}, shard {shard + 1}"

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
        database.be_patient()
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

    def find(self, database: Database) -> FoundCampaign:
        """Return the campaign of this name; raises JournalError if there is none of the account."""
        row = database.one(FIND, {"name": self.name})
        if row is None:
            raise JournalError(f"{self}: there is no journal here")
        found = FoundCampaign(*row)
        if found.account != self._settings.account:
            raise JournalError(
                f"{self}: it is a campaign of the account {found.account!r}, and this is "
                f"{self._settings.account!r}"
            )
        return found

    def _check_server(self, found: FoundCampaign, server: Server) -> None:
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
                "twice; it is not resumed. If nothing can be missing, such as after a synchronous "
                "standby took over, go_on(after_failover=True) lets it continue"
            )

    def _already_there(self) -> JournalExistsError:
        return JournalExistsError(
            f"{self}: this name is already used. If the campaign in it is unfinished, resume it; "
            "otherwise purge it, or use another name"
        )


def _owner() -> str:
    """Return a name for this claim, for people who look at the table."""
    return f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"
