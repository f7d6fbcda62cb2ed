"""A response that no request asked for: on an idle connection, it is never taken for the next one's."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from gateway_sms_async import GatewayClient, GatewayConnectionError, RetryPolicy

from ..support.raw_server import Exchange, RawServer, envelope, http, message, say, until

pytestmark = pytest.mark.anyio

ID = message()["id"]
STRANGER = "e" * 24

STRAY = {
    "200 of another message": http(envelope(message(STRANGER, transaction=False))),
    "429 of a proxy": http(b"slow down", status="429 Too Many"),
    "401": http(b"no", status="401 No"),
    "413": http(b"no", status="413 No"),
    "408 of a proxy": http(b"<html>408</html>", status="408 Request Time-out"),
    "422 in the gateway's words": http(b'{"success":false,"error":302}', status="422 No"),
    "402 in the gateway's words": http(b'{"success":false,"error":201}', status="402 No"),
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "garbage": b"\x15\x03\x01\x00\x02\x02\x28",
    "two at once": http(b"no", status="429 No") + http(envelope(message(STRANGER))),
    "upgrade": b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nrest",
}

GOOD = say(http(envelope(message(transaction=False))))

Call = Callable[[GatewayClient], Awaitable[object]]

CALLS: dict[str, Call] = {
    "get": lambda gateway: gateway.messages.get(ID),
    "send": lambda gateway: gateway.messages.send(
        sender="ACME", body="Ciao", recipients="+39-3401234567"
    ),
    "append": lambda gateway: gateway.messages.update(ID, recipients="+39-3401234567"),
    "delete": lambda gateway: gateway.messages.delete(ID),
}


@asynccontextmanager
async def idle(stray: bytes, *, attempts: int = 3, pause: float = 0.0):
    """Yield a client and its server; the one connection has received `stray` while it was idle."""
    first: list[Exchange] = []

    async def play(exchange: Exchange) -> None:
        first.append(exchange)
        await GOOD(exchange)

    retry = RetryPolicy(max_attempts=attempts, base_delay=0.001, max_delay=0.01)
    async with (
        RawServer(play, GOOD) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=retry) as gateway,
    ):
        await gateway.messages.get(ID)
        first[0].writer.write(stray)
        if pause:
            await asyncio.sleep(pause)
        yield gateway, server


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("stray", STRAY.values(), ids=STRAY.keys())
@pytest.mark.parametrize("pause", [0.05, 0.0], ids=["read by the loop", "not read yet"])
async def test_a_stray_response_is_not_taken_for_the_next(name: str, stray: bytes, pause: float):
    async with idle(stray, pause=pause) as (gateway, server):
        done = await CALLS[name](gateway)
        assert getattr(done, "id", ID) == ID
        # The request is on the wire once, on another connection.
        assert [one.connection for one in server.requests] == [1, 2]


async def test_a_call_that_may_not_be_retried_has_sent_nothing():
    async with idle(STRAY["401"], attempts=1, pause=0.05) as (gateway, server):
        with pytest.raises(GatewayConnectionError, match="before the request left"):
            await CALLS["send"](gateway)
        assert len(server.requests) == 1
        assert gateway.stats.requests == 2


async def test_an_idle_connection_that_was_closed_is_not_used():
    async with RawServer(GOOD, say(http(envelope()))) as server:
        retry = RetryPolicy(base_delay=0.001, max_delay=0.01)
        async with GatewayClient("token", base_url=server.url, rate=None, retry=retry) as gateway:
            await gateway.messages.get(ID)
            server.requests[0].close()
            await until(lambda: server.ended)
            await CALLS["append"](gateway)
            assert [one.connection for one in server.requests] == [1, 2]


async def test_a_stray_response_that_the_blocked_loop_has_not_read_is_seen():
    """The server writes from a thread while the event loop is blocked."""
    listener = socket.create_server(("127.0.0.1", 0))
    stray, written = threading.Event(), threading.Event()
    posts: list[bytes] = []

    def serve() -> None:
        for number in range(2):
            connection, _ = listener.accept()
            with connection:
                head = connection.recv(65536)
                posts.extend([head] if head.startswith(b"POST") else [])
                connection.sendall(http(envelope(message(transaction=False))))
                if number == 0:
                    stray.wait(10)
                    connection.sendall(STRAY["200 of another message"])
                    written.set()
                connection.recv(65536)

    thread = threading.Thread(target=serve)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    retry = RetryPolicy(base_delay=0.001, max_delay=0.01)
    async with GatewayClient("token", base_url=url, rate=None, retry=retry) as gateway:
        await gateway.messages.get(ID)
        stray.set()
        written.wait(10)
        sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
    await asyncio.to_thread(thread.join)
    listener.close()
    assert sent.id == ID
    assert len(posts) == 1
