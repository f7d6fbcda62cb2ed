"""One journal in PostgreSQL. Each method blocks, and all are called on one thread."""

from __future__ import annotations

import os
import uuid
import zlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import Any, LiteralString, NamedTuple, Self

from .._journal.reading import CHECKSUM, sealed
from ..errors import (
    JournalCorruptError,
    JournalError,
    JournalHeldError,
    JournalLockedError,
    JournalLostError,
)
from .connection import Database
from .tables import (
    CLAIM,
    COMMIT,
    DELETE,
    INSERT_META,
    INSERT_RECIPIENTS,
    LOCK_SHARDS,
    LOG,
    META,
    MOST_ATTEMPTS,
    RECIPIENTS,
    REFUSAL,
    RELEASE,
    RENEW,
    SIZE,
    SUSPECT,
)

__all__ = ["ClaimedJournal", "NewJournal", "OnlyJournal", "Shard", "StoredJournal"]


_HEAR_EVERY = 2.0
"""The most seconds until a process knows that its campaign is held."""


_PROCESS = uuid.uuid4().hex
"""Names this process; one that is forked from it has another process id."""


class Shard(NamedTuple):
    """One shard of a campaign in a database; `name` names it in errors."""

    name: str
    campaign: int
    shard: int

    @property
    def keys(self) -> dict[str, object]:
        """The values that name it in a statement."""
        return {"campaign": self.campaign, "shard": self.shard}


class Claim(NamedTuple):
    """A claim: its epoch, how many records the log has, and whether to be careful."""

    epoch: int
    last_number: int
    careful: bool


class StoredJournal:
    """A journal that is only read.

    `last_number` is how many records its log must have, None if that is not known.
    """

    last_number: int | None = None

    def __init__(self, database: Database, shard: Shard) -> None:
        self._database = database
        self._shard = shard
        self._number = 0
        self._chain = 0

    def meta(self) -> dict[str, bytes]:
        """Return the settings and the counts of the source."""
        rows = self._database.all(META, self._shard.keys)
        if not rows:
            # Purged by another process since it was found.
            raise JournalError(f"{self._shard.name}: there is no journal here any more")
        return {name: self._unsealed(value, 0) for name, value in rows}

    def recipients(self, ordinal: int) -> tuple[int, bytes]:
        """Return the first ordinal of the row that has this ordinal, and the row."""
        row = self._database.one(RECIPIENTS, {**self._shard.keys, "ordinal": ordinal})
        if row is None:
            raise self._damaged("recipients are missing")
        return row[0], self._unsealed(row[1], row[0])

    def log(self) -> Generator[bytes]:
        """Yield the records of the log from its beginning."""
        self._number = self._chain = 0
        for number, value in self._database.all(LOG, self._shard.keys):
            self._number += 1
            self._chain = zlib.crc32(value[CHECKSUM:], self._chain)
            if number != self._number or value[:CHECKSUM] != self._chain.to_bytes(CHECKSUM):
                raise self._damaged("records are missing from its log, or damaged")
            yield value[CHECKSUM:]
        if self.last_number is not None and self._number != self.last_number:
            raise self._damaged("the end of its log is missing")

    def size(self) -> int:
        """Return how many bytes the recipients take."""
        row = self._database.one(SIZE, self._shard.keys)
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _unsealed(self, stored: bytes, salt: int) -> bytes:
        if sealed(stored[CHECKSUM:], salt) != stored:
            raise self._damaged("a checksum is wrong")
        return stored[CHECKSUM:]

    def _damaged(self, how: str) -> JournalCorruptError:
        return JournalCorruptError(
            f"{self._shard.name}: the journal is damaged ({how}); do not send its list again before "
            "you have looked at the messages of the account"
        )


class ClaimedJournal(StoredJournal):
    """A journal that this process has claimed, so that it alone writes it."""

    renew_every: float | None

    def __init__(self, database: Database, shard: Shard, claim: Claim, *, lease: float) -> None:
        super().__init__(database, shard)
        self.last_number: int | None = claim.last_number
        self.careful: bool = claim.careful
        self.renew_every = renew_every(lease)
        self._epoch = claim.epoch
        self._lease = lease
        self._broken = False

    @classmethod
    def claim(
        cls, database: Database, shard: Shard, *, owner: str, lease: float, limited: bool
    ) -> Self:
        """Claim a journal; raises JournalLockedError while another process has it."""
        database.begin()
        claimed = claim(database, shard, owner=owner, lease=lease, limited=limited)
        database.commit()
        return cls(database, shard, claimed, lease=lease)

    def add_recipients(self, first: int, value: bytes) -> None:  # noqa: ARG002
        """Raise JournalError: the source is whole."""
        raise JournalError(f"{self._shard.name}: the journal is published")

    def publish(self, meta: Mapping[str, bytes]) -> None:  # noqa: ARG002
        """Raise JournalError: the source is whole."""
        raise JournalError(f"{self._shard.name}: the journal is published")

    def commit(self, values: Sequence[bytes], *, finished: bool = False) -> None:
        """Append to the log: all values or none, durable when this returns.

        Raises JournalLostError if another process has claimed the journal.
        """
        broken, self._broken = self._broken, True
        if broken:
            raise JournalError(
                f"{self._shard.name}: an earlier write has failed; nothing more is written"
            )
        number, chain = self._number, self._chain
        rows: list[bytes] = []
        for value in values:
            chain = zlib.crc32(value, chain)
            rows.append(chain.to_bytes(CHECKSUM) + value)
        last = number + len(rows)
        written = self._fenced(
            COMMIT,
            before=number,
            last=last,
            finished=finished,
            numbers=list(range(number + 1, last + 1)),
            values=rows,
        )
        if written is None or written[0] != len(rows):
            raise self._lost()
        self._number, self._chain = last, chain
        self._broken = False

    def renew(self) -> str | None:
        """Keep other processes out for another lease; return why the campaign is held, if it is."""
        row = self._fenced(RENEW)
        if row is None:
            raise self._lost()
        held: str | None = row[0]
        return held

    def remove(self) -> None:
        """Delete the campaign."""
        self.renew()
        self._database.be_patient()
        if self._database.one(DELETE, self._shard.keys) is None:
            raise self._lost()

    def close(self) -> None:
        """Let others claim the journal at once, and close the connection."""
        try:
            # If the database is gone, they wait until the lease is over.
            with suppress(JournalError):
                self._database.run(RELEASE, {**self._shard.keys, "epoch": self._epoch})
        finally:
            super().close()

    def _fenced(self, statement: LiteralString, **values: object) -> tuple[Any, ...] | None:
        return self._database.one(
            statement,
            {**self._shard.keys, "epoch": self._epoch, "lease": self._lease, **values},
        )

    def _lost(self) -> JournalLostError:
        return JournalLostError(
            f"{self._shard.name}: another process has taken this journal over, because this one did "
            "not answer for the time of its lease, or it was deleted; nothing more is sent from here"
        )


