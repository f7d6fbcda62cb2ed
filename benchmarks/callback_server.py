"""A callback receiver in its own process, with one of the two handlers.

`python -m benchmarks.callback_server aiohttp|asgi` prints its signed URL, and serves until its
standard input ends. `GET /_stats` returns its CPU seconds as JSON.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import sys
import time
from typing import Any

from aiohttp import web

from gateway_sms_async import CallbackLog, CallbackReceiver, CallbackSigner
from gateway_sms_async.callbacks.aiohttp import callback_handler
from gateway_sms_async.callbacks.asgi import CallbackApp


def _stats() -> bytes:
    return json.dumps({"cpu_s": time.process_time()}).encode()


async def _under_aiohttp(receiver: CallbackReceiver, listener: socket.socket) -> None:
    async def stats(_: web.Request) -> web.Response:
        return web.Response(body=_stats())

    app = web.Application()
    app.router.add_post("/callbacks", callback_handler(receiver))
    app.router.add_get("/_stats", stats)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()


async def _under_uvicorn(receiver: CallbackReceiver, listener: socket.socket) -> asyncio.Task[None]:
    import uvicorn  # noqa: PLC0415 - the aiohttp handler runs without it

    handler = CallbackApp(receiver)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/_stats":
            await handler(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": _stats()})

    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    return asyncio.create_task(uvicorn.Server(config).serve([listener]))


async def _consume(receiver: CallbackReceiver) -> None:
    log = CallbackLog()
    async for callback in receiver:
        log.accept(callback)


async def main(handler: str) -> None:
    signer = CallbackSigner(secrets.token_bytes(32))
    receiver = CallbackReceiver(signer=signer)
    consuming = asyncio.create_task(_consume(receiver))
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    serving = await {"aiohttp": _under_aiohttp, "asgi": _under_uvicorn}[handler](receiver, listener)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/callbacks"
    print(signer.url(url), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    del consuming, serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
