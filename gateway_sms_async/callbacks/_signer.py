"""Addresses for callbacks that nobody can make up: signed by us, for the gateway signs nothing.

Users and the receiver of callbacks enter. No I/O but the clock.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
import secrets
import time
from collections.abc import Callable
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from .._arguments import check_number
from .._http.address import check_address
from .._messages.draft import check_reference

__all__ = ["CallbackSigner"]

_PARAMETER = "gateway_sms"


_LEAST_SECRET = 16


_DAYS = 86_400.0


# Expiry, signature, reference.
_TICKET = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9_-]{43})\.(.+)", re.ASCII | re.DOTALL)


class CallbackSigner:
    """Makes addresses for `Options.callback_url`, and knows them again.

    `secret` has at least 16 bytes, and is the same wherever callbacks of one account arrive:
    `secrets.token_hex(32)`, kept like a password. An address is good for `lifetime` seconds (a
    week unless told), which must last past the day of sending and however long carriers try; for
    as long as it is good it comes with every callback of its message, so a repeat is no forgery:
    `CallbackLog` tells those. `clock` tells seconds since 1970.

    The path, the expiry and the reference are signed by HMAC-SHA256. Scheme and host are not,
    nor are parameters that others add: a proxy may change them. A proxy that cuts off the
    beginning of the path must be known to the server (`root_path` in ASGI).
    """

    def __init__(
        self,
        secret: str | bytes,
        *,
        lifetime: float = 7 * _DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(secret, str | bytes):
            raise TypeError("secret must be a str or bytes")
        self._secret = secret.encode() if isinstance(secret, str) else secret
        if len(self._secret) < _LEAST_SECRET:
            raise ValueError(f"secret has at least {_LEAST_SECRET} bytes")
        if not 0 < check_number("lifetime", lifetime) < math.inf:
            raise ValueError("lifetime is a positive number of seconds")
        self._lifetime = lifetime
        self._clock = clock

    def url(self, base: str, *, reference: str | None = None) -> str:
        """Return `base` as an address that callbacks may come to until it expires.

        `base` is https (http only on this machine) and has no query. `reference` says what the
        callbacks will be about, and comes back from `verify`; random unless given. It can be read
        in the address. Raises ValueError, TypeError for what is no str.
        """
        if not isinstance(base, str):
            raise TypeError("base must be a str")
        parts = check_address("base", base)
        reference = check_reference(secrets.token_hex(8) if reference is None else reference)
        expires = str(math.ceil(self._clock() + self._lifetime))
        ticket = f"{expires}.{self._signature(expires, reference, parts.path)}.{reference}"
        return f"{base.partition('?')[0].partition('#')[0]}?{_PARAMETER}={quote(ticket, safe='')}"

    def verify(self, url: str) -> str | None:
        """Return the reference of an address that was made here and is still good, else None.

        Takes the whole address as it was asked for, or its path and query; raises for no text.
        """
        if url.startswith("/"):
            path, _, query = url.partition("?")
        else:
            try:
                _, _, path, query, _ = urlsplit(url)
            except ValueError:
                return None
        tickets = [value for name, value in parse_qsl(query) if name == _PARAMETER]
        if len(tickets) != 1 or not (ticket := _TICKET.fullmatch(tickets[0])):
            return None
        expires, signature, reference = ticket.groups()
        expected = self._signature(expires, reference, path)
        if not hmac.compare_digest(signature.encode(), expected.encode()):
            return None
        return reference if self._clock() < int(expires) else None

    def _signature(self, expires: str, reference: str, path: str) -> str:
        # Neither expiry nor reference holds a line's end in what was signed, so it is read one way.
        signed = f"{expires}\n{reference}\n{unquote(path) or '/'}".encode(errors="surrogatepass")
        digest = hmac.new(self._secret, signed, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def __repr__(self) -> str:
        return f"CallbackSigner(lifetime={self._lifetime})"
