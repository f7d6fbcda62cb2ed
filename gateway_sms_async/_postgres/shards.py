"""The shards of one campaign in a database."""

from __future__ import annotations

import shutil
import sys
import tempfile
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

from .._journal_place import JournalPlace
from .._shards.shared import Shared
from .._shards.spool import Spool
from ..errors import JournalError, JournalLockedError
from .campaign import CampaignRows, FoundCampaign
from .connection import Database
from .store import ClaimedJournal, NewJournal, Shard, StoredJournal
from .tables import EXCHANGE, LEARNED, PUBLISH, PUBLISH_PLACES, PURGE, READ_PLACES

__all__ = ["PostgresShards"]


class _ShardPlace:
    """The place of the journal of one shard."""

    def __init__(self, shards: PostgresShards, shard: int) -> None:
        self._shards = shards
        self._shard = shard

    def __str__(self) -> str:
        return self._shards.rows.text_of(self._shard)

    @property
    def handle(self) -> JournalPlace:
        """What a user gives to resume it: the campaign."""
        return self._shards.handle

    def check_new(self) -> None:
        """Do nothing: the campaign is new."""

    def create(self) -> NewJournal:
        """Create the journal, in the transaction of its campaign."""
        return self._shards.new_journal(self._shard)

    def open(self) -> ClaimedJournal:
        """Claim the shard."""
        return self._shards.rows.claim(
            self._shard,
            claims_all=self._shards.claims_all,
            campaign=int(self._shards.campaign),
        )

    def read(self) -> tuple[StoredJournal, bool]:
        """Return the journal as it is now."""
        return self.snapshot(), False

    def snapshot(self) -> StoredJournal:
        """Return the journal as it is now."""
        return self._shards.snapshot(self._shard)

    def peek(self) -> StoredJournal:
        """Return the journal for a moment."""
        return self.snapshot()

    def raise_limit(self) -> None:
        """Do nothing: the limit is that of the campaign."""


class _Snapshot(StoredJournal):
    """A journal as it is now, read over a connection that serves the other shards later."""

    def __init__(self, database: Database, shard: Shard, close: Callable[[Database], None]) -> None:
        super().__init__(database, shard)
        self._give_back = close

    def close(self) -> None:
        """Give the connection back."""
        give_back, self._give_back = self._give_back, _nothing
        give_back(self._database)


def _nothing(_: Database) -> None:
    """Close nothing: it is closed."""


class PostgresShards:
    """The shards of one campaign. Several processes may run them at the same time, each its own."""

    is_shared: bool = True
    claims_all: bool = False

    def __init__(
        self, rows: CampaignRows, handle: JournalPlace, found: FoundCampaign | None
    ) -> None:
        self.rows = rows
        self._handle = handle
        self._found = found
        self._is_published = found is not None
        self._count = 0 if found is None else found.shards
        self._total = 0 if found is None else found.total
        self._new: tuple[Database, int] | None = None
        # Connections to read with: to connect takes longer than to read a journal.
        self._idle: list[Database] = []
        self._folder: Path | None = None
        self._closed = False
        self.campaign: str = "" if found is None else str(found.id)

    def __str__(self) -> str:
        return str(self.rows)

    @property
    def handle(self) -> JournalPlace:
        """What a user gives to resume the campaign."""
        return self._handle

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
        database = self.rows.connect()
        try:
            self._new = database, self.rows.insert(database, shards=shards)
            self._count = shards
            self.campaign = str(self._new[1])
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
        return NewJournal(database, Shard(self.rows.text_of(shard), campaign, shard))

    def places(self, shard: int) -> Sequence[int]:
        """Return the positions in the source of the recipients of a shard."""
        database = self._borrow()
        try:
            row = database.one(READ_PLACES, {"campaign": int(self.campaign), "shard": shard})
        finally:
            self._give_back(database)
        places = array("I")
        places.frombytes(b"" if row is None else row[0] or b"")
        if sys.byteorder == "big":
            places.byteswap()
        return places

    def snapshot(self, shard: int) -> StoredJournal:
        """Return the journal of a shard as it is now."""
        database = self._borrow()
        try:
            database.begin_to_read()
            found = Shard(self.rows.text_of(shard), int(self.campaign), shard)
            return _Snapshot(database, found, self._give_back)
        except BaseException:
            database.close()
            raise

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

    def exchange(self, news: Shared) -> Shared:
        """Tell the news of this process to the others, and return the knowledge of all together."""
        values = {"campaign": int(self.campaign), **news._asdict()}
        database = self._borrow()
        try:
            if news.closures or news.careful:
                database.run(EXCHANGE, values)
            row = database.one(LEARNED, values)
        finally:
            self._give_back(database)
        # A campaign that was purged meanwhile has nothing to tell.
        return news if row is None else Shared(*row)

    def remove(self) -> None:
        """Delete the campaign, if it is finished and no process runs one of its shards."""
        database = self._borrow()
        database.be_patient()
        try:
            removed = database.one(PURGE, {"campaign": int(self.campaign)})
        finally:
            self._give_back(database)
        if removed is None:
            raise JournalLockedError(
                f"{self}: another process is using this journal, has deleted it, or it is not finished"
            )

    def close(self) -> None:
        """End the transaction of a campaign that was not published: nothing of it stays."""
        self._closed = True
        self._end_writing()
        self._close_idle()

    def _borrow(self) -> Database:
        while True:
            try:
                database = self._idle.pop()
            except IndexError:
                return self.rows.connect()
            # The server, or something between, may have ended it meanwhile.
            if database.answers():
                return database
            database.close()

    def _give_back(self, database: Database) -> None:
        """Keep a connection for the next one who reads, unless it is broken."""
        try:
            database.roll_back()
        except JournalError:
            database.close()
            return
        self._idle.append(database)
        if self._closed:
            self._close_idle()

    def _close_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _end_writing(self) -> None:
        new, self._new = self._new, None
        if new is not None:
            new[0].close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
