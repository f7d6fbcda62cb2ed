"""One attempt on the wire and its result. The only module of the client that knows aiohttp.

It does not retry, follow redirects, keep cookies or read the environment. Of every fault it
reports whether a byte had left.
"""

from __future__ import annotations

import asyncio
import io
import platform
import select
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Self

import aiohttp
from aiohttp import hdrs
from aiohttp.connector import Connection
from yarl import URL

from .._version import __version__
from ..errors import (
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    UnexpectedResponseError,
)
from .connecting import describe_certificate, proxy_hint
from .secret import Secret

__all__ = ["BaseConnector", "ConnectorLike", "Reply", "Transport", "TransportFault"]

BaseConnector = aiohttp.BaseConnector


ConnectorLike = BaseConnector | Callable[[], BaseConnector]


USER_AGENT = (
    f"gateway-sms-async/{__version__} "
    f"Python/{platform.python_version()} ({platform.system() or 'unknown'})"
)


# Shorter than servers keep idle connections open, so that a request seldom meets a connection
# that the server is just closing.
_KEEPALIVE = 5.0


# An attempt has one deadline, which is ours. aiohttp forgets its own for a response that begins to
# arrive before its request has left.
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


_CHUNK = 64 * 1024


_LARGE = 1024 * 1024


_REFUSAL_CAP = 1024 * 1024
"""The maximum size in bytes of a response that is no success, however large a success may be."""


class Reply(NamedTuple):
    """A complete response: status, body, and the one header that matters."""

    status: int
    body: bytes
    retry_after: str | None

    def __repr__(self) -> str:
        return f"Reply(status={self.status}, {len(self.body)} bytes)"


