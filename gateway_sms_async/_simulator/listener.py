"""The listening socket of the simulator, and the connections that it accepted.

Requests are served by the function that the listener is created with.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from aiohttp import web

_BACKLOG: Final = 1024
_SHUTDOWN_TIMEOUT: Final = 0.05


class Connection(web.RequestHandler):
    """One connection of aiohttp's server, on which bytes can also be sent that answer nothing."""

    __slots__ = ("_received",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._received = 0

    def data_received(self, data: bytes) -> None:
        self._received += 1
        super().data_received(data)

    def write_when_idle(self, data: bytes, seconds: float) -> None:
        """Send bytes `seconds` later, unless the client has sent anything by then."""
        received = self._received

        def write() -> None:
            transport = self.transport
            if transport is None or transport.is_closing() or self._received != received:
                return
            if not _has_unread(transport.get_extra_info("socket")):
                transport.write(data)

        asyncio.get_running_loop().call_later(seconds, write)


def _has_unread(connection: socket.socket) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


class _Server(web.Server):
    """aiohttp's server, which in addition numbers the connections that it accepts."""

    accepted = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.transports: dict[web.RequestHandler, asyncio.Transport] = {}
        self.numbers: dict[web.RequestHandler, int] = {}

    def __call__(self) -> Connection:
        return Connection(self, loop=asyncio.get_running_loop(), access_log=None)

    def connection_made(
        self,
        handler: web.RequestHandler,
        transport: asyncio.Transport,
    ) -> None:
        self.accepted += 1
        self.transports[handler] = transport
        self.numbers[handler] = self.accepted
        super().connection_made(handler, transport)

    def connection_lost(
        self,
        handler: web.RequestHandler,
        exc: BaseException | None = None,
    ) -> None:
        self.numbers.pop(handler, None)
        self.transports.pop(handler, None)
        super().connection_lost(handler, exc)


class Listener:
    """Listens on a TCP port or a Unix socket; it can stop and listen again on the same address."""

    def __init__(
        self,
        serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        host: str,
        port: int,
        path: str | os.PathLike[str] | None,
    ) -> None:
        self._serve = serve
        self._host = host
        self._port = port
        self._path = None if path is None else Path(path)
        self._server: _Server | None = None
        self._socket: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash."""
        if self._path is not None:
            return "http://localhost"
        if not self._port:
            raise RuntimeError("the simulator has no port yet: use it in 'async with'")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    @property
    def accepted(self) -> int:
        """How many connections were accepted so far."""
        return self._server.accepted if self._server else 0

    @property
    def transports(self) -> dict[web.RequestHandler, asyncio.Transport]:
        """The transports of the open connections."""
        return self._server.transports if self._server else {}

    def connection_number(self, request: web.BaseRequest) -> int:
        """Return the number, from 1, of the connection that a request arrived on."""
        assert self._server is not None
        return self._server.numbers.get(request.protocol, 0)

    async def open(self) -> None:
        """Start to accept connections for the first time."""
        self._server = _Server(
            self._track,
            handler_cancellation=True,  # a waiting fault ends when its client disconnects
        )
        await self.start()

    async def start(self) -> None:
        """Accept connections, on the same port or path as before."""
        if self._server is None:
            raise RuntimeError("the simulator is not running: use it in 'async with'")
        if self._socket is None:
            self._socket = await self._listen(self._server)

    async def _listen(self, server: _Server) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if self._path is not None:
            return await loop.create_unix_server(server, self._path, backlog=_BACKLOG)
        listening = await loop.create_server(server, self._host, self._port, backlog=_BACKLOG)
        self._port = listening.sockets[0].getsockname()[1]
        return listening

    async def stop(self) -> None:
        """Refuse new connections and drop the existing ones."""
        if self._socket is None or self._server is None:
            return
        self._socket.close()
        self._socket = None
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        self._server.pre_shutdown()
        for transport in self.transports.values():
            transport.abort()  # a client that does not read would delay a graceful close
        # Everything is requested; what remains is waiting, which may be cancelled.
        await asyncio.gather(*serving, return_exceptions=True)
        await self._server.shutdown(_SHUTDOWN_TIMEOUT)
        await asyncio.sleep(0)  # transports report their end in the loop's next round

    async def _track(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            return await self._serve(request)
        finally:
            self._serving.discard(task)
