"""An exact set of numbers, small enough for ten million of them.

The first million is kept in a `set`, which is fastest. Each further number takes four bytes, a
fifth of what a `set` needs.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NumberSet"]

_IN_SET = 1_000_000


# A number has at most 15 digits, which fit in 50 bits. Multiplying by an odd number, modulo 2**50,
# is a permutation: no two numbers collide, and consecutive ones are spread over all buckets.
_BITS = 50


_MASK = (1 << _BITS) - 1


_SPREAD = 0x2_7E15_1628_AED3


_REST_BITS = 32


_REST = (1 << _REST_BITS) - 1


_WIDTH = _REST_BITS // 8


_BUCKETS = 1 << (_BITS - _REST_BITS)


class NumberSet:
    """A set of the digits of numbers, as integers of at most 15 digits."""

    __slots__ = ("_buckets", "_first")

    def __init__(self) -> None:
        self._first: set[int] = set()
        self._buckets: list[bytes] | None = None

    def add_all(self, keys: Sequence[int]) -> bool:
        """Add these numbers and return True, if all are new and a `set` still holds them.

        Otherwise adds none of them and returns False: the caller then adds them one by one.
        """
        if len(self._first) + len(keys) > _IN_SET or not self._first.isdisjoint(keys):
            return False
        before = len(self._first)
        self._first.update(keys)
        if len(self._first) == before + len(keys):
            return True
        # One of them occurs twice.
        self._first.difference_update(keys)
        return False

    def add(self, key: int) -> bool:
        """Add a number; return False if it was there already."""
        if key in self._first:
            return False
        if len(self._first) < _IN_SET:
            self._first.add(key)
            return True
        if self._buckets is None:
            self._buckets = [b""] * _BUCKETS
        spread = key * _SPREAD & _MASK
        at = spread >> _REST_BITS
        rest = (spread & _REST).to_bytes(_WIDTH, "little")
        bucket = self._buckets[at]
        found = bucket.find(rest)
        while found >= 0:
            if not found % _WIDTH:
                return False
            # A false match: it straddles two other entries.
            found = bucket.find(rest, found + 1)
        self._buckets[at] = bucket + rest
        return True