class TransportFault(Exception):  # noqa: N818 - it never leaves the session
    """No complete response. `sent`: a byte had left. `permanent`: a retry cannot help."""

    def __init__(self, error: GatewayError, *, sent: bool, permanent: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.sent = sent
        self.permanent = permanent


class _Dropped(Exception):  # noqa: N818
    """Replaces aiohttp's error for a dropped connection, because aiohttp resends after its own."""


class _Unusable(Exception):  # noqa: N818
    """The connection was closed, or had received bytes, before the request left."""


class _TooLarge(Exception):  # noqa: N818
    """The body is larger than its cap in bytes, the argument."""


class _SentTwice(Exception):  # noqa: N818
    """A layer below tried to send one request a second time."""


class _Departure:
    """The middleware of one request, which records whether the first byte left."""

    __slots__ = ("depart", "sent")

    def __init__(self, depart: Callable[[], Awaitable[None]]) -> None:
        self.depart = depart
        self.sent = False

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        # aiohttp itself repeats PUT and DELETE when the connection drops. Our PUT adds
        # recipients, so that alone would text them twice. It only does so for errors it knows.
        assert isinstance(request, _Request)
        request.departure = self
        try:
            return await handler(request)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
            raise _Dropped(type(error).__name__) from error


class _Request(aiohttp.ClientRequest):
    """A request that reports when it leaves. `departure` is set before it is connected."""

    departure: _Departure

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        # No byte is written anywhere else: a request that has not been here was never sent,
        # whatever the exception is called. A trace hook would report the same, but adds a tenth
        # to the cost of a send.
        departure = self.departure
        if departure.sent:
            raise _SentTwice
        await departure.depart()
        if not await _is_usable(conn):
            raise _Unusable
        departure.sent = True
        return await super().send(conn)


async def _is_usable(conn: Connection) -> bool:
    """Return whether the connection is open and has received nothing since its last response.

    What it did receive would be taken for the response to the next request. aiohttp looks when a
    connection goes back to the pool, not when it is used again.
    """
    if _has_unread(conn.transport):
        # The event loop reads it within its next two rounds. Over TLS it may be no data at all.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    protocol = conn.protocol
    return protocol is not None and protocol.is_connected() and not protocol.should_close


def _has_unread(transport: asyncio.Transport | None) -> bool:
    """Return whether the event loop has yet to read from this connection, or may have to."""
    connected = None if transport is None else transport.get_extra_info("socket")
    # Windows has no poll.
    if connected is None or connected.fileno() < 0 or not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(connected.fileno(), select.POLLIN)
    return bool(poll.poll(0))


class Transport:
    """Connections to one gateway. Belongs to one event loop."""

    def __init__(
        self, base_url: str, connector: aiohttp.BaseConnector, *, owned: bool, proxy: str | None
    ) -> None:
        self.base_url = base_url
        self._proxy = proxy
        self._session = aiohttp.ClientSession(
            connector=connector,
            connector_owner=owned,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={
                hdrs.USER_AGENT: USER_AGENT,
                hdrs.ACCEPT: "application/json",
                hdrs.ACCEPT_ENCODING: "gzip, deflate",
            },
            request_class=_Request,
            trust_env=False,
        )

    @classmethod
    async def open(
        cls,
        base_url: str,
        *,
        concurrency: int,
        connector: ConnectorLike | None,
        proxy: str | None,
    ) -> Self:
        """Create the connection pool, unless the caller passes one.

        Raises ValueError if the pool has room for fewer connections than `concurrency`.
        """
        owned = not isinstance(connector, aiohttp.BaseConnector)
        if connector is None:
            connector = aiohttp.TCPConnector(limit=concurrency, keepalive_timeout=_KEEPALIVE)
        elif not isinstance(connector, aiohttp.BaseConnector):
            connector = connector()
        # Requests that queue for a connection would wait there with their timeout running.
        limits = [limit for limit in (connector.limit, connector.limit_per_host) if limit > 0]
        if limits and min(limits) < concurrency:
            if owned:
                await connector.close()
            raise ValueError(
                f"the connector's limit of {min(limits)} is below concurrency={concurrency}: "
                "raise the one or lower the other"
            )
        return cls(base_url, connector, owned=owned, proxy=proxy)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._session.closed

    async def close(self) -> None:
        """Close the session, and the connector unless the caller owns it."""
        await self._session.close()

    async def attempt(
        self,
        method: str,
        path: str,
        payload: bytes | None,
        *,
        token: str,
        timeout: float,
        cap: int,
        depart: Callable[[], Awaitable[None]],
        scheme: str = "Bearer",
    ) -> Reply:
        """Send one request once and read the whole response.

        `scheme` and `token` make the header `Authorization`. `timeout` is in seconds, for the
        whole attempt; `cap` is in bytes of the unpacked body. `depart` is awaited just before the
        first byte. Raises TransportFault.
        """
        departure = _Departure(depart)
        headers: dict[str, str] = {hdrs.AUTHORIZATION: Secret(f"{scheme} {token}")}
        if payload is not None:
            headers[hdrs.CONTENT_TYPE] = "application/json"
        fault: TransportFault
        try:
            async with (
                asyncio.timeout(timeout),
                self._session.request(
                    method,
                    URL(self.base_url + path, encoded=True),
                    data=_body(payload),
                    headers=headers,
                    allow_redirects=False,
                    proxy=self._proxy,
                    timeout=_NO_TIMEOUT,
                    middlewares=(departure,),
                ) as response,
            ):
                status = response.status
                try:
                    return await _read(response, cap)
                except (aiohttp.ClientPayloadError, _TooLarge) as error:
                    response.close()
                    why = (
                        f"is larger than {error.args[0]} bytes"
                        if isinstance(error, _TooLarge)
                        else "was cut off or cannot be unpacked"
                    )
                    unexpected = UnexpectedResponseError(
                        f"{method}: the response (HTTP {status}) {why}", status=status
                    )
                    # A response that is too large will be too large the next time too.
                    fault = TransportFault(
                        unexpected, sent=departure.sent, permanent=isinstance(error, _TooLarge)
                    )
        except TimeoutError:
            fault = TransportFault(
                GatewayTimeoutError(
                    f"{method}: no complete response within {timeout:g} s{self._hint(departure)}"
                ),
                sent=departure.sent,
            )
        except asyncio.CancelledError as cancelled:
            # Without aiohttp's functions, whose local variables hold the request.
            raise cancelled.with_traceback(None)  # noqa: B904 - it is the same exception
        except (aiohttp.ClientError, OSError, _Dropped, _Unusable, _SentTwice) as error:
            fault = TransportFault(
                GatewayConnectionError(f"{method}: {_describe(error)}{self._hint(departure)}"),
                sent=departure.sent,
                permanent=isinstance(error, aiohttp.ClientSSLError | ssl.SSLError),
            )
        # Raised outside of the except blocks: aiohttp's exception can hold the token and the
        # numbers, so it must not even be the __context__ of ours.
        raise fault

    def _hint(self, departure: _Departure) -> str:
        """Return what may help if no connection was made."""
        return "" if departure.sent or self._proxy is not None else proxy_hint(self.base_url)


def _body(payload: bytes | None) -> bytes | io.BytesIO | None:
    # aiohttp warns about large bytes objects, but writes a file in pieces.
    return payload if payload is None or len(payload) < _LARGE else io.BytesIO(payload)


async def _read(response: aiohttp.ClientResponse, cap: int) -> Reply:
    encoding = response.headers.get(hdrs.CONTENT_ENCODING)
    length = response.content_length
    if not response.ok:
        cap = min(cap, _REFUSAL_CAP)
    if length is not None and length > cap:
        raise _TooLarge(cap)
    if length is not None and length < _LARGE and encoding is None:
        body = await response.read()
    else:
        # To join the parts of a large body would take its memory twice.
        whole = io.BytesIO()
        async for part in response.content.iter_chunked(_CHUNK):
            whole.write(part)
            if whole.tell() > cap:
                raise _TooLarge(cap)
        body = whole.getvalue()
    retry_after = None if response.ok else response.headers.get(hdrs.RETRY_AFTER)
    return Reply(response.status, body, retry_after)


def _describe(error: Exception) -> str:
    """Describe the fault without its text, which can hold what was sent."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return describe_certificate(error.certificate_error)
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy refused (HTTP {error.status})"
    if isinstance(error, aiohttp.ClientConnectorError | OSError) and error.strerror:
        return f"could not connect ({error.strerror})"
    return f"the connection failed ({type(error).__name__})"


_WORDS: dict[type[Exception], str] = {
    aiohttp.ClientConnectorDNSError: "the host name could not be resolved",
    _Dropped: "the connection broke before the response",
    _Unusable: "the connection was closed, or had received bytes, before the request left",
    _SentTwice: "the connection broke, and a layer below tried to send again",
}
