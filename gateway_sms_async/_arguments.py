"""What callers pass when they make a client or start a campaign, checked before anything else.

The client, the token sources, the preview and the addresses of callbacks enter. A value that cannot be meant is a
ValueError, one of another kind a TypeError; each names the argument.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import os
from decimal import Decimal, InvalidOperation
from urllib.parse import SplitResult, urlsplit, urlunsplit

from ._retry import RetryPolicy

__all__ = [
    "PRODUCTION",
    "SANDBOX",
    "check_address",
    "check_cost",
    "check_count",
    "check_number",
    "check_per_message",
    "check_proxy",
    "check_retry",
    "check_stop",
    "check_timeout",
    "check_token",
    "check_verify",
    "choose_base_url",
]

PRODUCTION = "https://ws.messaggisms.com"
SANDBOX = "https://test.ws.messaggisms.com"
_BASE_URL_VARIABLE = "GATEWAY_SMS_BASE_URL"
_MOST_PER_MESSAGE = 50_000


def check_token(token: str) -> str:
    """Refuse a token that could not stand in a header, without showing it."""
    if not isinstance(token, str):
        raise TypeError("token must be a str or a token source")
    if not token:
        raise ValueError("the token is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("the token holds a blank or a character that no token has")
    return token


def choose_base_url(base_url: str | None, *, sandbox: bool) -> str:
    """Return where requests go."""
    if base_url is None and not sandbox:
        base_url = os.environ.get(_BASE_URL_VARIABLE) or PRODUCTION
    return SANDBOX if base_url is None else _check_base_url(base_url)


def _check_base_url(base_url: str) -> str:
    parts = check_address("base_url", base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def check_address(name: str, address: str) -> SplitResult:
    """Refuse what is no plain https address; http is for this machine's own alone."""
    parts = urlsplit(address)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"{name} must begin with https:// and name a host")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{name} names a port that is none") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} must not hold a user or a password")
    if parts.query or parts.fragment or not address.isprintable() or " " in address:
        raise ValueError(f"{name} is an address without ?, # or blanks")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(f"{name} must be https: http would show the token and the numbers")
    return parts


def check_proxy(proxy: str) -> None:
    """Refuse what is no address of a proxy."""
    if not isinstance(proxy, str):
        raise TypeError("proxy must be a str")
    parts = urlsplit(proxy)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("proxy is the http:// address of an HTTP proxy")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


def check_retry(retry: RetryPolicy) -> RetryPolicy:
    """Refuse what is no RetryPolicy."""
    if not isinstance(retry, RetryPolicy):
        raise TypeError("retry must be a RetryPolicy")
    return retry


def check_timeout(timeout: float) -> float:
    """Refuse what is no time."""
    if not 0 < check_number("timeout", timeout) < math.inf:
        raise ValueError("timeout is a positive number of seconds")
    return timeout
