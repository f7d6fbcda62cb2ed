"""One receipt from the journals of all shards.

Its numbers and outcomes are read from the journals when they are used, so that the end of a campaign
does not depend on how many there are.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate, chain, islice
from typing import cast, overload

from .._campaign.accounts import count_of
from .._journal.numbers import StoredRecipients
from .._journal.records import Ranges
from .._receipt import (
    InvalidRecipient,
    Marks,
    Outcome,
    Outcomes,
    Progress,
    Receipt,
    RecipientOutcome,
)
from .account import ShardAccount
from .store import ShardStore

__all__ = ["StoredNumbers", "StoredOutcomes", "progress_of", "receipt_of", "sum_of"]


class StoredNumbers(Sequence[str]):
    """Numbers in several journals, read when they are asked for.

    Raises JournalError if a journal cannot be read any more.
    """

    def __init__(self, parts: Sequence[tuple[StoredRecipients, Ranges]]) -> None:
        self._parts = [(stored, ranges) for stored, ranges in parts if ranges]
        self._ends = list(accumulate(count_of(ranges) for _, ranges in self._parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[str]:
        return chain.from_iterable(stored.numbers(ranges) for stored, ranges in self._parts)

    @overload
    def __getitem__(self, position: int) -> str: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[str]: ...
    def __getitem__(self, position: int | slice) -> str | Sequence[str]:
        if isinstance(position, slice):
            wanted = range(len(self))[position]
            if wanted.step == 1:
                return list(islice(self._from(wanted.start), len(wanted)))
            return list(self)[position]
        return next(self._from(range(len(self))[position]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(cast("Sequence[object]", other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StoredNumbers({len(self)} numbers)"

    def _from(self, at: int) -> Iterator[str]:
        """Yield the numbers from this index on."""
        for (stored, ranges), end in zip(self._parts, self._ends, strict=True):
            if at < end:
                before = end - count_of(ranges)
                yield from stored.numbers(_from(ranges, max(0, at - before)))


class StoredOutcomes(Sequence[Outcome]):
    """The outcomes of a campaign in shards, of the moment of its receipt.

    The positions are read from the journals when they are first used, and take four bytes each from
    then on. Raises JournalError if a journal cannot be read any more.
    """

    def __init__(
        self,
        store: ShardStore,
        accounts: Sequence[ShardAccount],
        invalid: Sequence[InvalidRecipient],
    ) -> None:
        self._store = store
        self._accounts = accounts
        self._invalid = invalid
        self._outcomes: Outcomes | None = None

    def __len__(self) -> int:
        return self._store.total

    @overload
    def __getitem__(self, position: int) -> Outcome: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, position: int | slice) -> Outcome | Sequence[Outcome]:
        return self._read()[position]

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self._read())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(cast("Sequence[object]", other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"StoredOutcomes({len(self)} recipients)"

    def _read(self) -> Outcomes:
        if self._outcomes is None:
            marks = Marks()
            for shard, account in enumerate(self._accounts):
                _mark(marks, account, self._store.places(shard))
            self._outcomes = marks.outcomes(len(self), self._invalid)
        return self._outcomes


def _mark(marks: Marks, account: ShardAccount, places: Sequence[int]) -> None:
    """Mark every recipient of a shard; one that its journal does not name is a duplicate."""
    marks.mark(places, RecipientOutcome.DUPLICATE)
    for first, end in account.excluded:
        marks.mark(places[first:end], RecipientOutcome.EXCLUDED)
    refused = [places[one.position] for one in account.invalid]
    marks.mark(refused, RecipientOutcome.INVALID)
    by_ordinal = array("I", (places[at] for at in _stored(account).positions()))
    marks.mark(by_ordinal, RecipientOutcome.UNSENT)
    for recipients, outcome, message_id in account.marks:
        for first, end in recipients:
            marks.mark(by_ordinal[first:end], outcome, message_id)


def receipt_of(store: ShardStore, accounts: Sequence[ShardAccount]) -> Receipt:
    """Return the receipt of all shards together."""
    invalid: list[InvalidRecipient] = []
    for shard, account in enumerate(accounts):
        if account.invalid:
            places = store.places(shard)
            invalid += (replace(one, position=places[one.position]) for one in account.invalid)
    invalid.sort(key=lambda one: one.position)
    costs = [one.cost for one in accounts if one.cost is not None]
    return Receipt(
        total=sum(one.total for one in accounts),
        accepted=sum(one.recipients.accepted for one in accounts),
        invalid=tuple(invalid),
        duplicates=sum(one.duplicates for one in accounts),
        excluded=sum(count_of(one.excluded) for one in accounts),
        doubled=StoredNumbers([(_stored(one), one.recipients.doubled) for one in accounts]),
        unknown=StoredNumbers([(_stored(one), one.recipients.unknown) for one in accounts]),
        unsent=StoredNumbers([(_stored(one), one.recipients.unsent) for one in accounts]),
        message_ids=tuple(chain.from_iterable(one.message_ids for one in accounts)),
        open_message_ids=tuple(chain.from_iterable(one.open_message_ids for one in accounts)),
        requests=sum(one.requests for one in accounts),
        retries=sum(one.retries for one in accounts),
        elapsed=sum(one.elapsed for one in accounts),
        cost=sum(costs, Decimal()) if costs else None,
        complete=all(one.complete for one in accounts),
        outcomes=StoredOutcomes(store, tuple(accounts), tuple(invalid)),
    )


def progress_of(account: ShardAccount) -> Progress:
    """Return the counts of one shard."""
    recipients = account.recipients
    return Progress(
        total=account.total,
        read=account.total,
        accepted=recipients.accepted,
        invalid=len(account.invalid),
        duplicates=account.duplicates,
        unknown=count_of(recipients.unknown),
        unsent=count_of(recipients.unsent),
        elapsed=account.elapsed,
    )


def sum_of(shards: Sequence[Progress]) -> Progress:
    """Return the counts of all shards together."""
    return Progress(
        total=sum(one.total or 0 for one in shards),
        read=sum(one.read for one in shards),
        accepted=sum(one.accepted for one in shards),
        invalid=sum(one.invalid for one in shards),
        duplicates=sum(one.duplicates for one in shards),
        unknown=sum(one.unknown for one in shards),
        unsent=sum(one.unsent for one in shards),
        elapsed=sum(one.elapsed for one in shards),
    )


def _stored(account: ShardAccount) -> StoredRecipients:
    return StoredRecipients(account.journal, account.settings.campaign)


def _from(ranges: Ranges, at: int) -> Ranges:
    """Return the ranges from the recipient with this index on."""
    left: Ranges = []
    for first, end in ranges:
        size = end - first
        if at < size:
            left.append((first + at, end))
        at = max(0, at - size)
    return left
