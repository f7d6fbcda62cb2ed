"""The receipt of a campaign, its progress, and the outcome of each recipient."""

# Without `from __future__ import annotations`: it would turn the annotations of the NamedTuple into
# text that pdoc cannot resolve, because the `__new__` of a NamedTuple belongs to no module.

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import ClassVar, Literal, NamedTuple, cast, overload

__all__ = [
    "InvalidRecipient",
    "Marks",
    "Outcome",
    "OutcomeName",
    "Outcomes",
    "Progress",
    "Receipt",
    "RecipientOutcome",
]

OutcomeName = Literal[
    "accepted", "invalid", "duplicate", "excluded", "doubled", "unknown", "unsent"
]


@dataclass(frozen=True, slots=True)
class InvalidRecipient:
    """A recipient that was refused, here or by the gateway.

    `number` is the text as the caller wrote it, `position` its position in the source, from 0.
    """

    number: str
    reason: str
    position: int

    def __repr__(self) -> str:
        return f"InvalidRecipient(reason={self.reason!r}, position={self.position})"


class Outcome(NamedTuple):
    """The outcome of one recipient.

    `message_id` is the message that it is on, may be on, or was refused with; None if there is no
    such message. `reason` says why it is invalid, and is None for other outcomes.
    """

    name: OutcomeName
    message_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a campaign: counts of recipients, seconds, recipients a second.

    - `total`: the length of the source, or what the caller announced; None if unknown.
    - `accepted`: changes when a message is closed.
    - `rate`: recipients that were acknowledged by the gateway or refused, a second since the start.
    - `eta`: seconds left at that rate, None if it cannot be estimated yet.
    """

    total: int | None = None
    read: int = 0
    accepted: int = 0
    invalid: int = 0
    duplicates: int = 0
    unknown: int = 0
    unsent: int = 0
    elapsed: float = 0.0
    rate: float = 0.0
    eta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The outcome of every recipient taken from the source.

    ```python
    receipt = await gateway.send_bulk(recipients, sender="ACME", body="Ciao")
    print(receipt.accepted, "of", receipt.total, "for", receipt.cost, "EUR")
    for refused in receipt.invalid:
        print("not sent, position", refused.position, refused.reason)
    ```

    Always `accepted + len(invalid) + duplicates + excluded + len(doubled) + len(unknown) +
    len(unsent) == total`.

    - `total`: recipients taken from the source.
    - `source_exhausted`: the source was taken to its end, so that every recipient of it is counted
      here. If False, recipients may be left in the source that are in no count and no list.
    - `accepted`: on a closed message exactly once; these go out.
    - `invalid`: refused, with the reason and the position in the source.
    - `duplicates`, `excluded`: counts of recipients left out on purpose.
    - `doubled`: numbers seen twice on a closed message.
    - `unknown`: numbers whose outcome could not be known. Do not simply send to them again.
    - `unsent`: numbers proven to be not on a closed message: safe to send to again. These are all
      that remain only if `source_exhausted`.
    - `message_ids`: closed messages; `open_message_ids`: messages left open, which never send
      by themselves.
    - `requests`, `retries`: how many were made; `elapsed` is in seconds.
    - `cost`: the sum of the prices that the gateway named, None if it named none.
    - `complete`: the whole source was taken and nothing is unknown, unsent or doubled: nothing is
      left to do. Recipients may be invalid, even all of them: `all_accepted` is False then.
    - `running`: read from a journal whose campaign another process is running, so that the counts
      are those of the moment.
    - `outcomes`: one `Outcome` for each recipient taken, in the order of the source, at four bytes
      each; `to_dict` leaves it out.
    """

    total: int = 0
    accepted: int = 0
    invalid: Sequence[InvalidRecipient] = ()
    duplicates: int = 0
    excluded: int = 0
    doubled: Sequence[str] = ()
    unknown: Sequence[str] = ()
    unsent: Sequence[str] = ()
    message_ids: Sequence[str] = ()
    open_message_ids: Sequence[str] = ()
    requests: int = 0
    retries: int = 0
    elapsed: float = 0.0
    cost: Decimal | None = None
    complete: bool = False
    source_exhausted: bool = True
    running: bool = False
    outcomes: Sequence[Outcome] = ()

    @property
    def all_accepted(self) -> bool:
        """Whether the whole source was taken, and every recipient to be sent to was accepted.

        Duplicates and excluded recipients do not count. False if no recipient was accepted.
        """
        return self.complete and self.accepted > 0 and not self.invalid

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON, with unmasked numbers; `cost` becomes text to stay exact."""
        return {
            "total": self.total,
            "accepted": self.accepted,
            "invalid": [
                {"number": one.number, "reason": one.reason, "position": one.position}
                for one in self.invalid
            ],
            "duplicates": self.duplicates,
            "excluded": self.excluded,
            "doubled": list(self.doubled),
            "unknown": list(self.unknown),
            "unsent": list(self.unsent),
            "message_ids": list(self.message_ids),
            "open_message_ids": list(self.open_message_ids),
            "requests": self.requests,
            "retries": self.retries,
            "elapsed": self.elapsed,
            "cost": None if self.cost is None else str(self.cost),
            "complete": self.complete,
            "source_exhausted": self.source_exhausted,
            "running": self.running,
        }

    def __repr__(self) -> str:
        return (
            f"Receipt(total={self.total}, accepted={self.accepted}, invalid={len(self.invalid)}, "
            f"duplicates={self.duplicates}, excluded={self.excluded}, "
            f"doubled={len(self.doubled)}, unknown={len(self.unknown)}, "
            f"unsent={len(self.unsent)}, complete={self.complete}, "
            f"source_exhausted={self.source_exhausted})"
        )


_OUTCOME_BITS = 3


class RecipientOutcome(IntEnum):
    """The outcome of one recipient. Each recipient begins with 0, unsent."""

    UNSENT = 0
    """On no closed message."""
    ACCEPTED = 1
    """On a closed message, once."""
    INVALID = 2
    """Refused here, or counted as invalid by the gateway."""
    DUPLICATE = 3
    """Left out: the same number came before in the source."""
    EXCLUDED = 4
    """Left out on request."""
    DOUBLED = 5
    """On a closed message, more than once."""
    UNKNOWN = 6
    """May be on a closed message; it cannot be known."""


_NAMES: dict[RecipientOutcome, OutcomeName] = {
    outcome: cast("OutcomeName", outcome.name.lower()) for outcome in RecipientOutcome
}


class Outcomes(Sequence[Outcome]):
    """One `Outcome` for each recipient taken from the source, in the source's order."""

    __slots__ = ("_invalid", "_marks", "_message_ids")

    def __init__(
        self,
        marks: "array[int]",
        message_ids: Sequence[str],
        invalid: Sequence[InvalidRecipient],
    ) -> None:
        self._marks = marks
        self._message_ids = message_ids
        self._invalid = invalid

    def __len__(self) -> int:
        return len(self._marks)

    @overload
    def __getitem__(self, position: int) -> Outcome: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Outcome]: ...
    def __getitem__(self, position: int | slice) -> Outcome | Sequence[Outcome]:
        if isinstance(position, slice):
            return [self[at] for at in range(*position.indices(len(self)))]
        marked = self._marks[position]
        outcome = RecipientOutcome(marked & (1 << _OUTCOME_BITS) - 1)
        message = marked >> _OUTCOME_BITS
        message_id = self._message_ids[message - 1] if message else None
        if outcome is not RecipientOutcome.INVALID:
            return Outcome(_NAMES[outcome], message_id, None)
        return Outcome(_NAMES[outcome], message_id, self._reason(range(len(self))[position]))

    def __iter__(self) -> Iterator[Outcome]:
        return map(self.__getitem__, range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Outcomes):
            return NotImplemented
        same = self._marks == other._marks and self._message_ids == other._message_ids
        return (same and self._invalid == other._invalid) or list(self) == list(other)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Outcomes({len(self)} recipients)"

    def _reason(self, position: int) -> str | None:
        at = bisect_left(self._invalid, position, key=lambda one: one.position)
        found = self._invalid[at : at + 1]
        return found[0].reason if found and found[0].position == position else None


