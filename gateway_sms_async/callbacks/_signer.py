"""Signed callback URLs. The gateway signs nothing, so only the URL can prove that a callback is real.

No I/O except reading the clock.
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
_MIN_SECRET = 16
_DAYS = 86_400.0

# Expiry, signature, reference.
_TICKET = re.compile(r"([0-9]{1,15})\.([A-Za-z0-9_-]{43})\.(.+)", re.ASCII | re.DOTALL)


class CallbackSigner:
    """Creates and verifies signed URLs for `Options.callback_url`.

    ```python
    import secrets

    from gateway_sms_async import CallbackSigner

    signer = CallbackSigner(secrets.token_hex(32))
    url = signer.url("https://example.com/callbacks", reference="order-42")
    assert signer.verify(url) == "order-42"
    ```

    - `secret`: at least 16 bytes, the same for all receivers of one account. Keep it like a
      password.
    - `older`: earlier secrets, whose URLs are still accepted. To change the secret, make the new
      one the first and keep the old one here for as long as its URLs live. Remove a secret that
      others may know at once.
    - `lifetime`: seconds that a URL is valid, a week by default. It must cover the day of sending
      and the time for which carriers retry.
    - `clock`: returns the seconds since 1970.

    Every callback of a message comes to the same URL, so a valid URL does not exclude a repeated
    callback: `CallbackLog` recognizes those.

    HMAC-SHA256 signs the path, the expiry and the reference. It does not sign the scheme, the host
    and parameters that others add, which a proxy may change. If a proxy removes the beginning of
    the path, the server must know it (`root_path` in ASGI).
    """

    def __init__(
        self,
        secret: str | bytes,
        *older: str | bytes,
        lifetime: float = 7 * _DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = [_check_secret("secret", secret)]
        self._secrets += [_check_secret("older", one) for one in older]
        if not 0 < check_number("lifetime", lifetime) < math.inf:
            raise ValueError("lifetime must be a positive, finite number of seconds")
        self._lifetime = lifetime
        self._clock = clock

    def url(self, base: str, *, reference: str | None = None) -> str:
        """Return `base` as a signed URL that expires.

        - `base`: an https URL (http only on this machine) without a query.
        - `reference`: returned by `verify`, to identify what the callbacks are about; random by
          default. It is readable in the URL.

        Raises ValueError if an argument is malformed, TypeError if it is not a str.
        """
        if not isinstance(base, str):
            raise TypeError("base must be a str")
        parts = check_address("base", base)
        reference = check_reference(secrets.token_hex(8) if reference is None else reference)
        expires = str(math.ceil(self._clock() + self._lifetime))
        signature = _signature(self._secrets[0], expires, reference, parts.path)
        ticket = f"{expires}.{signature}.{reference}"
        return f"{base.partition('?')[0].partition('#')[0]}?{_PARAMETER}={quote(ticket, safe='')}"

    def verify(self, url: str) -> str | None:
        """Return the reference of a URL that was signed with one of the secrets and has not expired.

        Returns None for any other URL.

        `url` is the whole URL as it was requested, or its path and query.
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
        if self._clock() >= int(expires):
            return None
        for secret in self._secrets:
            expected = _signature(secret, expires, reference, path)
            if hmac.compare_digest(signature, expected):
                return reference
        return None

    def __repr__(self) -> str:
        return f"CallbackSigner(lifetime={self._lifetime})"


def _check_secret(name: str, secret: str | bytes) -> bytes:
    if not isinstance(secret, str | bytes):
        raise TypeError(f"{name} must be a str or bytes")
    encoded = secret.encode() if isinstance(secret, str) else secret
    if len(encoded) < _MIN_SECRET:
        raise ValueError(f"{name} must have at least {_MIN_SECRET} bytes")
    return encoded


def _signature(secret: bytes, expires: str, reference: str, path: str) -> str:
    # Expiry and reference contain no line break, so the signed text is unambiguous.
    signed = f"{expires}\n{reference}\n{unquote(path) or '/'}".encode(errors="surrogatepass")
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
