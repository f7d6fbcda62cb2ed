"""The recipients of one shard in a file, from the moment they are read until they are in a journal.

Every method blocks.
"""

from __future__ import annotations

import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from .._journal.connection import explained
from .._recipients.source import Held, Refused

__all__ = ["SPREAD_OVER", "Spool", "shard_of"]

SPREAD_OVER = 1_000
"""The most shards that a campaign can have."""


# Multiplying by an odd number, modulo 2**50, is a permutation of the numbers: consecutive ones go to
# different shards. A journal that was begun depends on it: it must never change.
_SPREAD = 0x2_7E15_1628_AED3


_MASK = (1 << 50) - 1


_SHIFT = 20


def shard_of(key: int, shards: int) -> int:
    """Return the shard, from 0, of the number with these digits."""
    return ((key * _SPREAD & _MASK) >> _SHIFT) % shards


_LENGTH = 4


_encode = msgspec.msgpack.Encoder().encode


_decode = msgspec.msgpack.Decoder(list[Any]).decode


class Spool:
    """The recipients of one shard, those in memory not written yet.

    - `rows`: recipients as read, or as refused; `places`: their positions in the whole source.
    - `excluded`: the digits of numbers of this shard not to send to.
    - `places_checksum`: that of all places written so far.

    `check` raises JournalError if the campaign has ended: a source that swallows its cancellation
    may go on after that, when the files are another campaign's.
    """

    def __init__(self, path: Path, places_path: Path, check: Callable[[], None]) -> None:
        self.path = path
        self._places_path = places_path
        self._check = check
        self.rows: list[str | Held | Refused] = []
        self.places = array("I")
        self.excluded = array("q")
        self.places_checksum = 0

    def write(self) -> None:
        """Write what is in memory to the files."""
        if not self.rows:
            return
        self._check()
        rows, self.rows = self.rows, []
        places, self.places = self.places, array("I")
        value = _encode(rows)
        data = _little_endian(places).tobytes()
        self.places_checksum = zlib.crc32(data, self.places_checksum)
        with explained(self.path):
            with self.path.open("ab") as file:
                file.write(len(value).to_bytes(_LENGTH))
                file.write(value)
            with self._places_path.open("ab") as file:
                file.write(data)

    def read(self) -> Iterator[str | Held | Refused]:
        """Yield the recipients that were written, in their order."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            while length := file.read(_LENGTH):
                for row in _decode(file.read(int.from_bytes(length))):
                    yield row if type(row) is str else _of_pair(row)

    def read_places(self) -> bytes:
        """Return the places that were written, as four bytes each."""
        return self._places_path.read_bytes() if self._places_path.exists() else b""

    def delete(self) -> None:
        """Delete the recipients; their places stay."""
        self.path.unlink(missing_ok=True)


def read_places(path: Path, checksum: int) -> Sequence[int]:
    """Return the positions in the whole source of the recipients of a shard.

    Raises ValueError if the file is damaged, OSError.
    """
    data = path.read_bytes() if path.exists() else b""
    if zlib.crc32(data) != checksum:
        raise ValueError("the places of its recipients are damaged")
    places = array("I")
    places.frombytes(data)
    return _little_endian(places)


def _of_pair(pair: list[Any]) -> Held | Refused:
    """Return a recipient with fields, or a refused one."""
    written, other, *_ = pair
    if isinstance(other, dict):
        return written, cast("dict[str, str]", other)
    return Refused(written, other)


def _little_endian(places: array[int]) -> array[int]:
    if sys.byteorder == "big":
        places = places[:]
        places.byteswap()
    return places
