"""A server that sends prepared bytes as fast as Python can, in its own process.

It knows just enough for a client to work: every POST opens a message, every `"+` in a body counts
as a recipient, `"transaction":false` closes. `python -m benchmarks.server DELAY` prints its URL,
delays each response by DELAY seconds, and serves until its standard input ends; with `custom` as another
argument, it returns `options.custom`. `GET /_stats`
returns its figures since the last such request as JSON.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

_MESSAGE = (
    b'{"test":false,"sender":"ACME","body":"Ciao","recipients":{"valid":{"count":%d},'
    b'"invalid":{"total":0,"list":[]}},"priority":1,"options":{"flash":false,"realtime":false,'
    b'"timestamp_send":"1564752494920"%s},"transaction":%s,"statistics":{"error":0,"sent":0,'
    b'"delivered":0,"total":%d,"sms_total":%d},"base_price":0.0315,"price":0.0315,'
    b'"timestamp":"1564752494920","last_update":"1564752494920","state":0,"id":"%024x"}'
)
_ENVELOPE = b'{"data":%s,"success":true,"message":"ok","credit":"90.9","error":null}'
_RESPONSE = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CUSTOM = re.compile(rb'"custom":"[^"]*"')


class Server:
    """The state that all connections share."""

    def __init__(self, delay: float, *, returns_custom: bool = False) -> None:
        self.delay = delay
        self._returns_custom = returns_custom
        self._messages: list[tuple[int, bool]] = []
        self._customs: dict[int, bytes] = {}
        self._requests = {"POST": 0, "PUT": 0, "close": 0, "GET": 0}
        self._arrivals: list[float] = []
        self._reset_at = (time.perf_counter(), time.process_time())

    def respond(self, line: bytes, body: bytes, arrived: float) -> bytes:
        """Return the response to one request, whose first byte came at `arrived`."""
        method, path, _ = line.split(b" ", 2)
        if path == b"/_stats":
            return self._build(b"200 OK", self.stats())
        self._arrivals.append(arrived)
        if method == b"POST":
            number = len(self._messages)
            count, is_open = body.count(b'"+'), b'"transaction":true' in body
            self._messages.append((count, is_open))
            self._requests["POST"] += 1
            if self._returns_custom and (found := _CUSTOM.search(body)) is not None:
                self._customs[number] = b"," + found[0]
        else:
            number = int(path.rsplit(b"/", 1)[1], 16)
            count, is_open = self._messages[number]
            if method == b"PUT":
                count, is_open = count + body.count(b'"+'), b'"transaction":true' in body
                self._messages[number] = count, is_open
                self._requests["PUT" if is_open else "close"] += 1
            else:
                self._requests["GET"] += 1
        custom = self._customs.get(number, b"")
        data = _MESSAGE % (count, custom, b"true" if is_open else b"false", count, count, number)
        if method != b"PUT":
            data = b"[%s]" % data
        return self._build(b"201 Created" if method == b"POST" else b"200 OK", _ENVELOPE % data)

    def stats(self) -> bytes:
        """Return CPU and wall seconds, requests by kind and arrivals (perf_counter), and reset them."""
        now = time.perf_counter(), time.process_time()
        stats = {
            "wall_s": now[0] - self._reset_at[0],
            "cpu_s": now[1] - self._reset_at[1],
            "requests": dict(self._requests),
            "arrivals": self._arrivals,
        }
        self._reset_at = now
        self._requests = dict.fromkeys(self._requests, 0)
        self._arrivals = []
        return json.dumps(stats).encode()

    def _build(self, status: bytes, content: bytes) -> bytes:
        return _RESPONSE % (status, len(content), content)


class Connection(asyncio.Protocol):
    """Splits the incoming bytes into requests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._arrived = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._rest:
            self._arrived = time.perf_counter()
        rest = self._rest + data
        while (end := rest.find(_HEAD_END)) >= 0:
            head = rest[:end]
            at = head.lower().find(_LENGTH)
            size = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            begin = end + len(_HEAD_END)
            if len(rest) < begin + size:
                break
            response = self._server.respond(
                head.split(b"\r\n", 1)[0], rest[begin : begin + size], self._arrived
            )
            rest = rest[begin + size :]
            if self._server.delay and not head.startswith(b"GET /_stats"):
                self._loop.call_later(self._server.delay, self._transport.write, response)
            else:
                self._transport.write(response)
        self._rest = rest


async def main(delay: float, *, returns_custom: bool) -> None:
    loop = asyncio.get_running_loop()
    server = Server(delay, returns_custom=returns_custom)
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    delay = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    asyncio.run(main(delay, returns_custom="custom" in sys.argv))
