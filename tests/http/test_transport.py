"""One attempt against raw sockets: sent once, read within bounds, and every fault a typed error."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import netrc
import shutil
import ssl
import subprocess
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_sms_async import GatewayClient, RetryPolicy
from gateway_sms_async._http.endpoint import LIST_CAP, MESSAGE_CAP
from gateway_sms_async._http.transport import Transport, TransportFault
from gateway_sms_async.errors import (
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    InvalidRequestError,
    OutcomeUnknownError,
    UnexpectedResponseError,
)

from ..support.raw_server import (
    Exchange,
    Play,
    RawServer,
    drop,
    envelope,
    hang,
    http,
    message,
    reset,
    say,
    until,
)

ID = message()["id"]
TOKEN = "canary-token-0123456789"
NUMBER = "+39-3401234567"
TEXT = "Canary text"
MIB = 1024 * 1024

FINE = say(http(envelope()))
CLOSED = say(http(envelope(message(transaction=False))))
GET = f"GET /messages/{ID}"

Call = Callable[[GatewayClient], Awaitable[Any]]


def client(url: str, *, attempts: int = 1, timeout: float = 5.0, **kwargs: Any) -> GatewayClient:
    """Return a client that makes one attempt unless `retry` is passed."""
    retry = RetryPolicy(max_attempts=attempts, base_delay=0.001, max_delay=0.01)
    return GatewayClient(TOKEN, base_url=url, rate=None, timeout=timeout, retry=retry, **kwargs)


def get(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.get(ID)


def append(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.update(ID, recipients=[NUMBER], transaction=True)


def close(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.update(ID, recipients=[NUMBER], transaction=False)


def open_(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.send(sender="ACME", body=TEXT, recipients=NUMBER, transaction=True)


def send(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.send(sender="ACME", body=TEXT, recipients=NUMBER)


def delete(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.delete(ID)


def listing(gateway: GatewayClient) -> Awaitable[Any]:
    return gateway.messages.recipients(ID)


CALLS: dict[str, tuple[str, Call]] = {
    "get": ("GET", get),
    "send": ("POST", send),
    "open": ("POST", open_),
    "append": ("PUT", append),
    "close": ("PUT", close),
    "delete": ("DELETE", delete),
}
calls = pytest.mark.parametrize("name", CALLS)


async def fault_of(gateway: GatewayClient, call: Call = get) -> GatewayError:
    """Make a call that must fail within about a second, and return its error."""
    async with asyncio.timeout(10):
        with pytest.raises(GatewayError) as caught:
            await call(gateway)
    return caught.value


async def fault_from(*script: Play, call: Call = get, **kwargs: Any) -> GatewayError:
    async with RawServer(*script) as server, client(server.url, **kwargs) as gateway:
        return await fault_of(gateway, call)


async def transport_to(url: str) -> Transport:
    return await Transport.open(url, concurrency=1, connector=None, proxy=None)


def count(server: RawServer, method: str) -> int:
    return sum(exchange.method == method for exchange in server.requests)


# One request is sent once


@calls
@pytest.mark.parametrize("fault", [drop, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
async def test_a_request_whose_connection_breaks_is_on_the_wire_once(name, fault, reused):
    method, call = CALLS[name]
    script = [FINE, fault, say(http(b"{}", status="500 Oops"))]
    async with RawServer(*script[not reused :]) as server, client(server.url) as gateway:
        if reused:
            await get(gateway)
        await fault_of(gateway, call)
        if reused:
            # The first connection was reused; otherwise this would test a fresh one.
            assert server.requests[1].connection == 1
        if name == "delete":
            # Looking failed, so the DELETE was repeated, twice: by us, not by aiohttp.
            assert [one.method for one in server.requests[reused:]] == ["DELETE", "GET"] * 3
        else:
            assert count(server, method) == 1 + (reused and method == "GET")
        if name in {"get", "append", "close", "open"}:
            # And no other connection was opened for it.
            assert server.connections == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE", "GET"])
@pytest.mark.parametrize("reused", [False, True], ids=["fresh", "reused"])
async def test_aiohttp_by_itself_sends_twice_so_the_test_above_bites(method, reused):
    script = [FINE, drop, drop, FINE]
    async with RawServer(*script[not reused :]) as server:
        async with aiohttp.ClientSession() as session:
            if reused:
                await (await session.get(server.url)).read()
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await session.request(method, server.url, data=b"people")
        assert len(server.requests) - reused == 2


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
async def test_a_transport_says_sent_and_asks_to_leave_once(method):
    leaves = []

    async def depart() -> None:
        leaves.append(method)

    async with RawServer(drop, FINE) as server:
        transport = await transport_to(server.url)
        with pytest.raises(TransportFault) as caught:
            await transport.attempt(
                method, "/x", b"{}", token=TOKEN, timeout=5, cap=100, depart=depart
            )
        await transport.close()
        assert caught.value.sent
        assert len(server.requests) == len(leaves) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_without_the_guard_against_repeats_a_second_one_still_does_not_leave(
    method, monkeypatch
):
    """There are two guards: this tests the second one alone."""

    async def depart() -> None:
        pass

    async def passes(departure, request, handler):
        request.departure = departure
        return await handler(request)

    monkeypatch.setattr("gateway_sms_async._http.transport._Departure.__call__", passes)

    async with RawServer(drop, FINE) as server:
        transport = await transport_to(server.url)
        with pytest.raises(TransportFault) as caught:
            await transport.attempt(
                method, "/x", b"{}", token=TOKEN, timeout=5, cap=1000, depart=depart
            )
        await transport.close()
        assert len(server.requests) == 1
        assert caught.value.sent
        assert "tried to send again" in str(caught.value.error)


async def test_a_connection_that_closes_while_a_request_is_held_back_has_sent_nothing():
    async def nothing() -> None:
        pass

    async def until_it_is_closed() -> None:
        exchange.close()
        await until(lambda: server.ended == 1)
        await asyncio.sleep(0.01)

    async with RawServer(FINE) as server:
        transport = await transport_to(server.url)
        more = {"token": TOKEN, "timeout": 5, "cap": 1000}
        await transport.attempt("PUT", "/x", b"{}", depart=nothing, **more)
        [exchange] = server.requests
        with pytest.raises(TransportFault) as caught:
            await transport.attempt("PUT", "/x", b"{}", depart=until_it_is_closed, **more)
        await transport.close()
        assert not caught.value.sent
        assert len(server.requests) == 1


async def test_an_exception_before_the_first_byte_leaves_nothing_on_the_wire():
    class NotYetError(Exception):
        pass

    async def depart() -> None:
        raise NotYetError

    async with RawServer(FINE) as server:
        transport = await transport_to(server.url)
        with pytest.raises(NotYetError):
            await transport.attempt(
                "PUT", "/x", b"{}", token=TOKEN, timeout=5, cap=100, depart=depart
            )
        await transport.close()
        assert server.requests == []


async def test_a_connection_closed_while_waiting_to_leave_is_a_fault_and_not_a_second_request():
    closing = asyncio.Event()

    async def answer_then_close(exchange: Exchange) -> None:
        await exchange.send(http(envelope()))
        await closing.wait()
        exchange.close()

    async def try_depart() -> None:
        pass

    async with RawServer(answer_then_close, FINE) as server:

        async def leave_late() -> None:
            closing.set()
            await until(lambda: server.ended >= 1)
            await asyncio.sleep(0.01)

        transport = await transport_to(server.url)
        options: dict[str, Any] = {"token": TOKEN, "timeout": 5, "cap": 10_000}
        await transport.attempt("GET", "/a", None, depart=try_depart, **options)
        with pytest.raises(TransportFault):
            await transport.attempt("PUT", "/b", b"{}", depart=leave_late, **options)
        await transport.close()
        assert count(server, "PUT") == 0


# Redirects, cookies, environment


@calls
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(name, status):
    method, call = CALLS[name]
    async with RawServer(FINE) as elsewhere:
        answer = http(b"", f"Location: {elsewhere.url}/messages/{ID}", status=f"{status} Moved")
        async with RawServer(say(answer)) as server, client(server.url) as gateway:
            error = await fault_of(gateway, call)
            assert count(server, method) == (3 if name == "delete" else 1)
        assert elsewhere.connections == 0
        assert isinstance(error, UnexpectedResponseError | OutcomeUnknownError)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_the_same_place_is_not_followed_either(status):
    answer = http(b"", f"Location: /messages/{ID}", status=f"{status} Moved")
    async with RawServer(say(answer)) as server, client(server.url) as gateway:
        error = await fault_of(gateway)
        assert len(server.requests) == 1
    assert isinstance(error, UnexpectedResponseError)
    assert error.status == status


async def test_cookies_are_not_kept():
    cookie = say(http(envelope(), "Set-Cookie: session=kept; Path=/"))
    async with RawServer(cookie) as server, client(server.url) as gateway:
        for _ in range(3):
            await get(gateway)
        assert len(server.requests) == 3
        assert not [one for one in server.requests if "cookie" in one.headers]


async def test_the_environments_proxy_is_not_used(monkeypatch):
    async with RawServer(FINE) as proxy, RawServer(FINE) as server:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with aiohttp.ClientSession(trust_env=True) as session:
            await (await session.get(server.url)).read()
        assert proxy.connections == 1  # so the environment is as this test needs it
        async with client(server.url) as gateway:
            await get(gateway)
        assert proxy.connections == 1
        assert len(server.requests) == 1


async def test_netrc_is_not_read(monkeypatch, tmp_path):
    secrets = tmp_path / "netrc"
    secrets.write_text("machine 127.0.0.1 login somebody password secret\n")
    secrets.chmod(0o600)
    assert netrc.netrc(str(secrets)).authenticators("127.0.0.1")
    monkeypatch.setenv("NETRC", str(secrets))
    async with RawServer(FINE) as server, client(server.url) as gateway:
        await get(gateway)
        assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@calls
async def test_what_stands_on_the_wire(name):
    method, call = CALLS[name]
    async with RawServer(CLOSED) as server, client(server.url) as gateway:
        await call(gateway)
        (sent,) = server.requests
    assert sent.method == method
    assert sent.target == ("/messages/" if method == "POST" else f"/messages/{ID}")
    assert sent.headers["authorization"] == f"Bearer {TOKEN}"
    assert sent.headers["accept"] == "application/json"
    assert sent.headers["user-agent"].startswith("gateway-sms-async/")
    if method in {"POST", "PUT"}:
        assert sent.headers["content-type"] == "application/json"
        assert json.loads(sent.body)["recipients"]
    else:
        assert sent.body == b""
        assert "content-type" not in sent.headers


# Bounds


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@cache
def gzip_blocks() -> tuple[bytes, bytes]:
    """Return a MiB of spaces as the start of a gzip file, and as a continuation of it."""
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    mebibyte = b" " * MIB
    return (
        packer.compress(mebibyte) + packer.flush(zlib.Z_FULL_FLUSH),
        packer.compress(mebibyte) + packer.flush(zlib.Z_FULL_FLUSH),
    )


async def endless(exchange: Exchange) -> None:
    """Chunks of spaces without end."""
    await exchange.send(http(b"", "Transfer-Encoding: chunked", length=False))
    while True:
        await exchange.send(chunk(b" " * 65536))


async def endless_until_closed(exchange: Exchange) -> None:
    """Neither a length nor chunks: the body ends with the connection, which never ends."""
    await exchange.send(http(b"", "Connection: close", length=False))
    while True:
        await exchange.send(b" " * 65536)


async def endless_gzip(exchange: Exchange) -> None:
    head = http(b"", "Transfer-Encoding: chunked", "Content-Encoding: gzip", length=False)
    first, again = gzip_blocks()
    await exchange.send(head + chunk(first))
    while True:
        await exchange.send(chunk(again))
        await asyncio.sleep(0)


def answers_too_large(cap: int) -> dict[str, Play]:
    fat = envelope()[:-1] + b" " * (cap + MIB) + b"}"
    first, again = gzip_blocks()
    bomb = first + again * 255  # 256 MiB of spaces as 256 KiB
    return {
        "declared": say(http(b" " * 100, f"Content-Length: {cap + 1}", length=False)),
        "declared enormous": say(http(b"", f"Content-Length: {10**18}", length=False)),
        "chunked": say(http(chunk(fat) + b"0\r\n\r\n", "Transfer-Encoding: chunked", length=False)),
        "until the end": say(http(fat, "Connection: close", length=False), then_close=True),
        "endless": endless,
        "endless until closed": endless_until_closed,
        "endless gzip": endless_gzip,
        "gzip bomb": say(http(bomb, "Content-Encoding: gzip")),
        "deflate bomb": say(http(zlib.compress(b" " * (cap + MIB)), "Content-Encoding: deflate")),
    }


@pytest.mark.parametrize("kind", answers_too_large(0))
async def test_an_answer_above_eight_mebibytes_is_refused_at_once(kind):
    play = answers_too_large(MESSAGE_CAP)[kind]
    async with RawServer(play) as server, client(server.url) as gateway:
        async with asyncio.timeout(4):
            error = await fault_of(gateway)
            await until(lambda: server.ended >= 1)
    assert type(error) is UnexpectedResponseError
    assert error.status == 200
    assert str(MESSAGE_CAP) in str(error)


@pytest.mark.parametrize("kind", ["declared", "chunked", "endless", "gzip bomb", "endless gzip"])
async def test_a_list_above_sixty_four_mebibytes_is_refused(kind):
    play = answers_too_large(LIST_CAP)[kind]
    async with RawServer(play) as server, client(server.url, timeout=15) as gateway:
        error = await fault_of(gateway, listing)
    assert type(error) is UnexpectedResponseError


async def test_an_answer_that_is_too_large_is_not_asked_for_again():
    """It would be as large the next time, and a list at its cap is 64 MiB each time."""
    play = answers_too_large(MESSAGE_CAP)["declared"]
    async with RawServer(play) as server, client(server.url, attempts=5) as gateway:
        assert isinstance(await fault_of(gateway), UnexpectedResponseError)
        assert len(server.requests) == 1


async def test_an_answer_up_to_its_bound_is_read():
    body = envelope()
    for content in (body + b" " * (MESSAGE_CAP - len(body)), body):
        for answer in (
            http(content),
            http(gzip.compress(content), "Content-Encoding: gzip"),
            http(
                chunk(content) + b"0\r\n\r\n",
                "Transfer-Encoding: chunked",
                length=False,
            ),
        ):
            async with RawServer(say(answer)) as server, client(server.url) as gateway:
                assert (await gateway.messages.get(ID)).id == ID


async def test_a_list_may_be_larger_than_a_message():
    reports = [{"number": NUMBER, "body": "x" * 1000}] * 4000
    async with (
        RawServer(say(http(envelope(reports)))) as server,
        client(server.url) as gateway,
    ):
        assert len(await gateway.messages.recipients(ID)) == 4000


_PEAK = """
import asyncio, resource, sys
sys.path.insert(0, {root!r})
from tests.http.test_transport import ID, RawServer, answers_too_large, client, fault_of, get

