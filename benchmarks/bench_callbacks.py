"""Callbacks: CPU of parsing one, and callbacks a second of each handler.

The handlers run in their own process, with signed URLs and a `CallbackLog` behind them. Sixteen
connections send prepared requests, each after the response to the one before.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote_plus, urlsplit

from gateway_sms_async import parse_callback

from ._figures import Figure, Result, Size, spread, spreads
from ._measure import ROOT, Server, process, take_turns

_READ = {"tiny": 100, "small": 20_000, "full": 100_000}
_POSTED = {"tiny": 64, "small": 4_000, "full": 20_000}
_CONNECTIONS = 16
_FORM = "application/x-www-form-urlencoded"


def _documents() -> tuple[bytes, bytes]:
    """Return the vendor's examples of a message and of a recipient."""
    examples = json.loads((ROOT / "tests" / "data" / "vendor_examples.json").read_bytes())
    [message] = examples["get"]["responses"]["200"]["data"]
    [recipient] = examples["recipients"]["responses"]["200"]["data"]
    return json.dumps(message).encode(), json.dumps(recipient).encode()


def _reading(count: int, body: bytes, content_type: str, field: str | None) -> float:
    began = time.process_time()
    for _ in range(count):
        parse_callback(body, content_type, field)
    return (time.process_time() - began) / count * 1e6


async def _connection(url: str, requests: list[bytes]) -> None:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for request in requests:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head, head
    writer.close()


async def _post(url: str, bodies: list[bytes]) -> None:
    parts = urlsplit(url)
    head = (
        f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Content-Type: application/json\r\nContent-Length: "
    ).encode()
    requests = [head + b"%d\r\n\r\n" % len(body) + body for body in bodies]
    await asyncio.gather(
        *(_connection(url, requests[start::_CONNECTIONS]) for start in range(_CONNECTIONS))
    )


def _posting(url: str, bodies: list[bytes], cpu: list[float]) -> float:
    server = Server("http://" + urlsplit(url).netloc)
    before = server.stats()["cpu_s"]
    began = time.perf_counter()
    asyncio.run(_post(url, bodies))
    taken = time.perf_counter() - began
    cpu.append((server.stats()["cpu_s"] - before) / len(bodies) * 1e6)
    return len(bodies) / taken


def run(size: Size, runs: int) -> Result:
    result = Result()
    message, recipient = _documents()
    count = _READ[size]
    form = b"payload=" + quote_plus(message).encode()
    candidates: dict[str, Callable[[], float]] = {
        "a message": partial(_reading, count, message, "application/json", None),
        "a message in a form": partial(_reading, count, form, _FORM, "payload"),
        "a recipient": partial(_reading, count, recipient, "application/json", None),
    }
    for name, taken in take_turns(runs, candidates).items():
        result.figures.append(Figure(f"CPU of `parse_callback`, {name}", spread(taken), "µs"))
    handlers = ["aiohttp", "asgi"]
    if importlib.util.find_spec("uvicorn") is None:
        handlers.remove("asgi")
        result.remarks.append("the ASGI handler is skipped: uvicorn is not installed")
    bodies = [message.replace(b'"id": "', b'"id": "%08x' % n, 1) for n in range(_POSTED[size])]
    cpu: dict[str, list[float]] = {}
    for handler in handlers:
        with process("-m", "benchmarks.callback_server", handler) as url:
            cpu[handler] = []
            posting = partial(_posting, url, bodies, cpu[handler])
            [taken] = take_turns(runs, {handler: posting}).values()
        under = "aiohttp.web" if handler == "aiohttp" else "ASGI, uvicorn"
        what = f"callbacks handled, {under}, {_CONNECTIONS} connections"
        result.figures.append(Figure(what, spread(taken), "a second"))
    result.details["us CPU of the server a callback"] = spreads(cpu)
    return result
