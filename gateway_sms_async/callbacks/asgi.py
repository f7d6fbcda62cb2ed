"""Callbacks in any ASGI application, such as Starlette or FastAPI, or alone. It depends on neither."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ._receiver import CallbackReceiver

__all__ = ["CallbackApp"]

_Map = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Map]]


class CallbackApp:
    """An ASGI 3 application that passes callbacks to `receiver`; it has no lifespan.

    ```python
    from gateway_sms_async import CallbackReceiver
    from gateway_sms_async.callbacks.asgi import CallbackApp

    receiver = CallbackReceiver()
    callback_app = CallbackApp(receiver)
    ```

    In Starlette and FastAPI, use it as the endpoint of a route:
    `Route("/callbacks", callback_app, methods=["POST"])`. With `app.mount("/callbacks",
    callback_app)` the URL ends in a slash: "/callbacks/".
    """

    def __init__(self, receiver: CallbackReceiver) -> None:
        self._receiver = receiver

    async def __call__(
        self, scope: _Map, receive: _Receive, send: Callable[[_Map], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})
            return
        if scope["type"] != "http":
            raise RuntimeError(f"callbacks arrive by http, not by {scope['type']}")
        path, root = scope["path"], scope.get("app_root_path", scope.get("root_path", ""))
        # The signed path is the one before a proxy or a framework removed its beginning.
        if not f"{path}/".startswith(f"{root}/"):
            path = root + path
        target = f"{quote(path)}?{scope.get('query_string', b'').decode('latin-1')}"
        headers_in = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        kind, length = headers_in.get(b"content-type"), headers_in.get(b"content-length")
        status = await self._receiver.receive(scope["method"], target, kind, length, _body(receive))
        allow = [(b"allow", b"POST")] if status == HTTPStatus.METHOD_NOT_ALLOWED else []
        headers = [(b"content-length", b"0"), *allow]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body"})


async def _body(receive: _Receive) -> AsyncGenerator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        yield message.get("body", b"")
        more = message.get("more_body", False)
