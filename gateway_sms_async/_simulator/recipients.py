"""Reads the `recipients` of a request: which numbers are valid, and their fields.

This is the simulator's hot path: a plain list of well-formed numbers is kept without a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from .responses import (
    JSON,
    MISSING_FIELD,
    MISSING_RECIPIENTS,
    RefusedError,
    invalid,
    is_list,
    is_object,
)
from .segments import count_parts

_NUMBER: Final = r"\+[0-9]{1,3}-[0-9]++"
is_number: Final = re.compile(_NUMBER).fullmatch
_are_numbers: Final = re.compile(rf"(?:{_NUMBER}\n)*+").fullmatch
_PLACEHOLDER: Final = re.compile(r"\{\{([^{}]+)\}\}")


@dataclass(frozen=True, slots=True)
class ReceivedBatch:
    """The recipients of one request.

    - `numbers`: the valid ones, repeats included.
    - `fields`: the fields by position in `numbers`, only of recipients that have some.
    - `invalid`: the others, as written.
    """

    numbers: list[str]
    fields: dict[int, JSON]
    invalid: list[str]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.invalid)

    def rejecting(self, unroutable: set[str]) -> ReceivedBatch:
        """Return the batch with the numbers in `unroutable` moved to the end of `invalid`."""
        if unroutable.isdisjoint(self.numbers):
            return self
        kept = ReceivedBatch([], {}, self.invalid.copy())
        for i, number in enumerate(self.numbers):
            if number in unroutable:
                kept.invalid.append(number)
            else:
                _keep(kept, number, self.fields.get(i))
        return kept

    def without(self, known: list[str]) -> ReceivedBatch:
        """Return the batch without numbers in `known` and without repeats; the first entry wins."""
        seen = set(known)
        kept = ReceivedBatch([], {}, self.invalid)
        for i, number in enumerate(self.numbers):
            if number not in seen:
                seen.add(number)
                _keep(kept, number, self.fields.get(i))
        return kept


def read_recipients(request: JSON, *, object_lists: bool) -> ReceivedBatch:
    """Return the batch in `request["recipients"]`: a string, an object, or a list of either.

    With `object_lists` false, an object is accepted alone and is invalid in a list.
    """
    value = request.get("recipients")
    if value is None:
        raise RefusedError(422, MISSING_RECIPIENTS, "missing 'recipients' parameter")
    if isinstance(value, str) or is_object(value):
        return _read_each([value], object_lists=True)
    if not is_list(value):
        raise invalid("'recipients' must be a string, an object or a list")
    plain = _read_plain(value)
    return _read_each(value, object_lists=object_lists) if plain is None else plain


def _read_plain(items: list[Any]) -> ReceivedBatch | None:
    """Return the batch of a list of well-formed numbers, None if it holds anything else."""
    try:
        lines = "\n".join(items)
    except TypeError:
        return None
    # One match over the joined text takes a third of the time of one match per number. A number
    # that contains a line break would pass as two, hence the count.
    if _are_numbers(lines + "\n") and lines.count("\n") == len(items) - 1:
        return ReceivedBatch(items, {}, [])
    return None


def _read_each(items: list[Any], *, object_lists: bool) -> ReceivedBatch:
    batch = ReceivedBatch([], {}, [])
    for item in items:
        number, fields, accepted = item, None, True
        if is_object(item):
            number, fields, accepted = item.get("number"), item.get("fields"), object_lists
        if (
            accepted
            and isinstance(number, str)
            and is_number(number)
            and (not fields or is_object(fields))
        ):
            _keep(batch, number, fields)
        else:
            batch.invalid.append(str(number))
    return batch


def _keep(batch: ReceivedBatch, number: str, fields: JSON | None) -> None:
    if fields:
        batch.fields[len(batch.numbers)] = fields
    batch.numbers.append(number)


def brings_recipients(request: JSON) -> bool:
    """Whether a request that `read_recipients` accepts has at least one recipient."""
    return request.get("recipients") != []


def halve(request: object) -> object:
    """Return the request with the first half of its recipients; a single one is dropped."""
    if not is_object(request):
        return request
    recipients = request.get("recipients")
    half = recipients[: len(recipients) // 2] if is_list(recipients) else []
    return {**request, "recipients": half}


def without_hyphen(number: str) -> str:
    """Return a number as a gateway shows it that rewrites numbers."""
    return number.replace("-", "", 1)


def fill(text: str, fields: JSON | None) -> str:
    """Return `text` with each `{{name}}` replaced by its field, or left as it is without one."""
    if not fields or "{{" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: str(fields.get(match[1], match[0])), text)


def count_batch_parts(text: str, batch: ReceivedBatch) -> int:
    """Return the number of SMS parts of `text` for all valid recipients of the batch."""
    unfilled, _ = count_parts(text)
    if "{{" not in text:
        return unfilled * len(batch.numbers)
    filled = sum(count_parts(fill(text, fields))[0] for fields in batch.fields.values())
    return filled + unfilled * (len(batch.numbers) - len(batch.fields))


def check_fields(text: str, batch: ReceivedBatch) -> None:
    """Raise a refusal unless every recipient has every field that `text` names."""
    names = set(_PLACEHOLDER.findall(text))
    for i in range(len(batch.numbers)) if names else ():
        missing = names - batch.fields.get(i, {}).keys()
        if missing:
            raise RefusedError(422, MISSING_FIELD, f"missing field '{min(missing)}'")