class Marks:
    """The outcomes while a campaign runs; a later mark of a recipient replaces an earlier one."""

    def __init__(self) -> None:
        self._marks = array("I")
        self._message_ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def __copy__(self) -> "Marks":
        copied = Marks()
        copied._marks = self._marks[:]
        copied._message_ids = self._message_ids.copy()
        copied._numbers = self._numbers.copy()
        return copied

    def mark(
        self, positions: Sequence[int], outcome: RecipientOutcome, message_id: str | None = None
    ) -> None:
        """Record the outcome of the recipients at these positions."""
        if not positions:
            return
        first, end = positions[0], positions[-1] + 1
        marked = self._number(message_id) << _OUTCOME_BITS | outcome
        # Most are one range, and comparing two lists is much faster than a loop over one.
        in_a_row = end - first == len(positions)
        if isinstance(positions, range) or (in_a_row and positions == list(range(first, end))):
            self._grow(end)
            self._marks[first:end] = array("I", [marked]) * (end - first)
            return
        self._grow(max(positions) + 1)
        for position in positions:
            self._marks[position] = marked

    def where(self, outcome: RecipientOutcome) -> Iterator[int]:
        """Yield the positions that have this outcome and no message."""
        return (position for position, marked in enumerate(self._marks) if marked == outcome)

    def outcomes(self, total: int, invalid: Sequence[InvalidRecipient]) -> Outcomes:
        """Return the outcomes of `total` recipients as of now; `invalid` is in the source's order."""
        self._grow(total)
        return Outcomes(self._marks[:], tuple(self._message_ids), invalid)

    def _grow(self, total: int) -> None:
        missing = total - len(self._marks)
        if missing > 0:
            self._marks.frombytes(bytes(missing * self._marks.itemsize))

    def _number(self, message_id: str | None) -> int:
        if message_id is None:
            return 0
        number = self._numbers.get(message_id)
        if number is None:
            self._message_ids.append(message_id)
            number = self._numbers[message_id] = len(self._message_ids)
        return number
