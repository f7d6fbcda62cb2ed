"""Checks of credentials as users copy them. No error shows one."""

from __future__ import annotations

import re

from .secret import Secret

__all__ = ["check_credential", "check_token"]

# What a bearer token is made of (RFC 6750), and a few characters more that servers use.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/:|@!*#%&?^-]+=*", re.ASCII)

_QUOTES = frozenset("\"'`\u2018\u2019\u201c\u201d")

_NAMED = re.compile(r"(?:export\s+|set\s+)?[A-Z][A-Z0-9_]{2,}\s*[=:]\s*[^\s=]", re.ASCII)


def check_token(token: str) -> Secret:
    """Return the token; raises ValueError if it cannot be one."""
    if not isinstance(token, str):
        raise TypeError("token must be a str or a token source")
    if not token:
        raise ValueError("the token is empty")
    if not _TOKEN.fullmatch(token):
        mistake = _mistake(token) or "contains a space or a character that no token has"
        raise ValueError(f"the token {mistake}")
    return token if isinstance(token, Secret) else Secret(token)


def check_credential(name: str, value: str) -> Secret:
    """Return an e-mail or an API key; raises ValueError if it cannot be one."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str")
    if not value:
        raise ValueError(f"{name} is empty")
    mistake = _mistake(value)
    if mistake is None and (
        not value.isprintable() or " " in value or (name == "email" and ":" in value)
    ):
        mistake = "contains a space or another invalid character"
    if mistake is not None:
        raise ValueError(f"{name} {mistake}")
    return Secret(value)


def _mistake(value: str) -> str | None:
    """Return how a value was copied with too much around it; None if that does not show."""
    value = value.strip()
    if value[:1] in _QUOTES or value[-1:] in _QUOTES:
        return "begins or ends with a quote: give it without quotes"
    if value[:7].lower() == "bearer ":
        return "begins with Bearer: give only what follows it"
    if _NAMED.match(value):
        return "begins with a name, as in NAME=value: give only the value"
    if value[-1:] in {",", ";"}:
        return "ends with a comma or a semicolon: give it without"
    return None
