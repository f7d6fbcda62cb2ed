"""What callers pass when they make a client or start a campaign, checked before anything else.

The client, the token sources, the preview and the addresses of callbacks enter. A value that cannot be meant is a
ValueError, one of another kind a TypeError; each names the argument.
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
    """Refuse what is no whole number of at least 1."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} must be an int")
    if value < 1:
        raise ValueError(f"{name} must be at least 1")
    return value


def check_per_message(value: int) -> int:
    """Refuse more recipients than a message may have."""
    if check_count("recipients_per_message", value) > _MOST_PER_MESSAGE:
        raise ValueError(f"recipients_per_message is at most {_MOST_PER_MESSAGE}")
    return value


def check_verify(verify: str) -> bool:
    """Return whether the list of every message is to be read."""
    if verify not in {"auto", "always"}:
        raise ValueError('verify is "auto" or "always"')
    return verify == "always"


def check_cost(name: str, cost: Decimal | float | str) -> Decimal:
    """Return an amount of euro, exactly as it is written."""
    try:
        amount = Decimal(str(cost))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount <= 0:
        raise ValueError(f"{name} is a positive amount of euro")
    return amount


def check_stop(stop: asyncio.Event | None) -> None:
    """Refuse what is no asyncio.Event."""
    if stop is not None and not isinstance(stop, asyncio.Event):
        raise TypeError("stop must be an asyncio.Event")


def check_number(name: str, value: float) -> float:
    """Refuse what is no number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number")
    return value


def check_timeout(timeout: float) -> float:
    """Refuse what is no time."""
    if not 0 < check_number("timeout", timeout) < math.inf:
        raise ValueError("timeout is a positive number of seconds")
    return timeout


def check_flag(name: str, value: object) -> bool:
    """Refuse what is no bool: 0 and None would mean something on the wire."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False")
    return value
