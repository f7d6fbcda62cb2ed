"""Counts what became of everyone, and writes the receipt.

Transactions and campaigns enter. No I/O, and no opinion: what became of a recipient is for the
message it was on to say.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from decimal import Decimal

from .._http.session import Session
from .._receipt import InvalidRecipient, Marks, Progress, Receipt, RecipientOutcome
from .._recipients.batches import Batch, Batcher
from ..errors import GatewayError
from .message import OutgoingMessage
from .reconcile import MESSAGE_OUTCOMES

__all__ = ["OutcomeGroups", "Results", "completed", "describe", "group_by_outcome", "shortfall"]

_REFUSED = "the gateway counts it as invalid"


OutcomeGroups = dict[RecipientOutcome, list[Batch]]


def group_by_outcome(people: Iterable[tuple[Batch, Sequence[RecipientOutcome]]]) -> OutcomeGroups:
    """Return the people of a message by what became of them."""
    parted: OutcomeGroups = {outcome: [] for outcome in MESSAGE_OUTCOMES}
    for batch, outcomes in people:
        if outcomes.count(RecipientOutcome.ACCEPTED) == len(outcomes):
            parted[RecipientOutcome.ACCEPTED].append(batch)
            continue
        for outcome in MESSAGE_OUTCOMES:
            if (times := outcomes.count(outcome)) == len(outcomes):
                parted[outcome].append(batch)
            elif times:
                places = [at for at, one in enumerate(outcomes) if one is outcome]
                parted[outcome].append(batch.pick(places))
    return parted


@dataclass
class _Counts:
    """What is known of recipients that were given to messages, or wait to be."""

    marks: Marks
    accepted: int = 0
    invalid: list[InvalidRecipient] = field(default_factory=list[InvalidRecipient])
    doubled: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    unsent: list[str] = field(default_factory=list[str])
    message_ids: list[str] = field(default_factory=list[str])
    open_message_ids: list[str] = field(default_factory=list[str])
    cost: Decimal | None = None

    def copy(self) -> _Counts:
        return _Counts(**{name: copy(value) for name, value in vars(self).items()})

    def add_people(self, parted: OutcomeGroups, message_id: str | None) -> None:
        for outcome, batches in parted.items():
            for batch in batches:
                self.marks.mark(batch.positions, outcome, message_id)
        self.accepted += sum(map(len, parted[RecipientOutcome.ACCEPTED]))
        for batch in parted[RecipientOutcome.INVALID]:
            self.invalid.extend(
                InvalidRecipient(written, _REFUSED, position)
                for written, position in zip(batch.written, batch.positions, strict=True)
            )
        for outcome, numbers in (
            (RecipientOutcome.DOUBLED, self.doubled),
            (RecipientOutcome.UNKNOWN, self.unknown),
            (RecipientOutcome.UNSENT, self.unsent),
        ):
            for batch in parted[outcome]:
                numbers.extend(batch.numbers)

    def add_message(self, message_id: str | None, state: str, price: Decimal | None) -> None:
        if message_id is not None:
            if state == "closed":
                self.message_ids.append(message_id)
            elif state == "left_open":
                self.open_message_ids.append(message_id)
        if state == "closed" and price is not None:
            self.cost = (self.cost or Decimal()) + price

    def add(self, message: OutgoingMessage) -> None:
        self.add_people(group_by_outcome(message.outcomes()), message.message_id)
        self.add_message(message.message_id, message.state, message.price)


class Results:
    """Adds up the messages of one campaign; those still under way are counted when asked for.

    `requests`, `retries` and `elapsed` are what earlier runs of it took; `session` counts this run,
    None when there is none.
    """

    def __init__(
        self,
        batcher: Batcher,
        session: Session | None,
        *,
        requests: int = 0,
        retries: int = 0,
        elapsed: float = 0.0,
    ) -> None:
        self.batcher = batcher
        self._session = session
        self._started = time.monotonic() - elapsed
        self._requests = requests
        self._retries = retries
        self._counts = _Counts(batcher.marks)

    def add(self, message: OutgoingMessage) -> list[Batch]:
        """Count a message that goes no further; return its people who are on no closed message."""
        parted = group_by_outcome(message.outcomes())
        unsent = parted[RecipientOutcome.UNSENT]
        self._counts.add_people(parted | {RecipientOutcome.UNSENT: []}, message.message_id)
        self._counts.add_message(message.message_id, message.state, message.price)
        return unsent

    def add_people(self, parted: OutcomeGroups, message_id: str | None = None) -> None:
        """Count people of a message of an earlier run."""
        self._counts.add_people({outcome: [] for outcome in MESSAGE_OUTCOMES} | parted, message_id)

    def add_message(self, message_id: str | None, state: str, price: Decimal | None) -> None:
        """Count a message of an earlier run."""
        self._counts.add_message(message_id, state, price)

    def add_accepted(self, people: int) -> None:
        """Count people who were accepted in an earlier run; `mark` says who they are."""
        self._counts.accepted += people

    def mark(self, batch: Batch, mark: RecipientOutcome, message_id: str | None = None) -> None:
        """Note what became of people who are counted already."""
        self._counts.marks.mark(batch.positions, mark, message_id)

    def add_unsent(self, batches: Iterable[Batch]) -> None:
        """Count recipients who are given no message any more."""
        for batch in batches:
            self._counts.add_people(
                {outcome: [] for outcome in MESSAGE_OUTCOMES} | {RecipientOutcome.UNSENT: [batch]},
                None,
            )

    def add_unreadable(self, people: int) -> None:
        """Count unsent recipients whose numbers cannot be read."""
        self._counts.unsent.extend(["?"] * people)

    def receipt(self, under_way: tuple[OutgoingMessage, Sequence[Batch]] | None = None) -> Receipt:
        """Account for everyone taken; `under_way` is a message not added yet, and who waits."""
        counts = self._counts
        if under_way is not None:
            message, waiting = under_way
            counts = counts.copy()
            counts.add(message)
            for batch in waiting:
                counts.unsent.extend(batch.numbers)
                counts.marks.mark(batch.positions, RecipientOutcome.UNSENT)
        invalid = sorted((*self.batcher.invalid, *counts.invalid), key=lambda one: one.position)
        return Receipt(
            total=self.batcher.total,
            accepted=counts.accepted,
            invalid=tuple(invalid),
            duplicates=self.batcher.duplicates,
            excluded=self.batcher.excluded,
            doubled=tuple(sorted(counts.doubled)),
            unknown=tuple(sorted(counts.unknown)),
            unsent=tuple(sorted(counts.unsent)),
            message_ids=tuple(counts.message_ids),
            open_message_ids=tuple(counts.open_message_ids),
            requests=self.requests,
            retries=self.retries,
            elapsed=self.elapsed,
            cost=counts.cost,
            outcomes=counts.marks.outcomes(self.batcher.total, invalid),
        )

    @property
    def requests(self) -> int:
        """What it took on the wire so far."""
        return self._requests + (0 if self._session is None else self._session.requests)

    @property
    def retries(self) -> int:
        """How many of the requests were repeats."""
        return self._retries + (0 if self._session is None else self._session.retries)

    @property
    def elapsed(self) -> float:
        """Seconds, earlier runs included."""
        return time.monotonic() - self._started

    def progress(self, total: int | None, waiting: int) -> Progress:
        """Say how far it is; `waiting` recipients are taken but not acknowledged."""
        counts, batcher = self._counts, self.batcher
        elapsed = self.elapsed
        done = batcher.total - waiting
        rate = done / elapsed if elapsed > 0 else 0.0
        return Progress(
            total=total,
            read=batcher.total,
            accepted=counts.accepted,
            invalid=len(batcher.invalid) + len(counts.invalid),
            duplicates=batcher.duplicates,
            unknown=len(counts.unknown),
            unsent=len(counts.unsent),
            elapsed=elapsed,
            rate=rate,
            eta=max(0, total - done) / rate if total is not None and rate > 0 else None,
        )


def shortfall(receipt: Receipt) -> str:
    """Say in words who is not accepted and should be."""
    parts = [
        f"{len(receipt.doubled)} recipients were texted more than once" * bool(receipt.doubled),
        f"of {len(receipt.unknown)} it is not known" * bool(receipt.unknown),
        f"{len(receipt.unsent)} are on no closed message" * bool(receipt.unsent),
    ]
    return "; ".join(filter(None, parts)) or "not everyone could be sent to"


def completed(receipt: Receipt) -> Receipt:
    """Mark a receipt whose source was taken to its end, if everyone is settled."""
    return replace(receipt, complete=not (receipt.unknown or receipt.unsent or receipt.doubled))


def describe(fault: Exception) -> str:
    """Say what went wrong; what is not ours is only named, for its text may hold anything."""
    return str(fault) if isinstance(fault, GatewayError) else f"{type(fault).__name__} was raised"
