"""Reads and checks the parameters of a request as the gateway does.

Each function raises the gateway's refusal of a bad value. Recipients are read in `recipients`.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Final, TypeVar

from .message import ITALY
from .responses import (
    JSON,
    MISSING_BODY,
    MISSING_SENDER,
    NOT_JSON,
    RefusedError,
    invalid,
    is_object,
)

_is_numeric: Final = re.compile(r"\+?[0-9]+").fullmatch
_is_number: Final = re.compile(r"\+?[0-9]{3,14}").fullmatch
_is_name: Final = re.compile(r"[^\x00-\x1f]{3,}").fullmatch
_is_millis: Final = re.compile(r"[0-9]{1,15}").fullmatch
_year_first: Final = re.compile(r"(\d{4})-(\d{2})-(\d{2})").fullmatch
_day_first: Final = re.compile(r"(\d{2})-(\d{2})-(\d{4})").fullmatch
_Default = TypeVar("_Default")


def read_object(body: object) -> JSON:
    """Return the request; it must be a JSON object."""
    if not is_object(body):
        raise RefusedError(400, NOT_JSON, "the request is not a JSON object")
    return body


def read_sender(request: JSON, *, longest: int) -> str:
    """Return the sender of the message; `longest` is for one with letters."""
    sender = request.get("sender")
    if sender is None or sender == "":
        raise RefusedError(422, MISSING_SENDER, "missing 'sender' parameter")
    if not isinstance(sender, str) or not _is_usable(sender, longest):
        raise invalid(f"'sender' must have 3-{longest} characters, or 3-14 if numeric")
    return sender


def _is_usable(sender: str, longest: int) -> bool:
    if _is_numeric(sender):
        return _is_number(sender) is not None
    return _is_name(sender) is not None and len(sender) <= longest


def read_text(request: JSON) -> str:
    """Return the text of the message, with its placeholders."""
    text = request.get("body")
    if text is None or text == "":
        raise RefusedError(422, MISSING_BODY, "missing 'body' parameter")
    if not isinstance(text, str):
        raise invalid("'body' must be a string")
    return text


def read_bool(values: JSON, name: str) -> bool | None:
    """Return the boolean `name`, None if it is not given."""
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise invalid(f"'{name}' must be true or false")
    return value


def read_priority(request: JSON) -> Decimal:
    """Return the priority, 1 if it is not given."""
    value = request.get("priority", 1)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 1:
        raise invalid("'priority' must be a number from 1.00 on")
    return Decimal(str(value))


def read_options(request: JSON) -> JSON:
    """Return the options, an empty object if there are none."""
    options = request.get("options")
    if not options:
        return {}
    if not is_object(options):
        raise invalid("'options' must be an object")
    read_bool(options, "flash")
    read_bool(options, "realtime")
    for name in ("callback_url", "callback_field"):
        if not isinstance(options.get(name), str | None):
            raise invalid(f"'{name}' must be a string")
    return options


def read_date(options: JSON, *, default: _Default, millis: bool) -> float | _Default:
    """Return `options.timestamp_send` in wall seconds, else `default`.

    A date is midnight in Italy. With `millis`, milliseconds in a string are accepted too.
    """
    text = options.get("timestamp_send")
    if text is None:
        return default
    if isinstance(text, str):
        if millis and _is_millis(text):
            return int(text) / 1000
        year_first, day_first = _year_first(text), _day_first(text)
        digits = year_first.groups() if year_first else day_first and day_first.groups()[::-1]
        if digits:
            year, month, day = map(int, digits)
            try:
                return datetime(year, month, day, tzinfo=ITALY).timestamp()
            except ValueError:  # the 31st of a short month
                pass
    raise invalid("'timestamp_send' must be a date like 2018-05-20 or 20-05-2018")
