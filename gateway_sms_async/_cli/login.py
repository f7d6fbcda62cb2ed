"""Where the command line finds its token, and where it keeps logins.

There is one file for each address and account, in the user's configuration folder. Nothing here
makes a request.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from .._auth.api_key import DEFAULT_NAME, ApiKey, RenewedToken
from .._auth.environment import (
    TOKEN_VARIABLE,
    email_in_environment,
    key_in_environment,
    pair_in_environment,
    token_in_environment,
)
from .._auth.token_file import KeptToken, read_token
from .._http.address import SANDBOX
from .._http.tokens import StaticToken

LOGIN_TTL = 30 * 24 * 60 * 60
"""Seconds: a user who runs a command once a month stays logged in."""


@dataclass(frozen=True, kw_only=True)
class FoundToken:
    """The token that a command uses, and where it was found."""

    source: StaticToken | RenewedToken
    origin: str


class Login(NamedTuple):
    """A stored login and its file."""

    path: Path
    kept: KeptToken


def find_token(given: str | None, base_url: str) -> FoundToken:
    """Return the token for an address: given, from the environment, or of a login.

    Raises ValueError if there is no token, GatewayError if a login cannot be read.
    """
    if given is not None:
        return FoundToken(source=StaticToken(given), origin="--token-file")
    if token := token_in_environment():
        return FoundToken(source=StaticToken(token), origin=TOKEN_VARIABLE)
    if key_in_environment() and (pair := pair_in_environment()):
        source = ApiKey(
            *pair,
            sandbox=base_url == SANDBOX,
            # Without a home, each command makes a token of its own.
            file=None if _folder() is None else login_file(base_url, pair[0]),
            ttl=LOGIN_TTL,
        )
        return FoundToken(source=source, origin="e-mail and API key in the environment")
    login = find_login(base_url)
    if login is None:
        raise ValueError(
            "no token: run gateway-sms login, set OPENAPI_TOKEN, or OPENAPI_EMAIL and "
            "OPENAPI_API_KEY, or give --token-file FILE"
        )
    kept = RenewedToken(login.kept.account, ttl=LOGIN_TTL, name=DEFAULT_NAME, file=login.path)
    return FoundToken(source=kept, origin=f"login in {login.path}")


def find_login(base_url: str) -> Login | None:
    """Return the login for an address, or None if there is none.

    With several accounts, OPENAPI_EMAIL chooses one. Raises ValueError if it is not set.
    """
    folder, email = _folder(), email_in_environment()
    if folder is None:
        paths: list[Path] = []
    elif email is not None:
        paths = [login_file(base_url, email)]
    else:
        paths = sorted(folder.glob(f"{_name_of(base_url)}-*.json"))
    logins = [Login(path, kept) for path in paths if (kept := read_token(path)) is not None]
    if len(logins) > 1:
        emails = ", ".join(login.kept.email for login in logins)
        raise ValueError(
            f"several accounts are logged in ({emails}): set OPENAPI_EMAIL to one of them"
        )
    return logins[0] if logins else None


def login_file(base_url: str, email: str) -> Path:
    """Return the file for the login of an account at an address.

    Raises ValueError if this user has no home.
    """
    folder = _folder()
    if folder is None:
        raise ValueError(
            "there is no home directory to keep a login in: set HOME or XDG_CONFIG_HOME, or use "
            f"{TOKEN_VARIABLE} instead of a login"
        )
    return folder / f"{_name_of(base_url)}-{_digest(email)}.json"


def _name_of(base_url: str) -> str:
    host = re.sub(r"[^a-z0-9.-]", "_", urlsplit(base_url).netloc.lower())
    return f"{host}-{_digest(base_url)}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _folder() -> Path | None:
    """Return the folder of the logins; None if this user has no home."""
    configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    # The XDG specification says to ignore a relative path.
    if configured.is_absolute():
        return configured / "gateway-sms"
    try:
        return Path.home() / ".config" / "gateway-sms"
    except RuntimeError:  # no HOME, and no entry in the list of users
        return None
