"""Counts what became of everyone, and writes the receipt. No I/O; transactions and campaigns enter."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from .intake import Batch, Intake
from .protocol import Fate, MessageOnWire
from .receipt import InvalidRecipient, Progress, Receipt
from .session import Session

__all__ = ["Tally"]

_NOT_TAKEN = "the gateway counts it as invalid"


class Tally:
    """Adds up messages that have come to their end; those under way are counted when asked."""

    def __init__(self, intake: Intake, session: Session) -> None:
        self.intake = intake
        self._session = session
        self._started = time.monotonic()
        self._settled = Receipt()
        self._accepted = 0
        self._invalid: list[InvalidRecipient] = []
        self._unknown: list[str] = []
        self._unsent: list[str] = []
        self._message_ids: list[str] = []
        self._open_ids: list[str] = []
        self._cost: Decimal | None = None

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def add(self, message: MessageOnWire) -> None:
        """Count a message that goes no further."""
        for batch, fates in message.fates():
            self._add_batch(batch, fates)
        if message.message_id is not None:
            if message.state == "closed":
                self._message_ids.append(message.message_id)
            elif message.state == "left_open":
                self._open_ids.append(message.message_id)
        if message.price is not None:
            self._cost = (self._cost or Decimal()) + message.price

    def add_unsent(self, batch: Batch) -> None:
        """Count recipients that were never given to the wire."""
        self._unsent.extend(batch.numbers)

    def _add_batch(self, batch: Batch, fates: list[Fate]) -> None:
        counted = fates.count(Fate.ACCEPTED)
        self._accepted += counted
        if counted == len(batch):
            return
        for at, fate in enumerate(fates):
            if fate is Fate.UNKNOWN:
                self._unknown.append(batch.numbers[at])
            elif fate is Fate.UNSENT:
                self._unsent.append(batch.numbers[at])
            elif fate is Fate.INVALID:
                refused = InvalidRecipient(batch.written[at], _NOT_TAKEN, batch.positions[at])
                self._invalid.append(refused)

    def receipt(self, under_way: Iterable[tuple[MessageOnWire, list[Batch]]] = ()) -> Receipt:
        """Account for everyone taken; `under_way` are messages not added yet, and what waits."""
        now = Tally.__new__(Tally)
        now.__dict__.update(self.__dict__)
        now._unknown, now._unsent = list(self._unknown), list(self._unsent)
        now._invalid, now._message_ids = list(self._invalid), list(self._message_ids)
        now._open_ids = list(self._open_ids)
        for message, waiting in under_way:
            now.add(message)
            for batch in waiting:
                now.add_unsent(batch)
        return now._write()

    def progress(self, total: int | None, under_way: int) -> Progress:
        """Say how far it is; `under_way` recipients are taken but not settled."""
        elapsed = self.elapsed
        intake = self.intake
        settled = intake.total - under_way
        rate = settled / elapsed if elapsed > 0 else 0.0
        return Progress(
            total=total,
            read=intake.total,
            accepted=self._accepted,
            invalid=len(intake.invalid) + len(self._invalid),
            duplicates=intake.duplicates,
            unknown=len(self._unknown),
            unsent=len(self._unsent),
            elapsed=elapsed,
            rate=rate,
            eta=(total - settled) / rate if total is not None and rate > 0 else None,
        )

    def _write(self) -> Receipt:
        return Receipt(
            total=self.intake.total,
            accepted=self._accepted,
            invalid=tuple(
                sorted((*self.intake.invalid, *self._invalid), key=lambda one: one.position)
            ),
            duplicates=self.intake.duplicates,
            unknown=tuple(self._unknown),
            unsent=tuple(self._unsent),
            message_ids=tuple(self._message_ids),
            open_message_ids=tuple(self._open_ids),
            requests=self._session.requests,
            retries=self._session.retries,
            elapsed=self.elapsed,
            cost=self._cost,
        )


def completed(receipt: Receipt) -> Receipt:
    """Mark a receipt whose source was taken to its end, if everyone is settled."""
    return replace(receipt, complete=not (receipt.unknown or receipt.unsent or receipt.doubled))
