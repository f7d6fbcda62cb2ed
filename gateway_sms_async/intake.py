"""From a caller's recipients to batches: validated, each number once, every refusal named.

Transactions and campaigns enter. Plain code without I/O but for asking an async source for its
next item; written for millions of recipients, so the loop that takes them stands in one place.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Sequence,
    Set as AbstractSet,
)
from itertools import islice
from typing import cast

from .draft import WireRecipients, pack
from .errors import InvalidNumberError
from .outcomes import Mark, Marks
from .receipt import InvalidRecipient
from .recipients import (
    Fields,
    Recipient,
    RecipientLike,
    Recipients,
    check_source,
    coerce,
    digits_key,
    normalize,
)
from .seen import SeenNumbers
from .text import missing_field

__all__ = ["Batch", "Intake", "Source", "as_source", "read_excluded"]

# Items looked at before the event loop gets a turn: a source of nothing but refused numbers
# must not stop the world.
_SLICE = 1_000


class Batch:
    """Recipients that travel in one request, as parallel lists.

    `numbers` in the gateway's form, `written` as the caller gave them, `positions` in the source;
    `fields` for the placeholders of those who have some, by their index in the batch. `ordinals`
    are what a journal knows them by; empty where there is no journal.
    """

    __slots__ = ("fields", "numbers", "ordinals", "positions", "written")

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.written: list[str] = []
        self.positions: list[int] = []
        self.ordinals: Sequence[int] = range(0)
        self.fields: dict[int, Fields] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def split(self, at: int) -> tuple[Batch, Batch]:
        """Return the first `at` recipients and the rest."""
        head, tail = Batch(), Batch()
        for part, cut in ((head, slice(at)), (tail, slice(at, None))):
            part.numbers = self.numbers[cut]
            part.written = self.written[cut]
            part.positions = self.positions[cut]
            part.ordinals = self.ordinals[cut]
        head.fields = {i: fields for i, fields in self.fields.items() if i < at}
        tail.fields = {i - at: fields for i, fields in self.fields.items() if i >= at}
        return head, tail

    def pick(self, indexes: Sequence[int]) -> Batch:
        """Return the recipients at these places, which rise."""
        if len(indexes) == len(self):
            return self
        picked = Batch()
        picked.numbers = [self.numbers[i] for i in indexes]
        picked.written = [self.written[i] for i in indexes]
        picked.positions = [self.positions[i] for i in indexes]
        picked.ordinals = [self.ordinals[i] for i in indexes] if self.ordinals else range(0)
        if self.fields:
            picked.fields = {at: self.fields[i] for at, i in enumerate(indexes) if i in self.fields}
        return picked

    def joined(self, other: Batch) -> Batch:
        """Return these recipients and then the others."""
        both = Batch()
        both.numbers = self.numbers + other.numbers
        both.written = self.written + other.written
        both.positions = self.positions + other.positions
        both.ordinals = [*self.ordinals, *other.ordinals]
        both.fields = self.fields | {len(self) + i: fields for i, fields in other.fields.items()}
        return both

    @property
    def is_object_list(self) -> bool:
        """Whether it travels as a list of objects, which not every gateway may understand."""
        return bool(self.fields) and len(self) > 1

    def to_wire(self) -> WireRecipients:
        """Write the batch: all strings, or all objects as soon as one has fields."""
        if not self.fields:
            return self.numbers
        return pack(self.numbers, [self.fields.get(i) for i in range(len(self.numbers))])


class Source:
    """A sync or async iterable, taken from as fast as batches leave and no faster."""

    def __init__(self, recipients: Recipients) -> None:
        check_source(recipients)
        self.exhausted = False
        self._iterator: Iterator[RecipientLike] | None = None
        self._async_iterator: AsyncIterator[RecipientLike] | None = None
        if isinstance(recipients, AsyncIterable):
            self._async_iterator = aiter(recipients)
        else:
            self._iterator = iter(recipients)

    @property
    def one_at_a_time(self) -> bool:
        """Whether `ready` has taken its item out of the source already."""
        return self._async_iterator is not None

    async def ready(self) -> Iterator[RecipientLike]:
        """Return what can be taken without waiting; of an async source that is one item."""
        if self._iterator is not None:
            return self._iterator
        assert self._async_iterator is not None
        try:
            return iter((await anext(self._async_iterator),))
        except StopAsyncIteration:
            self.exhausted = True
            return iter(())

    def drained(self) -> None:
        """Take note that what `ready` returned has come to its end."""
        if self._iterator is not None:
            self.exhausted = True


class Intake:
    """Decides about each recipient, campaign-wide: valid, seen before, or refused and why.

    `read` turns a number as written into the gateway's form, or raises InvalidNumberError;
    `excluded` holds the digits of those who are not to be sent to.
    """

    def __init__(
        self,
        placeholders: tuple[str, ...],
        *,
        allow_missing_fields: bool,
        read: Callable[[str], str] = normalize,
        excluded: AbstractSet[int] = frozenset(),
    ) -> None:
        self._placeholders = () if allow_missing_fields else placeholders
        self._read = read
        self._excluded = excluded
        # Who is excluded is found like a duplicate, at no cost for everybody else.
        self._seen = SeenNumbers()
        for key in excluded:
            self._seen.add(key)
        self.marks = Marks()
        self.total = 0
        self.duplicates = 0
        self.excluded = 0
        self.invalid: list[InvalidRecipient] = []

    def fill(self, items: Iterator[RecipientLike], batch: Batch, size: int) -> bool:
        """Take items until `batch` holds `size`, or for one slice; True when they are at an end."""
        read = self._read
        # The set itself, as long as it takes more: a call for each of a million shows.
        seen, every = self._seen.first, self._seen.add if self._seen.full else None
        placeholders = self._placeholders
        position = self.total
        room = size - len(batch)
        if room <= 0:
            return False
        looked_at = 0
        try:
            for item in islice(items, _SLICE):
                looked_at += 1
                fields = None
                try:
                    if type(item) is str:
                        written = item
                    else:
                        written, fields = coerce(item)
                    number = read(written)
                    if placeholders and (missing := missing_field(placeholders, fields)):
                        raise _Refused(f"no field {missing!r}, which the text uses")
                except Exception as error:  # noqa: BLE001 - fields may be anybody's mapping
                    self._refuse(item, _reason(error), position + looked_at - 1)
                    continue
                # recipients.digits_key, without a call for each of a million.
                key = int(number.replace("-", ""))
                if key in seen or (every is not None and not every(key)):
                    self._leave_out(key, position + looked_at - 1)
                    continue
                if every is None:
                    seen.add(key)
                if fields is not None:
                    batch.fields[len(batch)] = fields
                batch.numbers.append(number)
                batch.written.append(written)
                batch.positions.append(position + looked_at - 1)
                room -= 1
                if not room:
                    return False
        finally:
            self.total = position + looked_at
        return looked_at < _SLICE

    def _refuse(self, item: object, reason: str, position: int) -> None:
        self.invalid.append(InvalidRecipient(_written(item), reason, position))
        self.marks.mark((position,), Mark.INVALID)

    def _leave_out(self, key: int, position: int) -> None:
        if key in self._excluded:
            self.excluded += 1
            self.marks.mark((position,), Mark.EXCLUDED)
        else:
            self.duplicates += 1
            self.marks.mark((position,), Mark.DUPLICATE)


async def read_excluded(exclude: Iterable[str], read: Callable[[str], str]) -> set[int]:
    """Return the digits of everyone who is not to be sent to.

    Raises ValueError for a number that cannot be read: passed over, it would be texted.
    """
    check_source(exclude)
    excluded: set[int] = set()
    for position, written in enumerate(exclude):
        try:
            excluded.add(digits_key(read(coerce(written)[0])))
        except InvalidNumberError as error:
            raise ValueError(
                f"exclude, position {position}: {error.reason}; nobody is sent to while a number "
                "that must not be cannot be read"
            ) from None
        if not position % _SLICE:
            await asyncio.sleep(0)
    return excluded


class _Refused(Exception):  # noqa: N818
    """Carries a reason out of the loop; never leaves this room."""


def _reason(error: Exception) -> str:
    if isinstance(error, InvalidNumberError):
        return error.reason
    if isinstance(error, TypeError | ValueError | _Refused):
        return str(error)
    return f"its fields raised {type(error).__name__}"


def _written(item: object) -> str:
    """Return the caller's text of a refused recipient, as far as there is one."""
    match item:
        case str() as written:
            return written
        case Recipient():
            return item.number
        case (str() as written, object()):
            return written
        case _:
            return ""


def as_source(recipients: Recipients | RecipientLike) -> Source:
    """Make a source also of one recipient alone."""
    if isinstance(recipients, str) or not isinstance(recipients, Iterable | AsyncIterable):
        coerce(recipients)
        return Source([cast("RecipientLike", recipients)])
    return Source(cast("Recipients", recipients))
