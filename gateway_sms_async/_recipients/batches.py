"""From a caller's recipients to batches: validated, each number once, each refusal with a reason.

No I/O. Written for millions of recipients: ordinary ones are validated many at a time, and only
unusual ones one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncIterator,
    Callable,
    Iterable,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from itertools import chain, compress

from .._receipt import InvalidRecipient, Marks, RecipientOutcome
from .._template import missing_field
from .._text import is_encodable
from ..errors import InvalidNumberError
from .notations import in_any_notation, others
from .number_set import NumberSet
from .numbers import all_normalized, digits_key, digits_keys, normalize
from .recipient import RowError, coerce
from .source import Held, Items, Refused, Taken, reason_of, written_of
from .wire import WireRecipients, pack

__all__ = ["Batch", "Batcher", "are_plain", "begins_with_row", "checked", "excluded_keys"]

# Items validated before the event loop gets a turn. A source must not block it, even if every
# number is refused.
_SLICE = 1_000


class Batch:
    """Recipients that are sent in one request, as parallel lists.

    - `numbers`: in the gateway's form; `written`: as the caller wrote them.
    - `positions`: in the source; a range while no recipient between them was invalid, a duplicate
      or excluded, then a list.
    - `ordinals`: how a journal identifies them; empty without a journal.
    - `fields`: the values of placeholders, by index in the batch, for the recipients that have
      fields.
    """

    __slots__ = ("fields", "numbers", "ordinals", "positions", "written")

    def __init__(self) -> None:
        self.numbers: list[str] = []
        self.written: list[str] = []
        self.positions: Sequence[int] = range(0)
        self.ordinals: Sequence[int] = range(0)
        self.fields: dict[int, dict[str, str]] = {}

    def __len__(self) -> int:
        return len(self.numbers)

    def split(self, at: int) -> tuple[Batch, Batch]:
        """Return the first `at` recipients and the rest."""
        return self.cut(0, at), self.cut(at, len(self))

    def cut(self, start: int, stop: int) -> Batch:
        """Return the recipients from `start` to before `stop`."""
        part = Batch()
        part.numbers = self.numbers[start:stop]
        part.written = self.written[start:stop]
        part.positions = self.positions[start:stop]
        part.ordinals = self.ordinals[start:stop]
        if self.fields:
            places = range(start, start + len(part.numbers))
            part.fields = {i - start: self.fields[i] for i in places if i in self.fields}
        return part

    def pick(self, indexes: Sequence[int]) -> Batch:
        """Return the recipients at these indexes, which are in ascending order."""
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
        """Return these recipients followed by the others."""
        both = Batch()
        both.numbers = self.numbers + other.numbers
        both.written = self.written + other.written
        both.positions = _joined(self.positions, other.positions)
        both.ordinals = _joined(self.ordinals, other.ordinals)
        both.fields = self.fields | {len(self) + i: fields for i, fields in other.fields.items()}
        return both

    @property
    def is_object_list(self) -> bool:
        """Whether it is sent as a list of objects, which a gateway may not understand."""
        return bool(self.fields) and len(self) > 1

    def to_wire(self) -> WireRecipients:
        """Return the batch as a request carries it: all strings, or all objects if one has fields."""
        if not self.fields:
            return self.numbers
        if len(self.fields) == len(self.numbers):
            # All have fields, which were added in the order of the batch.
            return pack(self.numbers, list(self.fields.values()))
        return pack(self.numbers, [self.fields.get(i, {}) for i in range(len(self.numbers))])


class Batcher:
    """Validates and deduplicates the recipients of a whole campaign, and counts them.

    `read` turns a number as written into the gateway's form, or raises InvalidNumberError. `check`
    says why a recipient with these fields cannot get the text, None if it can. The argument
    `excluded` holds the digits of the numbers not to send to.

    The attributes are the results so far. `total` (recipients read), `duplicates` and `excluded`
    are counts, `invalid` lists the refused recipients with the reasons, and `marks` holds the
    outcomes by position.
    """

    def __init__(
        self,
        placeholders: tuple[str, ...],
        *,
        allow_missing_fields: bool,
        read: Callable[[str], str] = normalize,
        excluded: AbstractSet[int] = frozenset(),
        check: Callable[[Mapping[str, str]], str | None] | None = None,
    ) -> None:
        self._placeholders = () if allow_missing_fields else placeholders
        self._read = read
        self._check = check
        self._excluded = excluded
        # Excluded numbers are added to `_seen` first, so the check for duplicates finds them. It
        # costs nothing for other recipients.
        self._seen = NumberSet()
        if not self._seen.add_all(tuple(excluded)):
            for key in excluded:
                self._seen.add(key)
        self.marks: Marks = Marks()
        self.total: int = 0
        self.duplicates: int = 0
        self.excluded: int = 0
        self.invalid: list[InvalidRecipient] = []

    def fill(self, items: Items, batch: Batch, size: int) -> bool:
        """Read items until `batch` holds `size`, at most one slice; return True at their end.

        Raises RowError if the first item of all is a row: then surely all of them are.
        """
        wanted = min(size - len(batch), _SLICE)
        if wanted <= 0:
            return False
        taken = Taken()
        is_first = not self.total
        try:
            at_end = items.take(taken, wanted)
        finally:
            self._take(taken, batch)
        if is_first and begins_with_row(taken):
            items.failed = True
            raise RowError(f"recipients, position 0: {self.invalid[0].reason}")
        return at_end

    def _take(self, taken: Taken, batch: Batch) -> None:
        """Validate some recipients: all at once if they are ordinary, else one by one."""
        numbers, fields = taken.numbers, taken.fields
        if fields:
            plain = (
                set(map(type, numbers)) == {str}
                and are_plain(fields, self._placeholders)
                and (self._check is None or not any(map(self._check, fields)))
            )
        else:
            plain = not self._placeholders
        if plain:
            self._take_all(numbers, fields, batch)
        else:
            for one in zip(numbers, fields, strict=True) if fields else numbers:
                self._take_one(one, batch)
        for other in taken.others:
            self._take_one(other, batch)

    def _take_all(
        self, written: Sequence[str], fields: Sequence[dict[str, str]], batch: Batch
    ) -> None:
        """Validate recipients whose fields, if they have any, are known to be valid."""
        positions: Sequence[int] = range(self.total, self.total + len(written))
        self.total += len(written)
        numbers = written
        if self._read is not normalize or not all_normalized(written):
            numbers = self._read_all(written, positions)
            if len(numbers) < len(written):
                refused = {one.position for one in self.invalid[len(numbers) - len(written) :]}
                valid = [position not in refused for position in positions]
                written = list(compress(written, valid))
                positions = list(compress(positions, valid))
                fields = list(compress(fields, valid))
        keys = digits_keys(numbers)
        if not self._seen.add_all(keys):
            new = [self._is_new(key, at) for key, at in zip(keys, positions, strict=True)]
            numbers = list(compress(numbers, new))
            written = list(compress(written, new))
            positions = list(compress(positions, new))
            fields = list(compress(fields, new))
        batch.fields.update(enumerate(fields, len(batch)))
        batch.numbers += numbers
        batch.written += written
        batch.positions = _joined(batch.positions, positions)

    def _read_all(self, written: Sequence[str], positions: Sequence[int]) -> Sequence[str]:
        """Return the valid numbers among these, and refuse the others."""
        numbers: list[str] = []
        done = 0
        while done < len(written):
            valid = len(numbers)
            try:
                numbers.extend(map(self._read, written[done:]))
            except Exception as error:  # noqa: BLE001 - any error concerns this recipient only
                # `extend` has kept the numbers before the one that raised.
                done += len(numbers) - valid
                self._refuse(written[done], reason_of(error), positions[done])
                done += 1
            else:
                break
        return numbers

    def _take_one(self, item: str | Held | Refused, batch: Batch) -> None:
        position = self.total
        self.total += 1
        if isinstance(item, Refused):
            self._refuse(item.written, item.reason, position)
            return
        written = ""
        try:
            written, fields = checked(item)
            number = self._read(written)
        except Exception as error:  # noqa: BLE001 - any error concerns this recipient only
            self._refuse(written or written_of(item), reason_of(error), position)
            return
        if self._placeholders and (missing := missing_field(self._placeholders, fields)):
            self._refuse(written, f"no field {missing!r}, which the text uses", position)
            return
        if self._check is not None and fields and (reason := self._check(fields)):
            self._refuse(written, reason, position)
            return
        if not self._is_new(digits_key(number), position):
            return
        if fields is not None:
            batch.fields[len(batch)] = fields
        batch.numbers.append(number)
        batch.written.append(written)
        if isinstance(batch.positions, list):
            batch.positions.append(position)
        else:
            batch.positions = _joined(batch.positions, range(position, position + 1))

    def _refuse(self, written: str, reason: str, position: int) -> None:
        self.invalid.append(InvalidRecipient(written, reason, position))
        self.marks.mark((position,), RecipientOutcome.INVALID)

    def _is_new(self, key: int, position: int) -> bool:
        if self._seen.add(key):
            return True
        if key in self._excluded:
            self.excluded += 1
            self.marks.mark((position,), RecipientOutcome.EXCLUDED)
        else:
            self.duplicates += 1
            self.marks.mark((position,), RecipientOutcome.DUPLICATE)
        return False


async def excluded_keys(
    exclude: Iterable[str] | None, read: Callable[[str], str]
) -> AsyncIterator[list[int]]:
    """Yield the digits of the numbers not to send to, each in each notation that is accepted.

    Raises ValueError for a number that cannot be read: skipping it would mean texting it.
    """
    if exclude is None:
        return
    if isinstance(exclude, str | bytes | Mapping) or not isinstance(exclude, Iterable):
        raise TypeError("exclude is a list, or another iterable, of numbers as text")
    read = in_any_notation(read)
    keys: list[int] = []
    for position, written in enumerate(exclude):
        try:
            number = read(coerce(written)[0])
        except TypeError as error:
            raise TypeError(f"exclude, position {position}: {error}") from None
        except InvalidNumberError as error:
            raise ValueError(
                f"exclude, position {position}: {error.reason}; nothing is sent until every number "
                "to exclude can be read"
            ) from None
        keys += digits_key(number), *map(digits_key, others(number))
        if len(keys) >= _SLICE:
            yield keys
            keys = []
            await asyncio.sleep(0)
    yield keys


def begins_with_row(taken: Taken) -> bool:
    """Whether the first of these is a row with names: then surely all of the source are."""
    if taken.numbers or not taken.others:
        return False
    first = taken.others[0]
    return isinstance(first, Refused) and first.is_row


def _joined(first: Sequence[int], following: Sequence[int]) -> Sequence[int]:
    """Return these positions followed by the others, as a range if they are consecutive."""
    if not first and isinstance(following, range):
        return following
    if isinstance(first, range) and isinstance(following, range) and first.stop == following.start:
        return range(first.start, following.stop)
    return [*first, *following]


def are_plain(dicts: Sequence[dict[str, str]], placeholders: tuple[str, ...]) -> bool:
    """Whether all fields are text that can be sent, and each recipient has the fields that the text uses."""
    shapes = set(map(tuple, dicts))
    names = set(chain.from_iterable(shapes))
    values = list(chain.from_iterable(map(dict[str, str].values, dicts)))
    return (
        set(map(type, chain(names, values))) <= {str}
        and all(map(set(placeholders).issubset, shapes))
        and is_encodable("".join(names))
        and is_encodable("".join(values))
    )


def checked(item: str | Held) -> Held:
    """Return a number and its fields; raises TypeError or ValueError if they cannot be used."""
    if isinstance(item, tuple):
        number, fields = item
        return coerce(number if fields is None else (number, fields))
    return coerce(item)
