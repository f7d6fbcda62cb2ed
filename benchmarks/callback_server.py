"""A receiver of callbacks in a process of its own, under one of its handlers.

`python -m benchmarks.callback_server aiohttp|asgi` prints the signed address that it answers, and
serves until its standard input ends. `GET /_stats` tells, as JSON, the CPU seconds it has taken.
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


async def _under_aiohttp(receiver: CallbackReceiver, listening: socket.socket) -> None:
    async def stats(_: web.Request) -> web.Response:
        return web.Response(body=_stats())

    app = web.Application()
    app.router.add_post("/callbacks", callback_handler(receiver))
    app.router.add_get("/_stats", stats)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listening).start()


async def _under_uvicorn(
    receiver: CallbackReceiver, listening: socket.socket
) -> asyncio.Task[None]:
    import uvicorn  # noqa: PLC0415 - the other handler runs without it

    handler = CallbackApp(receiver)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] != "/_stats":
            await handler(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": _stats()})

    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none")
    return asyncio.create_task(uvicorn.Server(config).serve([listening]))


async def _take_out(receiver: CallbackReceiver) -> None:
    log = CallbackLog()
    async for callback in receiver:
        log.accept(callback)


async def main(handler: str) -> None:
    signer = CallbackSigner(secrets.token_bytes(32))
    receiver = CallbackReceiver(signer=signer)
    taking = asyncio.create_task(_take_out(receiver))
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    serving = await {"aiohttp": _under_aiohttp, "asgi": _under_uvicorn}[handler](
        receiver, listening
    )
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/callbacks"
    print(signer.url(address), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    del taking, serving


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
