"""Decodes responses that hold a list, which may be the longest ones. No I/O.

The smallest entry takes 14 bytes of a response and 170 of memory, so the number of entries is
limited while they are decoded, not only the bytes.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct

from ..models import Envelope

__all__ = ["ListDecoder"]

S = TypeVar("S", bound=Struct)

_STEP = 128 * 1024

_SAMPLE = 4 * 1024
"""Bytes: of every `_STEP` bytes of a response, so many are searched for entries."""

_MARGIN = 1.25
"""An estimate is this much off at most, but for a response that is made to deceive it."""


class ListDecoder(Generic[S]):
    """Decodes envelopes whose data is a list of at most `most` entries.

    `key` is the name of a field that every entry has.
    """

    def __init__(self, entry: type[S], *, most: int, key: str) -> None:
        self._most = most
        self._key = f'"{key}"'.encode()
        entries: Any = list[entry]  # type: ignore[valid-type]
        bounded: Any = Annotated[entries, Meta(max_length=most)]
        envelope: Any = Envelope
        self._decoder: msgspec.json.Decoder[Envelope[list[S]]]
        self._decoder = msgspec.json.Decoder(envelope[bounded])

    def decode(self, body: bytes, /) -> Envelope[list[S]]:
        """Decode a body; raises msgspec.DecodeError, also for too many entries."""
        # msgspec checks the length of a list only after it has made all of its entries.
        if (
            len(body) > self._most * len(self._key)
            and _estimate_entries(body, self._key) > self._most * _MARGIN
        ):
            _check_length(body, self._most)
        return self._decoder.decode(body)


def _estimate_entries(body: bytes, key: bytes) -> int:
    """Return about how many entries a body has. To count them would cost a fifth of decoding.

    The places are random, so that nobody can put the entries between them.
    """
    found = 0
    for start in range(0, len(body), _STEP):
        at = start + int(random.random() * _STEP)  # noqa: S311 - to guess it gains little
        # A letter of the key may be escaped.
        found += body.count(key, at, at + _SAMPLE) + body.count(b"\\u00", at, at + _SAMPLE)
    return found * (_STEP // _SAMPLE)


def _check_length(body: bytes, most: int) -> None:
    """Raise msgspec.DecodeError at the first entry above `most`."""
    entries = count(1)

    class Entry(Struct, gc=False):
        def __post_init__(self) -> None:
            if next(entries) > most:
                raise ValueError(f"more than {most} entries")

    msgspec.json.decode(body, type=Envelope[list[Entry]])