async def main():
    play = answers_too_large(2**20)[{kind!r}]
    async with RawServer(play) as server, client(server.url) as gateway:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await fault_of(gateway)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize("kind", ["gzip bomb", "endless", "endless gzip"])
def test_unpacking_a_bomb_takes_no_more_memory_than_its_bound(kind):
    """In a process of its own, so that earlier tests do not count to the peak; 256 MiB unpacked."""
    root = str(Path(__file__).parent.parent.parent)
    code = _PEAK.format(root=root, kind=kind)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=15
    )
    assert int(done.stdout) <= 32 * 1024


@pytest.mark.parametrize(
    "slow",
    [
        say(http(envelope())[:20]),
        say(http(envelope())[:-1]),
        say(b""),
        say(http(b"5\r\nab", "Transfer-Encoding: chunked", length=False)),
    ],
    ids=["in the head", "in the body", "before the head", "in a chunk"],
)
async def test_the_timeout_covers_head_and_body(slow):
    async def play(exchange: Exchange) -> None:
        await slow(exchange)
        await hang(exchange)

    started = time.monotonic()
    async with RawServer(play) as server, client(server.url, timeout=0.1) as gateway:
        error = await fault_of(gateway)
        await until(lambda: server.ended >= 1)
    assert type(error) is GatewayTimeoutError
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("part", ["head", "body", "100 Continue"])
async def test_dripping_ends_at_the_timeout(part):
    async def play(exchange: Exchange) -> None:
        if part == "100 Continue":
            drops = [b"HTTP/1.1 100 Continue\r\n\r\n"] * 10_000
        else:
            start = 0 if part == "head" else len(http(envelope())) - 50
            await exchange.send(http(envelope())[:start])
            drops = [bytes([one]) for one in http(envelope())[start:]]
        for one in drops:
            await exchange.send(one)
            await asyncio.sleep(0.02)

    started = time.monotonic()
    error = await fault_from(play, timeout=0.2)
    assert type(error) is GatewayTimeoutError
    assert time.monotonic() - started < 2


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_no_that_comes_before_the_body_was_taken_ends_the_call():
    """413 at once, and the rest of 32 MiB is never read."""
    body = b'{"success": false, "error": 413}'

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(body, status="413 Too Large"))
        await gone.wait()
        writer.transport.abort()

    async def depart() -> None:
        pass

    gone = asyncio.Event()
    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport = await transport_to(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(5):
            reply = await transport.attempt(
                "PUT",
                "/x",
                b" " * 32 * MIB,
                token=TOKEN,
                timeout=0.5,
                cap=1000,
                depart=depart,
            )
        assert (reply.status, reply.body) == (413, body)
    finally:
        gone.set()
        await transport.close()
        server.close()


async def test_a_large_body_is_sent_without_a_warning():
    """aiohttp warns of bytes above 1 MiB; as an error, that warning would not be one of our errors."""
    recipients = [f"+39-34{n:08}" for n in range(100_000)]
    async with RawServer(FINE) as server, client(server.url) as gateway:
        await gateway.messages.update(ID, recipients=recipients, transaction=True)
        assert len(json.loads(server.requests[0].body)["recipients"]) == 100_000


# Responses that are cut short or spoilt


CHUNKED = http(
    b"".join(
        f"{len(part):x}\r\n".encode() + part + b"\r\n"
        for part in (envelope()[:40], envelope()[40:])
    )
    + b"0\r\n\r\n",
    "Transfer-Encoding: chunked",
    length=False,
)
WHOLE = {
    "with a length": http(envelope()),
    "chunked": CHUNKED,
    "gzip": http(gzip.compress(envelope(), mtime=0), "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("end", [drop, reset], ids=["closed", "reset"])
@pytest.mark.parametrize("kind", WHOLE)
@pytest.mark.parametrize("call", [get, append], ids=["get", "append"])
async def test_an_answer_cut_at_any_byte_is_never_a_success_and_always_typed(kind, end, call):
    whole = WHOLE[kind]

    def cut_at(offset: int) -> Play:
        async def play(exchange: Exchange) -> None:
            await exchange.send(whole[:offset])
            await asyncio.sleep(0)
            await end(exchange)

        return play

    script = [cut_at(offset) for offset in range(len(whole))]
    async with RawServer(*script) as server, client(server.url, concurrency=1) as gateway:
        for offset in range(len(whole)):
            error = await fault_of(gateway, call)
            if call is append:
                assert type(error) is OutcomeUnknownError, offset
                assert error.__cause__ is not None
                error = error.__cause__
            assert type(error) in {GatewayConnectionError, UnexpectedResponseError}, offset
        assert len(server.requests) == len(whole)


async def test_an_answer_in_single_bytes_is_read():
    pieces = [bytes([one]) for one in CHUNKED]
    async with RawServer(say(*pieces)) as server, client(server.url) as gateway:
        assert (await gateway.messages.get(ID)).id == ID


SPOILT = {
    "no HTTP": b"garbage\r\n\r\n",
    "an SSH server": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of letters": b"HTTP/1.1 OK OK\r\nContent-Length: 0\r\n\r\n",
    "another protocol version": b"HTTP/9.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    "a header of 9,000 bytes": http(envelope(), "X-Long: " + "a" * 9000),
    "a status line of 9,000 bytes": http(envelope(), status="200 " + "a" * 9000),
    "2,000 headers": http(envelope(), *(f"X-{n}: a" for n in range(2000))),
    "a header without a colon": http(envelope(), "nonsense"),
    "a header with a NUL": http(envelope(), "X: a\x00b"),
    "two lengths": http(b"{}1", "Content-Length: 2", "Content-Length: 3", length=False),
    "a length in words": http(b"{}", "Content-Length: two", length=False),
    "a negative length": http(b"{}", "Content-Length: -2", length=False),
    "a chunk of no size": http(b"zz\r\n{}\r\n", "Transfer-Encoding: chunked", length=False),
    "a chunk of negative size": http(b"-2\r\n{}\r\n", "Transfer-Encoding: chunked", length=False),
    "length and chunks": http(
        b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5", length=False
    ),
    "gzip that is none": http(envelope(), "Content-Encoding: gzip"),
    "gzip cut short": http(gzip.compress(envelope())[:-12], "Content-Encoding: gzip"),
    "deflate that is none": http(envelope(), "Content-Encoding: deflate"),
    "brotli that is none": http(b"\xff" * 50, "Content-Encoding: br"),
    "zstd that is none": http(b"\xff" * 50, "Content-Encoding: zstd"),
    "101": http(b"", status="101 Switching Protocols", length=False),
    "101 upgraded": http(
        b"xx", "Connection: upgrade", "Upgrade: websocket", status="101 Ok", length=False
    ),
    "204": http(b"", status="204 No Content", length=False),
    "206": http(envelope(), status="206 Partial Content"),
    "202": http(envelope(), status="202 Accepted"),
    "299": http(envelope(), status="299 Odd"),
    "304": http(b"", status="304 Not Modified", length=False),
    "999": http(b"{}", status="999 Odd"),
    "UTF-16": http(envelope().decode().encode("utf-16")),
    "Latin-1": http(b'{"data": "\xe9", "success": true}'),
    "Latin-1 in a name": http(envelope(message(sender="@")).replace(b"@", b"\xe9")),
    "JSON and more": http(envelope() + b"<html>"),
    "twice JSON": http(envelope() * 2),
    "a number": http(b"1"),
    "null": http(b"null"),
    "success as text": http(envelope().replace(b"true", b'"true"')),
    "a deep nest": http(b"[" * 200_000 + b"]" * 200_000),
    "a deep nest ignored": http(b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    "a number of 10,000 digits": http(
        envelope(message(recipients={"valid": {"count": 1}, "invalid": {"total": 0}})).replace(
            b'"count": 1', b'"count": ' + b"1" * 10_000
        )
    ),
    "half a surrogate pair": http(envelope(message(sender="@")).replace(b"@", b"\\ud800")),
    "a string in a string in a string": http(json.dumps(json.dumps(envelope().decode())).encode()),
    "a string that never ends": http(b'"' + b"a" * 1000),
    "a list of no message": http(envelope([])),
    "a list of two messages": http(envelope([message(), message()])),
    "a message without transaction": http(envelope({**message(), "transaction": None})),
    "a message without counts": http(envelope({"id": ID, "transaction": True})),
    "empty": http(b""),
}


@pytest.mark.parametrize("call", [get, append], ids=["get", "append"])
@pytest.mark.parametrize("kind", SPOILT)
async def test_a_spoilt_answer_is_a_typed_error(kind, call):
    error = await fault_from(say(SPOILT[kind], then_close=True), call=call, timeout=2)
    if call is append:
        assert type(error) is OutcomeUnknownError
        error = error.__cause__
    assert type(error) in {GatewayConnectionError, UnexpectedResponseError}
    assert error.__context__ is None


@pytest.mark.parametrize("kind", ["100 first", "103 first", "trailers", "folded", "lower case"])
async def test_unusual_answers_that_are_right_are_read(kind):
    answer = {
        "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + http(envelope()),
        "103 first": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + http(envelope()),
        "trailers": CHUNKED[:-2] + b"X-Sum: 1\r\n\r\n",
        "folded": http(envelope(), "X-Empty:"),
        "lower case": http(envelope()).replace(b"Content-", b"content-"),
    }[kind]
    async with RawServer(say(answer)) as server, client(server.url) as gateway:
        assert (await gateway.messages.get(ID)).id == ID


async def test_a_body_encoded_twice_is_understood():
    twice = json.dumps(envelope().decode()).encode()
    async with RawServer(say(http(twice))) as server, client(server.url) as gateway:
        assert (await gateway.messages.get(ID)).id == ID


@pytest.mark.parametrize("kind", ["text/html", "text/plain; charset=utf-16", "nonsense", ""])
async def test_the_content_type_does_not_matter(kind):
    answer = http(envelope()).replace(b"application/json", kind.encode())
    async with RawServer(say(answer)) as server, client(server.url) as gateway:
        assert (await gateway.messages.get(ID)).id == ID


async def test_a_late_answer_is_not_taken_for_the_next_requests():
    """A call that is cancelled or times out closes its connection."""
    late = asyncio.Event()

    async def answer_late(exchange: Exchange) -> None:
        await late.wait()
        await exchange.send(http(envelope(message("f" * 24))))

    async with RawServer(answer_late, answer_late, FINE) as server, client(server.url) as gateway:
        assert isinstance(await fault_of(gateway.with_options(timeout=0.05)), GatewayTimeoutError)
        task = asyncio.ensure_future(get(gateway))
        await until(lambda: len(server.requests) >= 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        late.set()
        for _ in range(3):
            assert (await gateway.messages.get(ID)).id == ID
        assert {one.connection for one in server.requests[2:]} == {3}


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """Return an untrusted certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.fixture
def tls(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusted(certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate[0]))


def unanswered_handshakes() -> None:
    """Silence the loop about handshakes that a test breaks on purpose."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


@calls
async def test_an_untrusted_certificate_is_refused_before_a_request(tls, name):
    unanswered_handshakes()
    asked = []

    class Counting(aiohttp.TCPConnector):
        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(args)
            return await super().connect(*args, **kwargs)

    async with (
        RawServer(FINE, tls=tls) as server,
        client(server.url, attempts=5, connector=Counting) as gateway,
    ):
        error = await fault_of(gateway, CALLS[name][1])
        assert server.requests == []
    assert type(error) is GatewayConnectionError
    assert "certificate" in str(error)
    assert len(asked) == 1  # the certificate would be the same the next time


async def test_a_certificate_for_another_host_is_refused(tls, trusted):
    unanswered_handshakes()
    async with RawServer(FINE, tls=tls) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with client(url, connector=lambda: aiohttp.TCPConnector(ssl=trusted)) as gateway:
            error = await fault_of(gateway)
        assert server.requests == []
    assert type(error) is GatewayConnectionError


@pytest.mark.parametrize("read", [True, False], ids=["read by the loop", "not read yet"])
async def test_a_stray_answer_over_tls_is_not_taken_for_the_next_requests(tls, trusted, read):
    connector = aiohttp.TCPConnector(ssl=trusted)
    async with (
        RawServer(FINE, tls=tls) as server,
        client(server.url, attempts=2, connector=connector) as gateway,
    ):
        await get(gateway)
        await get(gateway)
        assert server.connections == 1, "what belongs to TLS itself is no stray answer"
        server.requests[0].writer.write(http(b"no", status="401 No"))
        await asyncio.sleep(0.05 if read else 0)
        assert (await gateway.messages.get(ID)).id == ID
        assert [one.connection for one in server.requests] == [1, 1, 2]
    await connector.close()


async def test_old_tls_is_refused(tls, trusted):
    unanswered_handshakes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        tls.minimum_version = ssl.TLSVersion.TLSv1
        tls.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        RawServer(FINE, tls=tls) as server,
        client(server.url, connector=lambda: aiohttp.TCPConnector(ssl=trusted)) as gateway,
    ):
        error = await fault_of(gateway)
        assert server.requests == []
    assert type(error) is GatewayConnectionError


async def test_https_to_a_server_that_speaks_http_is_a_connection_error():
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(http(b"", status="400 Bad Request"))
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with client(f"https://127.0.0.1:{port}", attempts=5) as gateway:
        error = await fault_of(gateway)
    server.close()
    assert type(error) is GatewayConnectionError


async def test_a_certificate_from_a_trusted_source_is_accepted(tls, trusted):
    async with (
        RawServer(FINE, tls=tls) as server,
        client(server.url, connector=lambda: aiohttp.TCPConnector(ssl=trusted)) as gateway,
    ):
        assert (await gateway.messages.get(ID)).id == ID


# Proxies


CREDENTIALS = "proxyuser:proxypassword"


def with_credentials(url: str) -> str:
    return url.replace("http://", f"http://{CREDENTIALS}@")


async def test_a_proxy_is_asked_with_the_whole_address():
    async with RawServer(FINE) as proxy, RawServer(FINE) as server:
        async with client(server.url, proxy=with_credentials(proxy.url)) as gateway:
            assert (await gateway.messages.get(ID)).id == ID
        assert server.connections == 0
        (asked,) = proxy.requests
        assert asked.target == f"{server.url}/messages/{ID}"
        assert asked.headers["proxy-authorization"].startswith("Basic ")


@calls
@pytest.mark.parametrize(
    "play",
    [drop, hang, say(http(b"", status="407 Who are you")), say(http(b"x", status="502 No"))],
    ids=["closed", "hang", "407", "502"],
)
async def test_a_proxy_that_fails_is_a_typed_error_without_its_credentials(name, play):
    async with RawServer(play) as proxy:
        address = with_credentials(proxy.url)
        async with client("http://127.0.0.1:9", proxy=address, timeout=0.2) as gateway:
            error = await fault_of(gateway, CALLS[name][1])
            assert_nothing_leaks(error, repr(gateway))


async def test_a_proxy_that_is_not_there_is_a_connection_error():
    async with RawServer(FINE) as gone:
        address = with_credentials(gone.url)
    async with client("http://127.0.0.1:9", proxy=address, attempts=2) as gateway:
        error = await fault_of(gateway)
    assert type(error) is GatewayConnectionError
    assert_nothing_leaks(error)


async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Act as an HTTP proxy that connects every client."""
    head = await reader.readuntil(b"\r\n\r\n")
    host, _, port = head.split(b" ")[1].decode().partition(":")
    up_reader, up_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer), return_exceptions=True)


@calls
async def test_https_through_a_tunnel_is_one_request(tls, trusted, name):
    """The CONNECT to the proxy does not count as a request: it takes no token of the rate."""
    method, call = CALLS[name]
    proxy = await asyncio.start_server(tunnel, "127.0.0.1", 0)
    address = f"http://{CREDENTIALS}@127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
    async with RawServer(CLOSED, tls=tls) as server:
        async with client(
            server.url, proxy=address, connector=lambda: aiohttp.TCPConnector(ssl=trusted)
        ) as gateway:
            await call(gateway)
        assert [one.method for one in server.requests] == [method]
    proxy.close()


@pytest.mark.parametrize("status", ["407 Who are you", "502 Bad Gateway", "403 No"])
async def test_a_proxy_that_opens_no_tunnel_has_sent_nothing(status):
    async with RawServer(say(http(b"no", status=status))) as proxy:
        address = with_credentials(proxy.url)
        async with client("https://127.0.0.1:9", proxy=address) as gateway:
            error = await fault_of(gateway, send)
        assert {one.method for one in proxy.requests} == {"CONNECT"}
        assert "authorization" not in proxy.requests[0].headers
    assert type(error) is GatewayConnectionError
    assert status[:3] in str(error)
    assert_nothing_leaks(error)


# What errors show


def assert_nothing_leaks(error: BaseException, *texts: str) -> None:
    """Search an error, its causes and its attributes for secrets."""
    seen: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo:
        one = todo.pop()
        if one is not None and one not in seen:
            seen.append(one)
            todo += [one.__cause__, one.__context__]
    shown = "\n".join(
        (
            *texts,
            *("".join(traceback.format_exception(error))).splitlines(),
            *(f"{one!s}\n{one!r}\n{one.args!r}\n{vars(one)!r}" for one in seen),
        )
    )
    for secret in (TOKEN, "3401234567", TEXT, *CREDENTIALS.split(":")):
        assert secret not in shown
    for one in seen:
        assert type(one).__module__.startswith("gateway_sms_async"), repr(one)


PARTING = {
    "closed": drop,
    "reset": reset,
    "hang": hang,
    "garbage": say(SPOILT["no HTTP"]),
    "echo": say(http(json.dumps({"token": TOKEN, "to": NUMBER}).encode(), f"X: {TOKEN}")),
    "truncated": say(http(envelope())[:-5], then_close=True),
    "500": say(http(f"{TOKEN} {NUMBER} {TEXT}".encode(), status="500 Oops")),
    "reason": say(http(b"", status=f"500 {TOKEN}")),
    "401": say(http(json.dumps({"success": False, "error": 1}).encode(), status="401 No")),
    "422": say(
        http(
            json.dumps({"success": False, "error": 304, "message": f"bad: {TEXT}"}).encode(),
            status="422 No",
        )
    ),
    "too large": answers_too_large(LIST_CAP)["declared"],
    "gzip": say(SPOILT["gzip that is none"]),
}


@calls
@pytest.mark.parametrize("kind", [kind for kind in PARTING if kind != "422"])
async def test_no_error_holds_the_token_a_number_a_text_or_an_error_of_aiohttp(name, kind):
    error = await fault_from(PARTING[kind], call=CALLS[name][1], timeout=0.2, attempts=2)
    assert_nothing_leaks(error)


async def test_what_the_gateway_says_in_words_is_kept_apart_from_the_text_of_the_error():
    error = await fault_from(PARTING["422"], call=append)
    assert isinstance(error, InvalidRequestError)
    assert error.detail == f"bad: {TEXT}"
    assert TEXT not in str(error) + repr(error) + str(error.args)


# Closing, and event loops


async def test_closing_leaves_no_connection_open():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with RawServer(FINE) as server:
            async with client(server.url, concurrency=5) as gateway:
                await asyncio.gather(*(get(gateway) for _ in range(20)))
                assert server.connections > 0
                assert server.ended == 0
            async with asyncio.timeout(1):
                await until(lambda: server.ended >= server.connections)
        gc.collect()


async def test_leaving_by_an_exception_closes_as_well():
    class MineError(Exception):
        pass

    async def main(url: str) -> None:
        async with client(url) as gateway:
            await get(gateway)
            raise MineError

    async with RawServer(FINE) as server:
        with pytest.raises(MineError):
            await main(server.url)
        async with asyncio.timeout(1):
            await until(lambda: server.ended == 1)


async def test_cancelling_a_request_closes_its_connection_and_frees_its_place():
    async with RawServer(hang) as server, client(server.url, concurrency=1) as gateway:
        for count in (1, 2, 3):
            task = asyncio.ensure_future(append(gateway))
            await until(lambda count=count: len(server.requests) == count)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        async with asyncio.timeout(1):
            await until(lambda: server.ended >= 3)


async def test_a_lent_connector_stays_open_and_one_of_ours_does_not():
    async with RawServer(FINE) as server:
        lent = aiohttp.TCPConnector()
        async with client(server.url, connector=lent) as gateway:
            await get(gateway)
        assert not lent.closed
        assert server.ended == 0
        await lent.close()
        made: list[aiohttp.TCPConnector] = []

        def make() -> aiohttp.TCPConnector:
            made.append(aiohttp.TCPConnector())
            return made[-1]

        async with client(server.url, connector=make) as gateway:
            await get(gateway)
        assert made[0].closed


@pytest.mark.parametrize("option", ["limit", "limit_per_host"])
async def test_a_connector_that_would_queue_is_refused(option):
    narrow = aiohttp.TCPConnector(**{option: 3})
    with pytest.raises(ValueError, match="concurrency"):
        await client("http://127.0.0.1:9", connector=narrow, concurrency=4).open()
    made: list[aiohttp.TCPConnector] = []

    def make() -> aiohttp.TCPConnector:
        made.append(aiohttp.TCPConnector(**{option: 3}))
        return made[-1]

    with pytest.raises(ValueError, match="concurrency"):
        await client("http://127.0.0.1:9", connector=make, concurrency=4).open()
    assert made[0].closed
    assert not narrow.closed
    wide = client("http://127.0.0.1:9", connector=narrow, concurrency=3)
    await wide.open()
    await wide.aclose()
    await narrow.close()


async def test_nothing_waits_in_the_pool_with_its_clock_running():
    """Forty requests of 30 ms each over 2 places: none may time out after 100 ms."""

    async def play(exchange: Exchange) -> None:
        await asyncio.sleep(0.03)
        await exchange.send(http(envelope()))

    async with (
        RawServer(play) as server,
        client(server.url, concurrency=2, timeout=0.5) as gateway,
    ):
        await asyncio.gather(*(get(gateway) for _ in range(40)))
        assert server.connections <= 2


async def test_a_closed_client_says_so():
    gateway = client("http://127.0.0.1:9")
    await gateway.open()
    messages = gateway.messages
    await gateway.aclose()
    await gateway.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await messages.get(ID)
    with pytest.raises(RuntimeError, match="closed"):
        await gateway.messages.get(ID)


@pytest.mark.parametrize("name", ["send", "append", "close", "delete"])
async def test_closing_the_client_under_a_write_leaves_its_outcome_unknown_not_unsaid(name):
    """It was on the wire: a RuntimeError about a closed client would be wrong."""
    async with RawServer(hang) as server:
        gateway = client(server.url, attempts=3)
        await gateway.open()
        task = asyncio.ensure_future(CALLS[name][1](gateway))
        await until(lambda: len(server.requests) >= 1)
        await gateway.aclose()
        async with asyncio.timeout(2):
            with pytest.raises(OutcomeUnknownError):
                await task


async def test_closing_the_client_under_a_read_ends_it():
    async with RawServer(hang) as server:
        gateway = client(server.url, attempts=3)
        await gateway.open()
        task = asyncio.ensure_future(get(gateway))
        await until(lambda: len(server.requests) >= 1)
        await gateway.aclose()
        async with asyncio.timeout(2):
            with pytest.raises((GatewayConnectionError, RuntimeError)):
                await task


async def test_closing_the_client_lets_no_queued_call_depart():
    async with RawServer(hang) as server:
        gateway = client(server.url, attempts=3, concurrency=1)
        await gateway.open()
        first = asyncio.ensure_future(get(gateway))
        await until(lambda: server.requests)
        queued = [asyncio.ensure_future(append(gateway)) for _ in range(3)]
        await asyncio.sleep(0.01)
        await gateway.aclose()
        async with asyncio.timeout(2):
            results = await asyncio.gather(first, *queued, return_exceptions=True)
        assert len(server.requests) == 1
    assert [type(result) for result in results[1:]] == [RuntimeError] * 3


def test_another_event_loop_is_refused_in_words():
    with asyncio.Runner() as first:
        gateway = client("http://127.0.0.1:9")
        first.run(gateway.open())
        messages = gateway.messages
        with asyncio.Runner() as second, pytest.raises(RuntimeError, match="event loop"):
            second.run(get_by(messages))
        first.run(gateway.aclose())


async def get_by(messages: Any) -> None:
    await messages.get(ID)


def test_one_client_per_loop_one_after_the_other():
    async def main() -> None:
        async with RawServer(FINE) as server, client(server.url) as gateway:
            await get(gateway)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main())
        asyncio.run(main())
        gc.collect()


# Paths


@pytest.mark.parametrize(
    "message_id",
    ["", ".", "..", "a/b", "../x", "%2e%2e", "a?b=c", "a#b", "a\r\nX: y", "é", "a b", "a" * 65,
     "//host/x", "http://host/", "\x00", "a%2fb", "٣"],
)  # fmt: skip
async def test_an_id_that_is_none_never_gets_onto_the_wire(message_id):
    async with RawServer(FINE) as server, client(server.url) as gateway:
        for call in (
            gateway.messages.get,
            gateway.messages.update,
            gateway.messages.delete,
            gateway.messages.recipients,
        ):
            with pytest.raises(ValueError, match="id"):
                await call(message_id)
        assert server.connections == 0


@pytest.mark.parametrize("prefix", ["/v2", "/a%2fb", "/a/b/"])
async def test_a_path_in_the_base_url_is_kept(prefix):
    async with RawServer(FINE) as server, client(server.url + prefix) as gateway:
        await get(gateway)
        assert server.requests[0].target == f"{prefix.rstrip('/')}/messages/{ID}"
