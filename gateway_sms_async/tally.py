"""Counts what became of everyone, and writes the receipt.

Transactions and campaigns enter. No I/O, and no opinion: what became of a recipient is for the
message it was on to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import Decimal

from .intake import Batch, Intake
from .protocol import Fate, MessageOnWire
from .receipt import InvalidRecipient, Progress, Receipt
from .session import Session

__all__ = ["Tally", "completed"]

_REFUSED = "the gateway counts it as invalid"


@dataclass
class _Counts:
    """What is known of recipients that were given to messages, or wait to be."""

    accepted: int = 0
    invalid: list[InvalidRecipient] = field(default_factory=list[InvalidRecipient])
    unknown: list[str] = field(default_factory=list[str])
    unsent: list[str] = field(default_factory=list[str])
    message_ids: list[str] = field(default_factory=list[str])
    open_message_ids: list[str] = field(default_factory=list[str])
    cost: Decimal | None = None

    def copy(self) -> _Counts:
        return _Counts(**{name: copy(value) for name, value in vars(self).items()})

    def add(self, message: MessageOnWire, waiting: Iterable[Batch]) -> None:
        for batch, fates in message.fates():
            self._add_batch(batch, fates)
        for batch in waiting:
            self.unsent.extend(batch.numbers)
        if message.message_id is not None:
            if message.state == "closed":
                self.message_ids.append(message.message_id)
            elif message.state == "left_open":
                self.open_message_ids.append(message.message_id)
        if message.price is not None:
            self.cost = (self.cost or Decimal()) + message.price

    def _add_batch(self, batch: Batch, fates: list[Fate]) -> None:
        accepted = fates.count(Fate.ACCEPTED)
        self.accepted += accepted
        if accepted == len(batch):
            return
        for at, fate in enumerate(fates):
            if fate is Fate.UNKNOWN:
                self.unknown.append(batch.numbers[at])
            elif fate is Fate.UNSENT:
                self.unsent.append(batch.numbers[at])
            elif fate is Fate.INVALID:
                refused = InvalidRecipient(batch.written[at], _REFUSED, batch.positions[at])
                self.invalid.append(refused)


class Tally:
    """Adds up the messages of one campaign; those still under way are counted when asked for."""

    def __init__(self, intake: Intake, session: Session) -> None:
        self.intake = intake
        self._session = session
        self._started = time.monotonic()
        self._counts = _Counts()

    def add(self, message: MessageOnWire, waiting: Iterable[Batch]) -> None:
        """Count a message that goes no further, and those who were never given to it."""
        self._counts.add(message, waiting)

    def add_unsent(self, batch: Batch) -> None:
        """Count recipients that came too late for their message."""
        self._counts.unsent.extend(batch.numbers)

    def receipt(self, under_way: tuple[MessageOnWire, list[Batch]] | None = None) -> Receipt:
        """Account for everyone taken; `under_way` is a message not added yet, and who waits."""
        counts = self._counts
        if under_way is not None:
            counts = counts.copy()
            counts.add(*under_way)
        invalid = sorted((*self.intake.invalid, *counts.invalid), key=lambda one: one.position)
        return Receipt(
            total=self.intake.total,
            accepted=counts.accepted,
            invalid=tuple(invalid),
            duplicates=self.intake.duplicates,
            unknown=tuple(counts.unknown),
            unsent=tuple(counts.unsent),
            message_ids=tuple(counts.message_ids),
            open_message_ids=tuple(counts.open_message_ids),
            requests=self._session.requests,
            retries=self._session.retries,
            elapsed=self._elapsed(),
            cost=counts.cost,
        )

    def progress(self, total: int | None, waiting: int) -> Progress:
        """Say how far it is; `waiting` recipients are taken but not acknowledged."""
        counts, intake = self._counts, self.intake
        elapsed = self._elapsed()
        done = intake.total - waiting
        rate = done / elapsed if elapsed > 0 else 0.0
        return Progress(
            total=total,
            read=intake.total,
            accepted=counts.accepted,
            invalid=len(intake.invalid) + len(counts.invalid),
            duplicates=intake.duplicates,
            unknown=len(counts.unknown),
            unsent=len(counts.unsent),
            elapsed=elapsed,
            rate=rate,
            eta=max(0, total - done) / rate if total is not None and rate > 0 else None,
        )

    def _elapsed(self) -> float:
        return time.monotonic() - self._started


def completed(receipt: Receipt) -> Receipt:
    """Mark a receipt whose source was taken to its end, if everyone is settled."""
    return replace(receipt, complete=not (receipt.unknown or receipt.unsent or receipt.doubled))
