"""Where recipients come from: any iterable, sync or async, taken from as it is asked for.

The intake, transactions and campaigns enter. Nothing is decided about a recipient here, but what
it brings is copied at the moment when it is taken.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import groupby, islice
from typing import Any, NamedTuple, cast

from ..errors import InvalidNumberError
from .recipient import Recipient, RecipientLike, Recipients, check_source, coerce

__all__ = ["Held", "Items", "Refused", "Source", "Taken", "as_source", "reason_of", "written_of"]

Held = tuple[str, dict[str, str] | None]


class Refused(NamedTuple):
    """A recipient that cannot be one, as far as it has a text, and why."""

    written: str
    reason: str


class Taken:
    """Recipients taken at once: `numbers`, alone or each with a copy of its `fields`, then `others`.

    The others are those whose form has to be looked at one by one.
    """

    __slots__ = ("fields", "numbers", "others")

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.fields: list[dict[str, str]] = []
        self.others: list[Held | Refused] = []

    def __len__(self) -> int:
        return len(self.numbers) + len(self.others)


class Items:
    """Recipients to be taken several at once, each as it is at the moment when it is taken.

    A source may fill one and the same dict again for its next recipient: fields are copied before
    the next one is asked for. Strings need none of that, and are taken as fast as can be.
    """

    def __init__(self, items: Iterable[RecipientLike]) -> None:
        # Grouping by kind stops before an item of another kind, and keeps it.
        self._groups = groupby(cast("Iterable[object]", items), type)
        self._kind: type[object] = str
        self._group: Iterator[object] = iter(())

    def take(self, taken: Taken, wanted: int) -> bool:
        """Take items until `taken` has as many as wanted; True when there are no more.

        When the source raises, those that have left it are in `taken`.
        """
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
        # What is in it is looked at later, together with others.
        fields = cast("dict[str, str]", pair[1])
        taken.fields.append(fields.copy())
        taken.numbers.append(pair[0])


def _held(item: object) -> Held | Refused:
    """Return the number of a recipient that is no string, and a copy of its fields."""
    try:
        return coerce(item)
    except Exception as error:  # noqa: BLE001 - fields may be anybody's mapping
        return Refused(written_of(item), reason_of(error))


class Source:
    """A sync or async iterable."""

    def __init__(self, recipients: Recipients) -> None:
        check_source(recipients)
        self.exhausted: bool = False
        self._items: Items | None = None
        self._async_iterator: AsyncIterator[RecipientLike] | None = None
        if isinstance(recipients, AsyncIterable):
            self._async_iterator = aiter(recipients)
        else:
            self._items = Items(recipients)

    @property
    def one_at_a_time(self) -> bool:
        """Whether `ready` has taken its item out of the source already."""
        return self._async_iterator is not None

    async def ready(self) -> Items:
        """Return what can be taken without waiting; of an async source that is one item."""
        if self._items is not None:
            return self._items
        assert self._async_iterator is not None
        try:
            return Items((await anext(self._async_iterator),))
        except StopAsyncIteration:
            self.exhausted = True
            return Items(())

    def drained(self) -> None:
        """Take note that what `ready` returned has come to its end."""
        if self._items is not None:
            self.exhausted = True


def as_source(recipients: Recipients | RecipientLike) -> Source:
    """Make a source also of one recipient alone."""
    if isinstance(recipients, str) or not isinstance(recipients, Iterable | AsyncIterable):
        coerce(recipients)
        return Source([cast("RecipientLike", recipients)])
    return Source(cast("Recipients", recipients))


def reason_of(error: Exception) -> str:
    """Say why a recipient cannot be one."""
    if isinstance(error, InvalidNumberError):
        return error.reason
    if isinstance(error, TypeError | ValueError):
        return str(error)
    return f"its fields raised {type(error).__name__}"


def written_of(item: object) -> str:
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
