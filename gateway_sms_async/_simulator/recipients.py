"""Reads the `recipients` of a request: which numbers are valid, with which fields.

The busiest room of the simulator: plain lists of well-formed numbers are kept as they came.
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
class Batch:
    """The recipients of one request.

    `numbers` are the valid ones, repeats kept; `fields` maps a position in `numbers` to its
    fields and lacks those without any; `invalid` holds the rest as it was written.
    """

    numbers: list[str]
    fields: dict[int, JSON]
    invalid: list[str]

    def __len__(self) -> int:
        return len(self.numbers) + len(self.invalid)

    def rejecting(self, unroutable: set[str]) -> Batch:
        """Return the batch with the numbers in `unroutable` moved to the end of the invalid."""
        if unroutable.isdisjoint(self.numbers):
            return self
        kept = Batch([], {}, self.invalid.copy())
        for i, number in enumerate(self.numbers):
            if number in unroutable:
                kept.invalid.append(number)
            else:
                _keep(kept, number, self.fields.get(i))
        return kept

    def without(self, known: list[str]) -> Batch:
        """Return the batch without numbers in `known` and without repeats; first fields win."""
        seen = set(known)
        kept = Batch([], {}, self.invalid)
        for i, number in enumerate(self.numbers):
            if number not in seen:
                seen.add(number)
                _keep(kept, number, self.fields.get(i))
        return kept


def read_recipients(request: JSON, *, object_lists: bool) -> Batch:
    """Return the batch in `request["recipients"]`: a string, an object, or a list of either.

    With `object_lists` false an object is understood alone, and is invalid in a list.
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


def _read_plain(items: list[Any]) -> Batch | None:
    """Return the batch of a list that holds well-formed numbers only, or None."""
    try:
        lines = "\n".join(items)
    except TypeError:
        return None
    # One match over the joined text takes a third of the time of one match per number; a
    # number with a line break in it would pass as two, hence the count.
    if _are_numbers(lines + "\n") and lines.count("\n") == len(items) - 1:
        return Batch(items, {}, [])
    return None


def _read_each(items: list[Any], *, object_lists: bool) -> Batch:
    batch = Batch([], {}, [])
    for item in items:
        number, fields, understood = item, None, True
        if is_object(item):
            number, fields, understood = item.get("number"), item.get("fields"), object_lists
        if (
            understood
            and isinstance(number, str)
            and is_number(number)
            and (not fields or is_object(fields))
        ):
            _keep(batch, number, fields)
        else:
            batch.invalid.append(str(number))
    return batch


def _keep(batch: Batch, number: str, fields: JSON | None) -> None:
    if fields:
        batch.fields[len(batch.numbers)] = fields
    batch.numbers.append(number)


def brings_recipients(request: JSON) -> bool:
    """Whether a request that `read_recipients` can read holds at least one."""
    return request.get("recipients") != []


def halve(request: object) -> object:
    """Return the request with the first half of its recipients; one alone is dropped."""
    if not is_object(request):
        return request
    recipients = request.get("recipients")
    half = recipients[: len(recipients) // 2] if is_list(recipients) else []
    return {**request, "recipients": half}


def without_hyphen(number: str) -> str:
    """Return a number as a gateway shows it that does not keep what was written."""
    return number.replace("-", "", 1)


def fill(text: str, fields: JSON | None) -> str:
    """Return `text` with each `{{name}}` replaced by its field, left as written without one."""
    if not fields or "{{" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: str(fields.get(match[1], match[0])), text)


def count_batch_parts(text: str, batch: Batch) -> int:
    """Return how many SMS parts `text` takes for all valid recipients of the batch together."""
    unfilled, _ = count_parts(text)
    if "{{" not in text:
        return unfilled * len(batch.numbers)
    filled = sum(count_parts(fill(text, fields))[0] for fields in batch.fields.values())
    return filled + unfilled * (len(batch.numbers) - len(batch.fields))


def check_fields(text: str, batch: Batch) -> None:
    """Raise a refusal unless every recipient brings every field that `text` names."""
    names = set(_PLACEHOLDER.findall(text))
    for i in range(len(batch.numbers)) if names else ():
        missing = names - batch.fields.get(i, {}).keys()
        if missing:
            raise RefusedError(422, MISSING_FIELD, f"missing field '{min(missing)}'")
