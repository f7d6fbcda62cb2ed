"""A TCP server that a test scripts byte by byte.

Each complete request is recorded and handled by the next `Play` of the script; the last one
repeats. aiohttp's own test server would disable the behavior that is tested here.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

Play = Callable[["Exchange"], Awaitable[None]]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER: on, for zero seconds


class Exchange:
    """One complete request, and the connection to answer it on."""

    def __init__(
        self, head: bytes, body: bytes, connection: int, writer: asyncio.StreamWriter
    ) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = first.split(" ")
        pairs = (line.partition(": ") for line in lines)
        self.headers = {name.lower(): value for name, _, value in pairs}
        self.body = body
        self.connection = connection
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Send these bytes, as far as the client reads them."""
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        """Send FIN after the bytes sent so far."""
        self.writer.close()

    def reset(self) -> None:
        """Send RST."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


class _Connection(asyncio.StreamReaderProtocol):
    """A connection that ends as soon as the client disconnects."""

    def __init__(self, server: RawServer) -> None:
        super().__init__(asyncio.StreamReader(), self._meet)
        self._server = server
        server.connections += 1

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving = asyncio.ensure_future(self._server.serve(reader, writer))
        self._server.serving.add(self.serving)

    def eof_received(self) -> bool:
        super().eof_received()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.serving.cancel()
        self._server.ended += 1


class RawServer:
    """Runs `script`; an async context manager. With `tls` it is an https server.

    - `requests`: the complete requests.
    - `connections`: how many were accepted (with `tls`, after the handshake).
    - `ended`: how many connections have ended, whichever side closed them.
    """

    def __init__(self, *script: Play, tls: ssl.SSLContext | None = None) -> None:
        self.script = list(script)
        self.requests: list[Exchange] = []
        self.connections = 0
        self.ended = 0
        self.serving: set[asyncio.Future[None]] = set()
        self._tls = tls
        self._port = 0

    @property
    def url(self) -> str:
        """The base URL; known once the server listens."""
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self), "127.0.0.1", 0, ssl=self._tls
        )
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self.serving:
            task.cancel()
        await asyncio.gather(*self.serving, return_exceptions=True)
        await asyncio.sleep(0)  # transports report their end in the loop's next round

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        connection = self.connections
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                while not writer.is_closing():
                    exchange = await _read(reader, writer, connection)
                    play = self.script[min(len(self.requests), len(self.script) - 1)]
                    self.requests.append(exchange)
                    await play(exchange)
        finally:
            if not writer.is_closing():
                writer.transport.abort()


async def _read(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int
) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
    exchange = Exchange(head, b"", connection, writer)
    exchange.body = await reader.readexactly(int(exchange.headers.get("content-length", "0")))
    return exchange


async def until(condition: Callable[[], object]) -> None:
    """Yield to other tasks until `condition` holds; raises TimeoutError after five seconds."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


def say(*pieces: bytes, then_close: bool = False) -> Play:
    """Send these bytes, each piece in its own write."""

    async def play(exchange: Exchange) -> None:
        for piece in pieces:
            await exchange.send(piece)
            await asyncio.sleep(0)
        if then_close:
            exchange.close()

    return play


async def drop(exchange: Exchange) -> None:
    """Close without a response."""
    exchange.close()


async def reset(exchange: Exchange) -> None:
    """Reset without a response."""
    exchange.reset()


async def hang(_: Exchange) -> None:
    """Never respond."""
    await asyncio.Event().wait()


def http(body: bytes, *headers: str, status: str = "200 OK", length: bool = True) -> bytes:
    """Return the bytes of a response; `length=False` omits Content-Length."""
    lines = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def message(message_id: str = "5af0c2a1d7e3b40001a2b3c4", **fields: Any) -> dict[str, Any]:
    """Return a message as the gateway shows it."""
    recipients = {"valid": {"count": 1}, "invalid": {"total": 0, "list": []}}
    return {"id": message_id, "transaction": True, "recipients": recipients, **fields}


def envelope(data: Any = None) -> bytes:
    """Return a success envelope, by default with one message."""
    content = message() if data is None else data
    return json.dumps({"data": content, "success": True, "message": "", "error": None}).encode()
