"""Answers callback requests, and passes callbacks to a bounded queue or to a user's function.

It depends on no web framework: `callbacks.aiohttp` and `callbacks.asgi` adapt it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from http import HTTPStatus
from typing import Self

import msgspec

from .._arguments import check_count, check_timeout
from ..errors import CallbackError
from ._callback import MAX_BODY, Callback, parse_callback
from ._signer import CallbackSigner

__all__ = ["CallbackReceiver"]

_logger = logging.getLogger("gateway_sms_async")
_CLIENT_CLOSED_REQUEST = 499
_MAX_LENGTH_DIGITS = 20

# Queues can be shut down since Python 3.13.
_ShutDown: type[Exception] = getattr(asyncio, "QueueShutDown", asyncio.QueueFull)


class CallbackReceiver:
    """Answers callback requests, and yields the callbacks: `async for callback in receiver`.

    - `signer`: only URLs that it signed are accepted, others get 404. Without a signer, anyone
      who knows the URL can forge callbacks.
    - `field`: the `callback_field` that messages are sent with.
    - `queue`: a bounded queue for the callbacks; by default a new one of `size`. While it is full
      the response is 503, so that the gateway may retry.
    - `handle`: a function, sync or async, that is called with each callback before the response is
      sent; callbacks are not queued then. It should be quick. What it stores survives the process.
      If it raises, the error is logged and the response is 500, so that the gateway may retry.
    - `timeout`: the most seconds that a body may take to arrive.

    Several tasks may iterate. Queued callbacks are lost with the process.

    `answers` counts requests by status: 200; 400, not a callback; 404, URL not signed; 405, not a
    POST; 408, too slow; 413, larger than `MAX_BODY`; 499, the sender disconnected; 500, `handle`
    raised; 503, the queue is full.
    """

    def __init__(
        self,
        *,
        signer: CallbackSigner | None = None,
        field: str | None = None,
        queue: asyncio.Queue[Callback] | None = None,
        size: int = 1000,
        handle: Callable[[Callback], object] | None = None,
        timeout: float = 10.0,
    ) -> None:
        if signer is not None and not isinstance(signer, CallbackSigner):
            raise TypeError("signer must be a CallbackSigner")
        if field is not None and not isinstance(field, str):
            raise TypeError("field must be a str")
        if queue is not None and queue.maxsize <= 0:
            raise ValueError("queue must be bounded: give it a maxsize")
        if handle is not None and not callable(handle):
            raise TypeError("handle must be a function")
        if handle is not None and queue is not None:
            raise ValueError("pass either queue or handle: with handle nothing is queued")
        self.queue: asyncio.Queue[Callback] = (
            asyncio.Queue(check_count("size", size)) if queue is None else queue
        )
        self.answers: Counter[int] = Counter()
        self._signer = signer
        self._field = field
        self._handle = handle
        self._timeout = check_timeout(timeout)

    async def receive(
        self,
        method: str,
        target: str,
        content_type: str | None,
        content_length: str | None,
        chunks: AsyncGenerator[bytes],
    ) -> int:
        """Process a request and return the status of the response. For adapters.

        - `method`: the HTTP method.
        - `target`: the path and query as the sender wrote them.
        - `content_type`, `content_length`: the headers, None if missing.
        - `chunks`: the body, read only as far as needed. It must raise ConnectionError if the
          sender disconnects, and CallbackError if the body cannot be decoded.
        """
        reference = None if self._signer is None else self._signer.verify(target)
        if self._signer is not None and reference is None:
            status: int = HTTPStatus.NOT_FOUND
        elif method != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif _parse_length(content_length) > MAX_BODY:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else:
            status = await self._read(content_type, chunks, reference)
        self.answers[int(status)] += 1
        return int(status)

    async def _read(
        self, content_type: str | None, chunks: AsyncGenerator[bytes], reference: str | None
    ) -> int:
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout), aclosing(chunks):
                async for chunk in chunks:
                    body += chunk
                    if len(body) > MAX_BODY:
                        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            callback = parse_callback(bytes(body), content_type, self._field)
        except TimeoutError:
            return HTTPStatus.REQUEST_TIMEOUT
        except ConnectionError:
            return _CLIENT_CLOSED_REQUEST
        except CallbackError:
            return HTTPStatus.BAD_REQUEST
        return await self._deliver(msgspec.structs.replace(callback, reference=reference))

    async def _deliver(self, callback: Callback) -> int:
        try:
            if self._handle is None:
                self.queue.put_nowait(callback)
            elif inspect.isawaitable(result := self._handle(callback)):
                await result
        except (asyncio.QueueFull, _ShutDown):
            return HTTPStatus.SERVICE_UNAVAILABLE
        except Exception:
            _logger.exception("the handle function of a CallbackReceiver raised")
            return HTTPStatus.INTERNAL_SERVER_ERROR
        return HTTPStatus.OK

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Callback:
        try:
            return await self.queue.get()
        except _ShutDown:
            raise StopAsyncIteration from None

    def __repr__(self) -> str:
        return f"CallbackReceiver({self.queue.qsize()} waiting, answers={dict(self.answers)})"


def _parse_length(length: str | None) -> int:
    """Return the length in a header; 0 if it has none: the body is then counted as it arrives."""
    return int(length) if length and length.isdecimal() and len(length) < _MAX_LENGTH_DIGITS else 0
