"""The recipients of one shard in a file, from the moment they are read until they are in a journal.

Every method blocks.
"""

from __future__ import annotations

import os
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import msgspec

from .._journal.connection import explained
from .._recipients.source import Held, Refused
from ..errors import JournalError

__all__ = ["SPREAD_OVER", "Spool", "open_private", "read_places", "shard_of"]

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
        self._written = 0

    def write(self) -> None:
        """Write what is in memory to the files."""
        if not self.rows:
            return
        self._check()
        # No number is in a local name here: a crash reporter would show it.
        with explained(self.path):
            with open_private(self.path, "ab") as file:
                file.write(_framed(_encode(self.rows)))
            with open_private(self._places_path, "ab") as file:
                file.write(self._places_as_bytes())
        self.places_checksum = zlib.crc32(self._places_as_bytes(), self.places_checksum)
        self._written += len(self.rows)
        self.rows, self.places = [], array("I")

    def read(self) -> Iterator[str | Held | Refused]:
        """Yield the recipients that were written, in their order.

        Raises JournalError if they are not all there.
        """
        left = self._written
        with explained(self.path):
            if left:
                with self.path.open("rb") as file:
                    while length := file.read(_LENGTH):
                        for row in self._decoded(file.read(int.from_bytes(length))):
                            yield row if type(row) is str else _of_pair(row)
                            left -= 1
        if left:
            raise self._incomplete()

    def read_places(self) -> bytes:
        """Return the places that were written, as four bytes each."""
        if not self._written:
            return b""
        with explained(self._places_path):
            places = self._places_path.read_bytes()
        if zlib.crc32(places) != self.places_checksum:
            raise self._incomplete()
        return places

    def delete(self) -> None:
        """Delete the recipients; their places stay."""
        with explained(self.path):
            self.path.unlink(missing_ok=True)

    def _places_as_bytes(self) -> bytes:
        return _little_endian(self.places).tobytes()

    def _decoded(self, value: bytes) -> list[Any]:
        try:
            return _decode(value)
        except msgspec.MsgspecError:
            value = b""  # it holds numbers, which a crash reporter would show
            raise self._incomplete() from None

    def _incomplete(self) -> JournalError:
        return JournalError(
            f"{self.path}: the recipients that were read into this file are not all there any more; "
            "nothing was sent"
        )


def open_private(path: Path, mode: Literal["wb", "ab"]) -> BinaryIO:
    """Open a file that only its owner can read, whatever the umask allows."""
    return open(path, mode, opener=_owned)


def _owned(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _framed(value: bytes) -> bytes:
    return len(value).to_bytes(_LENGTH) + value


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
