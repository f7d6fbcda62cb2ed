"""The states of one message's recipients, from its lists: eight bytes each, and only advancing.

No I/O: lists of recipients go in, and the entries that advanced come out.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from ..models import Message, RecipientReport
from .state import DeliveryState

__all__ = ["ListFilter", "RecipientStates", "key_of", "pack"]

# A state's code is its index here, from the least to the most advanced.
_STATES = tuple(DeliveryState)
_CODES = {state: code for code, state in enumerate(_STATES)}
_CODE_BITS = 3
_CODE_MASK = (1 << _CODE_BITS) - 1

_MOVES = frozenset(
    (_CODES[old], _CODES[new]) for old in _STATES for new in _STATES if old.may_become(new)
)

_PENDING = _CODES[DeliveryState.PENDING]
_NOT_DIGITS = re.compile(r"[^0-9]+")
_MOST_DIGITS = 18  # with the code they fit into 64 bits; numbers have at most 15


def key_of(number: str) -> int:
    """Return the digits of a number as an integer: the same however the gateway writes it."""
    return int(_NOT_DIGITS.sub("", number)[-_MOST_DIGITS:] or 0)


def pack(key: int, state: DeliveryState) -> int:
    """Return an entry of a list as the integer that `RecipientStates.advance` takes."""
    return key << _CODE_BITS | _CODES[state]


class RecipientStates:
    """The last known states of one message's recipients.

    A number that is on the message several times has that many states. A list does not show which
    entry is which, so such states are compared by how many entries are in each.
    """

    __slots__ = ("_codes", "_has_repeats", "_known")

    def __init__(self) -> None:
        self._known = array("Q")
        self._codes: Counter[int] = Counter()
        self._has_repeats = False

    def __len__(self) -> int:
        return len(self._known)

    def counts(self) -> dict[DeliveryState, int]:
        """Return how many recipients are in each state, 0 included."""
        return {state: self._codes[code] for code, state in enumerate(_STATES)}

    def advance(self, listed: Sequence[int]) -> list[int]:
        """Apply a list, and return the indexes of its entries that advanced, in order.

        A recipient that is not listed, or is listed with a state that cannot follow the known
        one, keeps its state. A new recipient is added; it counts as advanced unless it is pending.
        """
        indexes = {one >> _CODE_BITS: index for index, one in enumerate(listed)}
        if self._has_repeats or len(indexes) < len(listed):
            self._has_repeats = True
            moved = self._advance_groups(listed)
        else:
            moved = self._advance_each(listed, indexes)
        self._codes = Counter(one & _CODE_MASK for one in self._known)
        return sorted(moved)

    def _advance_each(self, listed: Sequence[int], indexes: dict[int, int]) -> list[int]:
        """Apply a list without repeated numbers, the usual case, in a tenth of the time."""
        known, moved = self._known, list[int]()
        for at, old in enumerate(known):
            index = indexes.pop(old >> _CODE_BITS, None)
            if index is None or (new := listed[index]) == old:
                continue
            if (old & _CODE_MASK, new & _CODE_MASK) in _MOVES:
                known[at] = new
                moved.append(index)
        if indexes:
            added = [listed[index] for index in indexes.values()]
            self._known = array("Q", sorted([*known, *added]))
            moved += [index for index in indexes.values() if listed[index] & _CODE_MASK != _PENDING]
        return moved

    def _advance_groups(self, listed: Sequence[int]) -> list[int]:
        """Apply a list number by number, in the order of keys: all entries of one at a time."""
        known, merged, moved = self._known, array("Q"), list[int]()
        order = sorted(range(len(listed)), key=listed.__getitem__)
        at = start = 0
        while start < len(order):
            key = listed[order[start]] >> _CODE_BITS
            end = start + 1
            while end < len(order) and listed[order[end]] >> _CODE_BITS == key:
                end += 1
            first = bisect_left(known, key << _CODE_BITS, at)
            merged.extend(known[at:first])
            at = bisect_left(known, (key + 1) << _CODE_BITS, first)
            entries = [(index, listed[index] & _CODE_MASK) for index in order[start:end]]
            codes, indexes = _match([one & _CODE_MASK for one in known[first:at]], entries)
            merged.extend(sorted(key << _CODE_BITS | code for code in codes))
            moved += indexes
            start = end
        merged.extend(known[at:])
        self._known = merged
        return moved


def _match(known: list[int], listed: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the new codes of one number's entries, and the indexes of those that advanced.

    Entries are counted by code: a gateway that masks numbers may list thousands with one number.
    """
    left: list[list[int]] = [[] for _ in _STATES]
    for index, code in listed:
        left[code].append(index)
    before = [known.count(code) for code in range(len(_STATES))]
    codes: list[int] = []
    moved: list[int] = []

    def take(old: int, new: int) -> None:
        count = min(before[old], len(left[new]))
        before[old] -= count
        codes.extend([new] * count)
        if old != new:
            moved.extend(left[new][:count])
        del left[new][:count]

    for code in range(len(_STATES)):
        take(code, code)
    for old, new in sorted(_MOVES):
        take(old, new)
    for code, count in enumerate(before):
        codes.extend([code] * count)
    # Of the listed entries that match no known one, the least advanced are the new entries.
    added = max(0, len(listed) - len(known))
    for code, indexes in enumerate(left):
        new_ones = indexes[:added]
        added -= len(new_ones)
        codes.extend([code] * len(new_ones))
        if code != _PENDING:
            moved.extend(new_ones)
    return codes, moved


_INVALID = "INVALID"


class ListFilter:
    """Decides which entries of one list of `message` are recipients. Pass each entry once.

    - A repeated entry (overlapping pages) is skipped: counted, it would hide a missing recipient.
      A repeat has the same id, number and position; a number alone may be on a message twice.
    - An entry that the gateway calls invalid is skipped, but at most as many as the message
      counts: other recipients may be called invalid later, when they are rejected.

    `listed` counts the entries without repeats, `invalid` those of them that are invalid.
    """

    def __init__(self, message: Message) -> None:
        self.listed: int = 0
        self.invalid: int = 0
        self._most_invalid = message.invalid
        self._named = {key_of(one) for one in message.recipients.invalid.list}
        self._seen: set[tuple[str, str, bytes]] = set()

    def accepts(self, entry: RecipientReport) -> bool:
        """Whether this entry is a recipient."""
        return self.is_new(entry) and self.is_valid(entry)

    def is_new(self, entry: RecipientReport) -> bool:
        """Whether this entry is no repeat; the first half of `accepts`."""
        if entry.id is not None:
            before = len(self._seen)
            self._seen.add((entry.id, entry.number, bytes(entry.wire_i)))
            if len(self._seen) == before:
                return False
        self.listed += 1
        return True

    def is_valid(self, entry: RecipientReport) -> bool:
        """Whether this new entry is not an invalid number; the second half of `accepts`."""
        if self.invalid < self._most_invalid and (
            entry.state == _INVALID or key_of(entry.number) in self._named
        ):
            self.invalid += 1
            return False
        return True
