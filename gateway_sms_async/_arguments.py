"""Argument validation.

A value out of range raises ValueError, a value of the wrong type TypeError; the message names the
argument.
"""

from __future__ import annotations

import asyncio
import math
from decimal import Decimal, InvalidOperation

__all__ = [
    "check_cost",
    "check_count",
    "check_flag",
    "check_number",
    "check_per_message",
    "check_stop",
    "check_timeout",
    "check_verify",
]

_MOST_PER_MESSAGE = 50_000


def check_count(name: str, value: int) -> int:
    """Return `value` if it is an integer of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value


def check_per_message(value: int) -> int:
    """Return `value` if a message may have so many recipients."""
    if check_count("recipients_per_message", value) > _MOST_PER_MESSAGE:
        raise ValueError(f"recipients_per_message is at most {_MOST_PER_MESSAGE}")
    return value


def check_verify(verify: str) -> bool:
    """Return whether the recipient list of every message is to be read."""
    if verify not in {"auto", "always"}:
        raise ValueError('verify is "auto" or "always"')
    return verify == "always"


def check_cost(name: str, cost: Decimal | float | str) -> Decimal:
    """Return a positive amount of euro, with exactly the digits that were passed."""
    try:
        amount = Decimal(str(cost))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{name} is a positive amount of euro")
    return amount


def check_stop(stop: asyncio.Event | None) -> None:
    """Raise TypeError unless `stop` is an asyncio.Event or None."""
    if stop is not None and not isinstance(stop, asyncio.Event):
        raise TypeError("stop must be an asyncio.Event")


def check_number(name: str, value: float) -> float:
    """Return `value` if it is an int or a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number")
    return value


def check_timeout(timeout: float) -> float:
    """Return `timeout` if it is a positive, finite number of seconds."""
    if not 0 < check_number("timeout", timeout) < math.inf:
        raise ValueError("timeout is a positive number of seconds")
    return timeout


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is a bool.

    0 and None are refused too: on the wire they would mean something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False")
    return value
