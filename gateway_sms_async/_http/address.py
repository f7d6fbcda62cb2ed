"""Addresses of the gateway, and checks of addresses that the caller passes."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import SplitResult, urlsplit, urlunsplit

__all__ = [
    "PRODUCTION",
    "SANDBOX",
    "check_address",
    "check_proxy",
    "choose_base_url",
    "is_loopback",
]

PRODUCTION = "https://ws.messaggisms.com"


SANDBOX = "https://test.ws.messaggisms.com"


_BASE_URL_VARIABLE = "GATEWAY_SMS_BASE_URL"


def choose_base_url(base_url: str | None, *, sandbox: bool) -> str:
    """Return the base URL: the given one, the sandbox's, the environment's, or production's."""
    if base_url is None and not sandbox:
        base_url = os.environ.get(_BASE_URL_VARIABLE) or PRODUCTION
    return SANDBOX if base_url is None else _check_base_url(base_url)


def _check_base_url(base_url: str) -> str:
    parts = check_address("base_url", base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))


def check_address(name: str, address: str) -> SplitResult:
    """Return the parts of a plain https address; raises ValueError for any other.

    http is allowed for loopback addresses only.
    """
    parts = urlsplit(address)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"{name} must begin with https:// and name a host")
    try:
        _ = parts.port
    except ValueError:
        raise ValueError(f"{name} has an invalid port") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"{name} must not contain a user name or a password")
    if parts.query or parts.fragment or not address.isprintable() or " " in address:
        raise ValueError(f"{name} must not contain ?, # or spaces")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{name} must be https: http would expose the token and the numbers")
    return parts


def check_proxy(proxy: str) -> None:
    """Raise ValueError if this is not the address of a proxy."""
    if not isinstance(proxy, str):
        raise TypeError("proxy must be a str")
    parts = urlsplit(proxy)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("proxy must be the address of an HTTP proxy, such as http://host:3128")


def is_loopback(host: str) -> bool:
    """Return whether this is a name or an address of this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
