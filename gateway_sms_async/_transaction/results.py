"""Adds up the outcomes of all recipients, and writes the receipt.

Pure bookkeeping. The message decides a recipient's outcome; this module only counts it.
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

__all__ = [
    "OutcomeGroups",
    "Results",
    "completed",
    "describe",
    "group_by_outcome",
    "shortfall",
    "unaccounted",
]

_REFUSED = "the gateway counts it as invalid"


OutcomeGroups = dict[RecipientOutcome, list[Batch]]


def _no_recipients() -> OutcomeGroups:
    return {outcome: [] for outcome in MESSAGE_OUTCOMES}


def group_by_outcome(
    batches: Iterable[tuple[Batch, Sequence[RecipientOutcome]]],
) -> OutcomeGroups:
    """Return the recipients of a message, grouped by outcome."""
    groups = _no_recipients()
    for batch, outcomes in batches:
        if outcomes.count(RecipientOutcome.ACCEPTED) == len(outcomes):
            groups[RecipientOutcome.ACCEPTED].append(batch)
            continue
        for outcome in MESSAGE_OUTCOMES:
            if (times := outcomes.count(outcome)) == len(outcomes):
                groups[outcome].append(batch)
            elif times:
                places = [at for at, one in enumerate(outcomes) if one is outcome]
                groups[outcome].append(batch.pick(places))
    return groups


@dataclass
class _Counts:
    """The outcomes of recipients whose message has ended, or that have none."""

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

    def add_recipients(self, groups: OutcomeGroups, message_id: str | None) -> None:
        for outcome, batches in groups.items():
            for batch in batches:
                self.marks.mark(batch.positions, outcome, message_id)
        self.accepted += sum(map(len, groups[RecipientOutcome.ACCEPTED]))
        for batch in groups[RecipientOutcome.INVALID]:
            self.invalid.extend(
                InvalidRecipient(written, _REFUSED, position)
                for written, position in zip(batch.written, batch.positions, strict=True)
            )
        for outcome, numbers in (
            (RecipientOutcome.DOUBLED, self.doubled),
            (RecipientOutcome.UNKNOWN, self.unknown),
            (RecipientOutcome.UNSENT, self.unsent),
        ):
            for batch in groups[outcome]:
                numbers.extend(batch.numbers)

    def add_message(self, message_id: str | None, state: str, price: Decimal | None) -> None:
        if message_id is not None:
            if state == "closed":
                self.message_ids.append(message_id)
            elif state == "left_open":
                self.open_message_ids.append(message_id)
        if state == "closed" and price is not None:
            self.cost = (self.cost or Decimal()) + price

    def add(self, message: OutgoingMessage) -> list[Batch]:
        """Count a message, but for its recipients that are not on a closed message: return these."""
        groups = group_by_outcome(message.outcomes())
        unsent, groups[RecipientOutcome.UNSENT] = groups[RecipientOutcome.UNSENT], []
        self.add_recipients(groups, message.message_id)
        if not (message.state == "left_open" and message.closed_elsewhere):
            self.add_message(message.message_id, message.state, message.price)
        return unsent

    def add_unsent(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self.unsent.extend(batch.numbers)
            self.marks.mark(batch.positions, RecipientOutcome.UNSENT)


class Results:
    """The results of one campaign or transaction.

    `requests`, `retries` and `elapsed` are those of its earlier runs. `session` counts those of this
    run; None if the results are only read from a journal.
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
        """Count a message that has ended; return its recipients that are not on a closed message."""
        return self._counts.add(message)

    def doubt(self, message: OutgoingMessage, batches: list[Batch]) -> None:
        """Count as unknown what is on a message that was left open, and may be closed after all."""
        self.add_recipients({RecipientOutcome.UNKNOWN: batches}, message.message_id)
        if message.message_id is not None:
            self._counts.open_message_ids.remove(message.message_id)

    def add_recipients(self, groups: OutcomeGroups, message_id: str | None = None) -> None:
        """Count recipients of a message of an earlier run."""
        self._counts.add_recipients(_no_recipients() | groups, message_id)

    def add_message(self, message_id: str | None, state: str, price: Decimal | None) -> None:
        """Count a message of an earlier run."""
        self._counts.add_message(message_id, state, price)

    def add_accepted(self, recipients: int) -> None:
        """Count recipients that were accepted in an earlier run; `mark` records which they are."""
        self._counts.accepted += recipients

    def mark(self, batch: Batch, outcome: RecipientOutcome, message_id: str | None = None) -> None:
        """Record the outcome of recipients that are counted already."""
        self._counts.marks.mark(batch.positions, outcome, message_id)

    def add_unsent(self, batches: Iterable[Batch]) -> None:
        """Count recipients that are assigned to no message any more."""
        self._counts.add_unsent(batches)

    def add_unreadable(self, recipients: int) -> None:
        """Count unsent recipients whose numbers cannot be read."""
        self._counts.unsent.extend(["?"] * recipients)

    def receipt(
        self, current: OutgoingMessage | None = None, *, unsent: Sequence[Batch] = ()
    ) -> Receipt:
        """Return the outcome of each recipient taken.

        `current` is a message that is not counted yet, and `unsent` are batches that are not.
        """
        counts = self._counts
        if current is not None or unsent:
            counts = counts.copy()
            if current is not None:
                counts.add_unsent(counts.add(current))
            counts.add_unsent(unsent)
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
        """How many requests were made so far, earlier runs included."""
        return self._requests + (0 if self._session is None else self._session.requests)

    @property
    def retries(self) -> int:
        """How many of the requests were retries."""
        return self._retries + (0 if self._session is None else self._session.retries)

    @property
    def elapsed(self) -> float:
        """Seconds, earlier runs included."""
        return time.monotonic() - self._started

    def progress(self, total: int | None, waiting: int) -> Progress:
        """Return the progress; `waiting` recipients are taken but not acknowledged."""
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


def unaccounted(receipt: Receipt) -> int:
    """Return how many recipients are in no part of a receipt, below 0 if some are in two parts.

    Anything but 0 is a fault of this program, and then the receipt proves nothing.
    """
    lists = (receipt.invalid, receipt.doubled, receipt.unknown, receipt.unsent)
    counted = receipt.accepted + receipt.duplicates + receipt.excluded + sum(map(len, lists))
    return receipt.total - counted


def shortfall(receipt: Receipt) -> str:
    """Describe how many recipients are not accepted though they should be."""
    missing = unaccounted(receipt)
    parts = [
        f"the receipt does not account for {missing} recipients" * (missing > 0),
        f"the receipt counts {-missing} recipients more than there are" * (missing < 0),
        f"{len(receipt.doubled)} recipients were texted more than once" * bool(receipt.doubled),
        f"the outcome of {len(receipt.unknown)} is not known" * bool(receipt.unknown),
        f"{len(receipt.unsent)} are not on a closed message" * bool(receipt.unsent),
    ]
    return "; ".join(filter(None, parts)) or "not all recipients could be sent to"


def completed(receipt: Receipt, *, source_exhausted: bool) -> Receipt:
    """Return the receipt at the end: complete if all recipients of the source are settled."""
    settled = not (receipt.unknown or receipt.unsent or receipt.doubled or unaccounted(receipt))
    return replace(
        receipt, complete=settled and source_exhausted, source_exhausted=source_exhausted
    )


def describe(fault: BaseException) -> str:
    """Describe an error. A foreign error is only named, because its text may hold anything."""
    return str(fault) if isinstance(fault, GatewayError) else f"{type(fault).__name__} was raised"
