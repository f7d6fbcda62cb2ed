"""Callbacks in an `aiohttp.web` application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from ..errors import CallbackError
from ._receiver import CallbackReceiver

__all__ = ["callback_handler"]


def callback_handler(
    receiver: CallbackReceiver,
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a request handler that passes callbacks to `receiver`.

    ```python
    from aiohttp import web

    from gateway_sms_async import CallbackReceiver
    from gateway_sms_async.callbacks.aiohttp import callback_handler

    receiver = CallbackReceiver()
    app = web.Application()
    app.router.add_post("/callbacks", callback_handler(receiver))
    ```

    The size limit of bodies is the receiver's, not the application's.
    """

    async def handle(request: web.Request) -> web.Response:
        status = await receiver.receive(
            request.method,
            request.raw_path,
            request.headers.get("Content-Type"),
            request.headers.get("Content-Length"),
            _chunks(request),
        )
        headers = {"Allow": "POST"} if status == HTTPStatus.METHOD_NOT_ALLOWED else None
        return web.Response(status=status, headers=headers)

    return handle


async def _chunks(request: web.Request) -> AsyncGenerator[bytes]:
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except web.RequestPayloadError:
        raise CallbackError("the body is not in the encoding that its header names") from None
