"""The source of recipients: any iterable, sync or async, read on demand.

Copies the fields of each recipient at the moment it is read. Does not validate recipients.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sized
from itertools import groupby, islice
from typing import Any, NamedTuple, cast

from ..errors import InvalidNumberError
from .recipient import Recipient, RecipientLike, Recipients, RowError, check_source, coerce

__all__ = ["Held", "Items", "Refused", "Source", "Taken", "as_source", "reason_of", "written_of"]

Held = tuple[str, dict[str, str] | None]


class Refused(NamedTuple):
    """An item that is no recipient: its text, if it has any, and the reason."""

    written: str
    reason: str
    is_row: bool = False


class Taken:
    """Recipients read together: `numbers`, alone or each with a copy of its `fields`, then `others`.

    `others` are items whose form has to be examined one by one.
    """

    __slots__ = ("fields", "numbers", "others")

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.fields: list[dict[str, str]] = []
        self.others: list[Held | Refused] = []

    def __len__(self) -> int:
        return len(self.numbers) + len(self.others)


class Items:
    """Recipients that are read several at a time, each as it is at the moment it is read.

    A source may reuse one dict for all its recipients, so fields are copied before the next
    recipient is requested. Strings need no copy and are read in bulk.
    """

    def __init__(self, items: Iterable[RecipientLike]) -> None:
        # Grouping by type stops before an item of another type, and keeps it for the next group.
        self._groups = groupby(cast("Iterable[object]", items), type)
        self._kind: type[object] = str
        self._group: Iterator[object] = iter(())
        self.failed: bool = False

    def take(self, taken: Taken, wanted: int) -> bool:
        """Read items until `taken` has `wanted` of them; return True if there are no more.

        If the source raises, the items read so far are in `taken`, and `failed` is set.
        """
        try:
            return self._take(taken, wanted)
        except BaseException:
            self.failed = True
            raise

    def _take(self, taken: Taken, wanted: int) -> bool:
        while True:
            group = islice(self._group, wanted - len(taken))
            if self._kind is str and not taken:
                taken.numbers.extend(cast("Iterator[str]", group))
            elif self._kind is tuple and not taken:
                _take_pairs(cast("Iterator[tuple[Any, ...]]", group), taken)
            else:
                taken.others.extend(map(_held, group))
            if len(taken) == wanted:
                return False
            following = next(self._groups, None)
            if following is None:
                return True
            self._kind, self._group = following


def _take_pairs(pairs: Iterator[tuple[Any, ...]], taken: Taken) -> None:
    for pair in pairs:
        if len(pair) != 2 or type(pair[1]) is not dict:  # noqa: PLR2004
            taken.others.append(_held(pair))
            taken.others.extend(map(_held, pairs))
            return
        # The values are validated later, many at a time.
        fields = cast("dict[str, str]", pair[1])
        taken.fields.append(fields.copy())
        taken.numbers.append(pair[0])


def _held(item: object) -> Held | Refused:
    """Return the number of a recipient and a copy of its fields, or why it is refused."""
    if type(item) is Refused:
        return item
    try:
        return coerce(item)
    except Exception as error:  # noqa: BLE001 - fields may be any mapping
        return Refused(written_of(item), reason_of(error), isinstance(error, RowError))


class Source:
    """A sync or async iterable. `exhausted` is set at its end.

    `size`: its length if it has one, like a list; it then has an end and can be read without
    waiting. Otherwise None.
    """

    def __init__(self, recipients: Recipients) -> None:
        check_source(recipients)
        self.exhausted: bool = False
        self.size: int | None = len(recipients) if isinstance(recipients, Sized) else None
        self._items: Items | None = None
        self._async_iterator: AsyncIterator[RecipientLike] | None = None
        if isinstance(recipients, AsyncIterable):
            self._async_iterator = aiter(recipients)
        else:
            self._items = Items(recipients)

    @property
    def one_at_a_time(self) -> bool:
        """Whether `ready` has already read its item from the source."""
        return self._async_iterator is not None

    def rest(self) -> Items | None:
        """Return the items that are still to be read, None if that needs waiting.

        None also after the source has raised: a generator that has raised looks as if it were at
        its end, but it is not known what it held.
        """
        return None if self._items is None or self._items.failed else self._items

    async def ready(self) -> Items:
        """Return the items that can be read without waiting; one item of an async source."""
        if self._items is not None:
            return self._items
        assert self._async_iterator is not None
        try:
            return Items((await anext(self._async_iterator),))
        except StopAsyncIteration:
            self.exhausted = True
            return Items(())

    def drained(self) -> None:
        """Record that the items that `ready` returned are at their end."""
        if self._items is not None:
            self.exhausted = True


def as_source(recipients: Recipients | RecipientLike) -> Source:
    """Return a source of several recipients, or of a single one."""
    if isinstance(recipients, str) or not isinstance(recipients, Iterable | AsyncIterable):
        coerce(recipients)
        return Source([cast("RecipientLike", recipients)])
    return Source(cast("Recipients", recipients))


def reason_of(error: Exception) -> str:
    """Return why a recipient is refused, for the receipt."""
    if isinstance(error, InvalidNumberError):
        return error.reason
    if isinstance(error, TypeError | ValueError):
        return str(error)
    return f"its fields raised {type(error).__name__}"


def written_of(item: object) -> str:
    """Return the number of a refused recipient as the caller wrote it, or an empty text."""
    match item:
        case str() as written:
            return written
        case Recipient():
            return item.number
        case (str() as written, object()):
            return written
        case _:
            return ""