class NewJournal(StoredJournal):
    """A journal whose recipients are written, in the transaction of its campaign.

    `publish` only stores: the campaign makes all of its journals durable at once.
    """

    renew_every: float | None = None
    careful: bool = False

    def add_recipients(self, first: int, value: bytes) -> None:
        """Store some recipients of the source."""
        row = {**self._shard.keys, "first": first, "value": sealed(value, first)}
        self._database.run(INSERT_RECIPIENTS, row)

    def publish(self, meta: Mapping[str, bytes]) -> None:
        """Store the settings and the counts of the source."""
        for name, value in meta.items():
            row = {**self._shard.keys, "name": name, "value": sealed(value, 0)}
            self._database.run(INSERT_META, row)

    def commit(self, values: Sequence[bytes], *, finished: bool = False) -> None:  # noqa: ARG002
        """Raise JournalError: nothing is sent before the campaign is published."""
        raise JournalError(f"{self._shard.name}: the journal is not published")

    def renew(self) -> str | None:
        """Return None: the transaction keeps others out."""
        return None

    def remove(self) -> None:
        """Raise JournalError: there is nothing to delete."""
        raise JournalError(f"{self._shard.name}: the journal is not published")

    def close(self) -> None:
        """Do nothing: the connection is that of the campaign."""


class OnlyJournal(NewJournal):
    """The only journal of a new campaign: once it is published, it is claimed, too."""

    def __init__(self, database: Database, shard: Shard, *, owner: str, lease: float) -> None:
        super().__init__(database, shard)
        self.renew_every: float | None = renew_every(lease)
        self._owner = owner
        self._lease = lease
        self._claimed: ClaimedJournal | None = None

    def publish(self, meta: Mapping[str, bytes]) -> None:
        """Make the whole source durable."""
        super().publish(meta)
        claimed = claim(
            self._database, self._shard, owner=self._owner, lease=self._lease, limited=False
        )
        self._database.commit()
        self._claimed = ClaimedJournal(self._database, self._shard, claimed, lease=self._lease)

    def commit(self, values: Sequence[bytes], *, finished: bool = False) -> None:
        """Append to the log: all values or none, durable when this returns."""
        self._published.commit(values, finished=finished)

    def renew(self) -> str | None:
        """Keep other processes out for another lease; return why the campaign is held, if it is."""
        return None if self._claimed is None else self._claimed.renew()

    def remove(self) -> None:
        """Delete the campaign."""
        self._published.remove()

    def close(self) -> None:
        """Let others claim the journal, and close the connection; undo what is not published."""
        if self._claimed is not None:
            self._claimed.close()
        self._database.close()

    @property
    def _published(self) -> ClaimedJournal:
        if self._claimed is None:
            raise JournalError(f"{self._shard.name}: the journal is not published")
        return self._claimed


def claim(database: Database, shard: Shard, *, owner: str, lease: float, limited: bool) -> Claim:
    """Claim a shard in a transaction.

    Raises JournalLockedError while another process has it, or any shard of a `limited` campaign, and
    JournalHeldError if it is not to be claimed.
    """
    values: dict[str, object] = {
        **shard.keys,
        "owner": owner,
        "lease": lease,
        "all": limited,
        "most": MOST_ATTEMPTS,
        "suspect": SUSPECT,
        "worker": f"{_PROCESS} {os.getpid()}",
    }
    # First the locks: only the statements after them see what their last owners have written.
    database.all(LOCK_SHARDS, values)
    refusal = database.one(REFUSAL, values)
    if refusal is not None and refusal[0] is not None:
        raise JournalHeldError(f"{shard.name}: {refusal[0]}", reason=refusal[0])
    row = database.one(CLAIM, values)
    if row is None:
        raise JournalLockedError(f"{shard.name}: another process is using this journal")
    if refusal is not None and refusal[1]:
        reason = f"shard {shard.shard + 1} was given up after {MOST_ATTEMPTS} processes died at it"
        raise JournalHeldError(f"{shard.name}: {reason}", reason=reason)
    return Claim(row[0], row[1], careful=refusal is not None and refusal[2])


def renew_every(lease: float) -> float:
    """Return the seconds between two renewals, so that a stop is soon known, too."""
    return min(lease / 3, _HEAR_EVERY)
