"""From a source to the recipients of each shard: read once, and nothing is kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import contextmanager

from .._recipients.batches import are_plain, begins_with_row, checked
from .._recipients.numbers import all_normalized, digits_key, digits_keys, normalize
from .._recipients.recipient import RowError
from .._recipients.source import Held, Items, Refused, Source, Taken, reason_of, written_of
from .disk import on_disk
from .spool import Spool, shard_of

__all__ = ["SourceFailedError", "Splitter"]

_SLICE = 1_000
"""Recipients placed before the event loop gets a turn."""


_IN_MEMORY = 50_000
"""Recipients of all shards together that are not written to their files yet."""


_AT_LEAST = 200


_AT_MOST = 5_000
"""Recipients of one shard that are written, and later read, at once."""


class SourceFailedError(Exception):
    """The source raised; its error is the `__cause__`."""


class Splitter:
    """Places recipients by the digits of their number. `total` counts those read so far.

    `read` turns a number as written into the gateway's form. A recipient that is refused is placed
    by its position.
    """

    def __init__(
        self, spools: Sequence[Spool], read: Callable[[str], str], report: Callable[[], None]
    ) -> None:
        self._spools = spools
        self._read = read
        self._report = report
        self._together = min(_AT_MOST, max(_AT_LEAST, _IN_MEMORY // len(spools)))
        self._unwritten = 0
        self.total = 0

    async def exclude(self, excluded: AsyncIterator[list[int]]) -> None:
        """Read the numbers not to send to, as their digits."""
        async for keys in excluded:
            for key in keys:
                self._spools[shard_of(key, len(self._spools))].excluded.append(key)

    async def split(self, source: Source) -> None:
        """Read a whole source.

        Raises RowError if the first recipient of all is a row, JournalError if the recipients cannot
        be written, SourceFailedError if the source raises.
        """
        while not source.exhausted:
            items = await _ready(source)
            at_end = False
            while not at_end:
                taken = Taken()
                is_first = not self.total
                with _of_source():
                    at_end = items.take(taken, _SLICE)
                if is_first and begins_with_row(taken):
                    first = taken.others[0]
                    assert isinstance(first, Refused)
                    raise RowError(f"recipients, position 0: {first.reason}")
                self._place(taken)
                await self._write()
                self._report()
                await asyncio.sleep(0)
            source.drained()
        await on_disk(self._spools[0].path, _write_all, self._spools)

    async def _write(self) -> None:
        """Write the shards that have enough, as soon as one can have."""
        if self.total - self._unwritten < self._together:
            return
        self._unwritten = self.total
        full = [spool for spool in self._spools if len(spool.rows) >= self._together]
        if full:
            await on_disk(full[0].path, _write_all, full)

    def _place(self, taken: Taken) -> None:
        numbers, fields = taken.numbers, taken.fields
        if not fields:
            self._place_all(numbers, numbers)
        elif set(map(type, numbers)) == {str} and are_plain(fields, ()):
            self._place_all(numbers, list(zip(numbers, fields, strict=True)))
        else:
            for one in zip(numbers, fields, strict=True):
                self._place_one(one)
        for other in taken.others:
            self._place_one(other)

    def _place_all(self, numbers: Sequence[str], rows: Sequence[str | Held]) -> None:
        """Place recipients whose form is known to be valid."""
        if self._read is not normalize or not all_normalized(numbers):
            for row in rows:
                self._place_one(row)
            return
        spools, shards = self._spools, len(self._spools)
        for position, (key, row) in enumerate(
            zip(digits_keys(numbers), rows, strict=True), self.total
        ):
            spool = spools[shard_of(key, shards)]
            spool.rows.append(row)
            spool.places.append(position)
        self.total += len(numbers)

    def _place_one(self, item: str | Held | Refused) -> None:
        position = self.total
        self.total += 1
        row, shard = self._placed(item, position % len(self._spools))
        self._spools[shard].rows.append(row)
        self._spools[shard].places.append(position)

    def _placed(
        self, item: str | Held | Refused, otherwise: int
    ) -> tuple[str | Held | Refused, int]:
        """Return a recipient as it is kept, and its shard; `otherwise` if it is refused."""
        if isinstance(item, Refused):
            return _kept(item), otherwise
        written = ""
        try:
            written, fields = checked(item)
            key = digits_key(self._read(written))
        except Exception as error:  # noqa: BLE001 - any error concerns this recipient only
            return _kept(Refused(written or written_of(item), reason_of(error))), otherwise
        return written if fields is None else (written, fields), shard_of(key, len(self._spools))


@contextmanager
def _of_source() -> Generator[None]:
    try:
        yield
    except Exception as error:
        raise SourceFailedError from error


async def _ready(source: Source) -> Items:
    with _of_source():
        return await source.ready()


def _write_all(spools: Sequence[Spool]) -> None:
    for spool in spools:
        spool.write()


def _kept(refused: Refused) -> Refused:
    """Return a refused recipient whose text can be encoded, as a journal keeps it."""
    return Refused(_encodable(refused.written), _encodable(refused.reason))


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
