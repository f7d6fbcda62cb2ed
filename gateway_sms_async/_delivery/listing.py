"""How far the recipients of one message have come: eight bytes each, and only ever forward.

Whoever follows deliveries enters. No I/O: lists of recipients go in, who moved on comes out.
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

# A state's code is its place here, from the least to the most advanced.
_STATES = tuple(DeliveryState)


_CODES = {state: code for code, state in enumerate(_STATES)}


_CODE_BITS = 3


_CODE = (1 << _CODE_BITS) - 1


_MOVES = frozenset(
    (_CODES[old], _CODES[new]) for old in _STATES for new in _STATES if old.may_become(new)
)


_PENDING = _CODES[DeliveryState.PENDING]


_NOT_DIGITS = re.compile(r"[^0-9]+")


_MOST_DIGITS = 18  # they and the code fit into 64 bits; numbers have 15


def key_of(number: str) -> int:
    """Return what tells recipients apart: the digits, however the gateway writes the number."""
    return int(_NOT_DIGITS.sub("", number)[-_MOST_DIGITS:] or 0)


def pack(key: int, state: DeliveryState) -> int:
    """Write a recipient of a list as the integer that `RecipientStates.advance` takes."""
    return key << _CODE_BITS | _CODES[state]


class RecipientStates:
    """The states in which the recipients of one message are known to be.

    A number that is on the message several times has that many states; a list does not tell
    which is which, so a change of one is a change of how many are in each.
    """

    __slots__ = ("_codes", "_is_repeated", "_known")

    def __init__(self) -> None:
        self._known = array("Q")
        self._codes: Counter[int] = Counter()
        self._is_repeated = False

    def __len__(self) -> int:
        return len(self._known)

    def counts(self) -> dict[DeliveryState, int]:
        """Return how many recipients are in each state, 0 included."""
        return {state: self._codes[code] for code, state in enumerate(_STATES)}

    def advance(self, listed: Sequence[int]) -> list[int]:
        """Take a list in; return the places in it of those who have moved on, in its order.

        Who is not in it, or is in it with a state that does not follow the known one, stays as
        known. Who is new is taken in, and has moved on unless pending.
        """
        places = {one >> _CODE_BITS: place for place, one in enumerate(listed)}
        if self._is_repeated or len(places) < len(listed):
            self._is_repeated = True
            moved = self._advance_groups(listed)
        else:
            moved = self._advance_each(listed, places)
        self._codes = Counter(one & _CODE for one in self._known)
        return sorted(moved)

    def _advance_each(self, listed: Sequence[int], places: dict[int, int]) -> list[int]:
        """Take in a list where nobody is twice, which is the rule, in a tenth of the time."""
        known, moved = self._known, list[int]()
        for at, old in enumerate(known):
            place = places.pop(old >> _CODE_BITS, None)
            if place is None or (new := listed[place]) == old:
                continue
            if (old & _CODE, new & _CODE) in _MOVES:
                known[at] = new
                moved.append(place)
        if places:
            added = [listed[place] for place in places.values()]
            self._known = array("Q", sorted([*known, *added]))
            moved += [place for place in places.values() if listed[place] & _CODE != _PENDING]
        return moved

    def _advance_groups(self, listed: Sequence[int]) -> list[int]:
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
            here = [(place, listed[place] & _CODE) for place in order[start:end]]
            codes, places = _match([one & _CODE for one in known[first:at]], here)
            merged.extend(sorted(key << _CODE_BITS | code for code in codes))
            moved += places
            start = end
        merged.extend(known[at:])
        self._known = merged
        return moved


def _match(known: list[int], listed: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the codes that one number's entries have now, and the places of those that moved.

    Counted by code, as a gateway that masks numbers lists thousands as one.
    """
    left: list[list[int]] = [[] for _ in _STATES]
    for place, code in listed:
        left[code].append(place)
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
    # Where a state is nobody's known one, the least advanced ones are the new entries.
    added = max(0, len(listed) - len(known))
    for code, places in enumerate(left):
        here = places[:added]
        added -= len(here)
        codes.extend([code] * len(here))
        if code != _PENDING:
            moved.extend(here)
    return codes, moved


_INVALID = "INVALID"


class ListFilter:
    """Takes one list of `message` entry by entry, each once; tells which ones are recipients.

    - An entry that comes again, as where pages overlap, is none: it would stand for somebody who
      is missing. It has the same id, number and place; a number alone may be on a message twice.
    - A number that the gateway calls invalid is none, of as many as the message counts: others
      may be called so later on, when they are rejected.

    `listed` is how many entries there were but for repeats, `invalid` how many of them are invalid.
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
        """Whether this entry was not there before; the first half of `accepts`."""
        if entry.id is not None:
            before = len(self._seen)
            self._seen.add((entry.id, entry.number, bytes(entry.wire_i)))
            if len(self._seen) == before:
                return False
        self.listed += 1
        return True

    def is_valid(self, entry: RecipientReport) -> bool:
        """Whether this entry, which is new, is no invalid number; the second half of `accepts`."""
        if self.invalid < self._most_invalid and (
            entry.state == _INVALID or key_of(entry.number) in self._named
        ):
            self.invalid += 1
            return False
        return True
