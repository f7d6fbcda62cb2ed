"""What became of each recipient, by its place in the source: four bytes for each of a million.

The tally fills it in; users meet it as `receipt.outcomes`. It knows nothing of batches and
messages but their ids.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import ClassVar, cast, overload

from .receipt import InvalidRecipient, Outcome, OutcomeName

__all__ = ["Mark", "Marks", "Outcomes"]

_MARK_BITS = 3


class Mark(IntEnum):
    """What became of a recipient. 0, which is where everybody begins, is to be on no message."""

    UNSENT = 0
    ACCEPTED = 1
    INVALID = 2
    DUPLICATE = 3
    EXCLUDED = 4
    DOUBLED = 5
    UNKNOWN = 6


_NAMES: dict[Mark, OutcomeName] = {mark: cast("OutcomeName", mark.name.lower()) for mark in Mark}


class Outcomes(Sequence[Outcome]):
    """One `Outcome` for each recipient taken from the source, in the source's order."""

    __slots__ = ("_invalid", "_marks", "_message_ids")

    def __init__(
        self,
        marks: array[int],
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
        mark = Mark(marked & (1 << _MARK_BITS) - 1)
        message = marked >> _MARK_BITS
        message_id = self._message_ids[message - 1] if message else None
        if mark is not Mark.INVALID:
            return Outcome(_NAMES[mark], message_id, None)
        return Outcome(_NAMES[mark], message_id, self._reason(range(len(self))[position]))

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
    """The outcomes while they are still being found out; a later mark replaces an earlier one."""

    def __init__(self) -> None:
        self._marks = array("I")
        self._message_ids: list[str] = []
        self._numbers: dict[str, int] = {}

    def __copy__(self) -> Marks:
        copied = Marks()
        copied._marks = self._marks[:]
        copied._message_ids = self._message_ids.copy()
        copied._numbers = self._numbers.copy()
        return copied

    def mark(self, positions: Sequence[int], mark: Mark, message_id: str | None = None) -> None:
        """Note what became of the recipients at these places."""
        if not positions:
            return
        first, end = positions[0], positions[-1] + 1
        marked = self._number(message_id) << _MARK_BITS | mark
        # Most are one run, and comparing lists is much faster than walking through one.
        if isinstance(positions, range) or positions == list(range(first, end)):
            self._grow(end)
            self._marks[first:end] = array("I", [marked]) * (end - first)
            return
        self._grow(max(positions) + 1)
        for position in positions:
            self._marks[position] = marked

    def where(self, mark: Mark) -> Iterator[int]:
        """Go through the places that have this mark and no message."""
        return (position for position, marked in enumerate(self._marks) if marked == mark)

    def outcomes(self, total: int, invalid: Sequence[InvalidRecipient]) -> Outcomes:
        """Return what is known now of `total` recipients; `invalid` is in the source's order."""
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
