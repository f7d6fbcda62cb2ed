"""Tokens and accounts from environment variables."""

from __future__ import annotations

import os

from .._http.address import SANDBOX
from .._http.secret import Secret
from .._http.tokens import StaticToken, TokenSource
from .api_key import ApiKey, RenewedToken

__all__ = [
    "TOKEN_VARIABLE",
    "email_in_environment",
    "key_in_environment",
    "pair_in_environment",
    "token_in_environment",
    "token_source",
]

TOKEN_VARIABLE = "OPENAPI_TOKEN"  # noqa: S105 - the variable's name


_EMAIL_VARIABLES = ("OPENAPI_EMAIL", "OPENAPI_USERNAME")


_KEY_VARIABLES = ("OPENAPI_API_KEY", "OPENAPI_APIKEY")


def email_in_environment() -> str | None:
    """Return the account's e-mail from the environment; None if it is not set."""
    return _first(_EMAIL_VARIABLES)


def key_in_environment() -> Secret | None:
    """Return the API key from the environment; None if it is not set."""
    key = _first(_KEY_VARIABLES)
    return None if key is None else Secret(key)


def token_in_environment() -> Secret | None:
    """Return the token from the environment; None if it is not set."""
    token = _first((TOKEN_VARIABLE,))
    return None if token is None else Secret(token)


def _first(names: tuple[str, ...]) -> str | None:
    # A file that a variable was read from often ends with a line break.
    values = (os.environ.get(name, "").strip() for name in names)
    return next(filter(None, values), None)


def pair_in_environment() -> tuple[str, Secret] | None:
    """Return the e-mail and the API key from the environment; None if neither is set.

    Raises ValueError if only one of them is set.
    """
    email, key = email_in_environment(), key_in_environment()
    if email is None and key is None:
        return None
    if email is None or key is None:
        missing = _EMAIL_VARIABLES[0] if email is None else _KEY_VARIABLES[0]
        raise ValueError(f"the e-mail and the API key belong together: {missing} is not set")
    return email, key


def token_source(token: str | TokenSource | None, base_url: str) -> TokenSource:
    """Return the source of tokens for this base URL; a `token` of None reads the environment."""
    if token is None:
        token = token_in_environment()
        if token is None:
            pair = pair_in_environment()
            if pair is None:
                raise ValueError(
                    f"no token: pass one, or set {TOKEN_VARIABLE}, or {_EMAIL_VARIABLES[0]} and "
                    f"{_KEY_VARIABLES[0]}"
                )
            token = ApiKey(*pair, sandbox=base_url == SANDBOX)
    source = token if isinstance(token, TokenSource) else StaticToken(token)
    if isinstance(source, RenewedToken):
        source.check_opens(base_url)
    return source
