"""From a request to its status, and to a callback in a bounded queue or a user's function.

Knows no web framework.

The handlers (`callbacks_aiohttp`, `callbacks_asgi`) enter, and users, who take callbacks out.
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


_LEFT = 499


_LONGEST = 20


# A queue can be shut down since Python 3.13.
_ShutDown: type[Exception] = getattr(asyncio, "QueueShutDown", asyncio.QueueFull)


class CallbackReceiver:
    """Answers callbacks at once and hands them out one by one: `async for callback in receiver`.

    - `signer`: only addresses that it made are answered, everything else is 404. Without one,
      anybody who knows the address can make callbacks up.
    - `field`: the `callback_field` that messages are sent with.
    - `queue`: where callbacks wait to be taken, bounded; one of `size` places unless given. While
      it is full the answer is 503, so that the gateway may try again.
    - `handle`: a function, async or not, that is called with each callback before it is answered;
      nothing is queued then. What it has stored is not lost with the process; be quick. When it
      raises, the answer is 500, so that the gateway may try again, and the error is logged.
    - `timeout`: the most seconds that a body may take to arrive.

    Several tasks may take callbacks out. What is in the queue is lost with the process. `answers`
    counts the requests by status: 200, 400 no callback, 404 not signed, 405 no POST, 408 too slow,
    413 larger than `MAX_BODY`, 499 the sender left before the end, 500 `handle` has raised, 503 full.
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
            raise ValueError("give either queue or handle: nothing is queued for a function")
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
        """Return the status to answer a request with; for handlers.

        `target` is the path and query as the sender wrote them; `content_type` and
        `content_length` are headers, None where there is none. `chunks` of the body are read as
        far as it is wanted; they raise ConnectionError when the sender has left, CallbackError
        when what comes cannot be read.
        """
        reference = None if self._signer is None else self._signer.verify(target)
        if self._signer is not None and reference is None:
            status: int = HTTPStatus.NOT_FOUND
        elif method != "POST":
            status = HTTPStatus.METHOD_NOT_ALLOWED
        elif _whole(content_length) > MAX_BODY:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        else:
            status = await self._take(content_type, chunks, reference)
        self.answers[int(status)] += 1
        return int(status)

    async def _take(
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
            return _LEFT
        except CallbackError:
            return HTTPStatus.BAD_REQUEST
        return await self._pass_on(msgspec.structs.replace(callback, reference=reference))

    async def _pass_on(self, callback: Callback) -> int:
        try:
            if self._handle is None:
                self.queue.put_nowait(callback)
            elif inspect.isawaitable(answer := self._handle(callback)):
                await answer
        except (asyncio.QueueFull, _ShutDown):
            return HTTPStatus.SERVICE_UNAVAILABLE
        except Exception:
            _logger.exception("the function that callbacks are handed to raised")
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


def _whole(length: str | None) -> int:
    """Read a length; 0 when there is none, and the body is counted instead."""
    return int(length) if length and length.isdecimal() and len(length) < _LONGEST else 0
