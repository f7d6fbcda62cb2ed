"""Callbacks in an `aiohttp.web` application."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

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

    The size limit of bodies is the receiver's, not the application's. If a request is refused and
    the rest of its body is packed, as by gzip, the connection is closed instead of unpacking it.
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
        response = web.Response(status=status, headers=headers)
        if hdrs.CONTENT_ENCODING in request.headers and not request.content.is_eof():
            await _send_and_close(response, request)
        return response

    return handle


async def _send_and_close(response: web.Response, request: web.Request) -> None:
    # The server would read the rest of the body for ten seconds, and unpack it: 1 MB of gzip can be
    # 1 GB, which costs seconds of the processor, although the sender has proven nothing.
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()


async def _chunks(request: web.Request) -> AsyncGenerator[bytes]:
    try:
        async for chunk in request.content.iter_any():
            yield chunk
    except web.RequestPayloadError:
        raise CallbackError("the body is not in the encoding that its header names") from None
