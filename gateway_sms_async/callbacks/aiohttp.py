"""Callbacks in an `aiohttp.web` application. Beside the transport, the only room that knows aiohttp.

receiver = CallbackReceiver(signer=signer)
app.router.add_post("/callbacks", callback_handler(receiver))
"""

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
    """Return a handler that gives callbacks to `receiver`; it has its own limit for the body."""

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
        raise CallbackError("the body is not in the encoding that it says") from None
