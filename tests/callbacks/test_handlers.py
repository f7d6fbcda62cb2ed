"""The handlers for aiohttp and ASGI, each under a real server on a real socket."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import pytest
from aiohttp import web

from gateway_sms_async import Callback, CallbackReceiver, CallbackSigner
from gateway_sms_async.callbacks._callback import MAX_BODY
from gateway_sms_async.callbacks.aiohttp import callback_handler
from gateway_sms_async.callbacks.asgi import CallbackApp

ID = "5af0c2a1d7e3b40001a2b3c4"
BODY = json.dumps({"id": ID, "state": 2}).encode()
SIGNER = CallbackSigner("0123456789abcdef")

Serve = Callable[[CallbackReceiver], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def under_aiohttp(
    receiver: CallbackReceiver, *, lingering_time: float = 0.1
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/hooks/sms", callback_handler(receiver))
    runner = web.AppRunner(app, lingering_time=lingering_time, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}/hooks/sms".format(*runner.addresses[0])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def under_uvicorn(app: Any, path: str, **settings: Any) -> AsyncIterator[str]:
    uvicorn = pytest.importorskip("uvicorn", reason="the ASGI server is in the extra `dev`")
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1, **settings)
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        running = asyncio.create_task(server.serve([listening]))
        while not server.started:
            await asyncio.sleep(0.001)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}{path}"
        finally:
            server.should_exit = True
            await running


def as_plain_asgi(receiver: CallbackReceiver) -> AbstractAsyncContextManager[str]:
    return under_uvicorn(CallbackApp(receiver), "/hooks/sms")


def as_route(receiver: CallbackReceiver) -> AbstractAsyncContextManager[str]:
    starlette = pytest.importorskip("starlette.applications")
    routing = pytest.importorskip("starlette.routing")
    route = routing.Route("/hooks/sms", CallbackApp(receiver))
    return under_uvicorn(starlette.Starlette(routes=[route]), "/hooks/sms")


def as_mount(receiver: CallbackReceiver) -> AbstractAsyncContextManager[str]:
    starlette = pytest.importorskip("starlette.applications")
    app = starlette.Starlette()
    app.mount("/hooks", CallbackApp(receiver))
    return under_uvicorn(app, "/hooks/sms")


def in_fastapi(receiver: CallbackReceiver) -> AbstractAsyncContextManager[str]:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()
    app.mount("/hooks/sms", CallbackApp(receiver))
    return under_uvicorn(app, "/hooks/sms/")


SERVERS: dict[str, Serve] = {
    "aiohttp": under_aiohttp,
    "asgi": as_plain_asgi,
    "starlette route": as_route,
    "starlette mount": as_mount,
    "fastapi mount": in_fastapi,
}


@pytest.fixture(params=["aiohttp", "asgi"])
def serve(request: pytest.FixtureRequest) -> Serve:
    return SERVERS[request.param]


everywhere = pytest.mark.parametrize("serve", SERVERS.values(), ids=SERVERS)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(
    http: aiohttp.ClientSession, url: str, body: Any = BODY, method: str = "POST", **headers: str
) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, url, data=body, headers=named) as response:
        assert await response.read() == b""
        return response.status


@asynccontextmanager
async def raw(
    url: str, head: str, body: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Send a POST over a raw connection."""
    host, _, rest = url.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    try:
        lines = [
            f"POST /{rest} HTTP/1.1",
            "Host: x",
            "Content-Type: application/json",
            head,
            "",
            "",
        ]
        writer.write("\r\n".join(lines).encode() + body)
        await writer.drain()
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def status_of(reader: asyncio.StreamReader) -> int:
    return int((await reader.readline()).split()[1])


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@everywhere
async def test_callbacks_come_out_one_by_one(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        for state in range(3):
            body = json.dumps({"id": ID, "state": state}).encode()
            assert await post(http, url, body, content_type="application/json") == 200
        taken = [await anext(receiver) for _ in range(3)]
    assert taken == [Callback(message_id=ID, state=state) for state in range(3)]
    assert receiver.answers == {200: 3}


@everywhere
async def test_a_callback_in_a_form(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver(field="payload")
    async with serve(receiver) as url:
        form = f"payload={quote_plus(BODY)}"
        content_type = "application/x-www-form-urlencoded"
        assert await post(http, url, form, content_type=content_type) == 200
        assert await post(http, url, aiohttp.FormData({"payload": BODY.decode()})) == 200
        with aiohttp.MultipartWriter("form-data") as parts:
            parts.append(BODY.decode()).set_content_disposition("form-data", name="payload")
        assert await post(http, url, parts) == 200
        assert await post(http, url, "other=1", content_type=content_type) == 400
    assert receiver.queue.qsize() == 3


@everywhere
async def test_only_signed_addresses_are_there(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver(signer=SIGNER)
    async with serve(receiver) as url:
        # Behind a proxy: the signed URL has another scheme and host.
        public = url.replace("http://127.0.0.1", "https://example.com")
        signed = SIGNER.url(public, reference="order-7").replace(public, url)
        expired = CallbackSigner("0123456789abcdef", lifetime=1, clock=lambda: 1.0).url(url)
        other = CallbackSigner("another secret!!").url(url)
        for forged in (url, expired, other, signed + "x", f"{signed}&{signed.partition('?')[2]}"):
            assert await post(http, forged) == 404
            # The response does not reveal the allowed methods either.
            assert await post(http, forged, None, "GET") == 404
        assert await post(http, signed) == 200
        # The gateway uses one URL for all callbacks of a message.
        assert await post(http, f"{signed}&from=proxy") == 200
        assert await post(http, signed, None, "GET") == 405
    assert (await anext(receiver)).reference == "order-7"
    assert receiver.answers == {404: 10, 200: 2, 405: 1}


@everywhere
async def test_other_methods_are_not_allowed(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        for method in ("GET", "PUT", "DELETE", "OPTIONS", "HEAD"):
            async with http.request(method, url) as response:
                assert response.status == 405
                assert response.headers["Allow"] == "POST"
    assert receiver.answers == {405: 5}


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff", b"[" * 50_000, b'{"id":5}'], ids=lambda body: repr(body[:8])
)
async def test_what_is_no_callback_is_malformed(
    serve: Serve, http: aiohttp.ClientSession, body: bytes
) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        assert await post(http, url, body) == 400
        assert await post(http, url) == 200
    assert receiver.queue.qsize() == 1


async def test_a_full_queue_is_reported_and_accepts_again_later(
    serve: Serve, http: aiohttp.ClientSession
) -> None:
    receiver = CallbackReceiver(queue=asyncio.Queue(2))
    async with serve(receiver) as url:
        assert [await post(http, url) for _ in range(4)] == [200, 200, 503, 503]
        await anext(receiver)
        assert await post(http, url) == 200
    assert receiver.answers == {200: 3, 503: 2}


async def test_too_large_by_its_length_is_not_read(serve: Serve) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        # No byte of the body was sent.
        async with raw(url, f"Content-Length: {MAX_BODY + 1}") as (reader, _):
            assert await status_of(reader) == 413
    assert receiver.answers == {413: 1}


@everywhere
async def test_too_large_in_chunks_is_not_read_to_the_end(serve: Serve) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        async with raw(url, "Transfer-Encoding: chunked") as (reader, writer):
            # The body never ends; the response comes nevertheless.
            for _ in range(MAX_BODY // 0x10000 + 1):
                writer.write(chunk)
                await writer.drain()
            assert await status_of(reader) == 413
    assert receiver.answers == {413: 1}


async def test_chunks_make_a_body(serve: Serve) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"
        async with raw(url, "Transfer-Encoding: chunked", chunks) as (reader, _):
            assert await status_of(reader) == 200
    assert await anext(receiver) == Callback(message_id=ID, state=2)


async def test_a_slow_body_is_given_up(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver(timeout=0.05)
    async with serve(receiver) as url:
        async with raw(url, f"Content-Length: {len(BODY)}", BODY[:5]) as (reader, _):
            assert await status_of(reader) == 408
        assert await post(http, url) == 200
    assert receiver.answers == {408: 1, 200: 1}


async def test_a_sender_that_disconnects_is_no_error(
    serve: Serve, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = CallbackReceiver()
    async with serve(receiver) as url:
        async with raw(url, f"Content-Length: {len(BODY)}", BODY[:5]):
            pass
        await until(lambda: receiver.answers)
        assert await post(http, url) == 200
    assert receiver.answers == {499: 1, 200: 1}
    assert [one.message for one in caplog.records if one.levelname in {"ERROR", "CRITICAL"}] == []


async def test_broken_chunks_are_no_error(
    serve: Serve, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = CallbackReceiver(timeout=0.1)
    async with serve(receiver) as url:
        async with raw(url, "Transfer-Encoding: chunked", b"5\r\n{") as (_, writer):
            await asyncio.sleep(0.01)
            writer.write(b"    zz\r\n")
            # aiohttp does not always report it: then the timeout applies.
            await until(lambda: receiver.answers)
        assert await post(http, url) == 200
    assert receiver.answers.keys() <= {200, 400, 408, 499}
    assert receiver.queue.qsize() == 1
    assert not [one for one in caplog.records if "Traceback" in one.message or one.exc_info]


async def test_a_packed_body_is_counted_unpacked(http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver()
    async with under_aiohttp(receiver) as url:
        assert await post(http, url, gzip.compress(BODY), content_encoding="gzip") == 200
        bomb = gzip.compress(b" " * 50 * MAX_BODY)
        assert await post(http, url, bomb, content_encoding="gzip") == 413
        async with raw(url, "Content-Encoding: gzip\r\nContent-Length: 5", b"plain") as (reader, _):
            assert await status_of(reader) == 400
    async with as_plain_asgi(receiver) as url:
        # ASGI servers do not decompress bodies.
        assert await post(http, url, gzip.compress(BODY), content_encoding="gzip") == 400
    assert receiver.queue.qsize() == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("signed", [False, True], ids=["not-signed", "signed"])
async def test_the_rest_of_a_packed_body_is_not_unpacked(encoding: str, signed: bool) -> None:
    receiver = CallbackReceiver(signer=SIGNER)
    packed = gzip.compress(b" " * 50 * MAX_BODY)
    if encoding == "deflate":
        packed = zlib.compress(b" " * 50 * MAX_BODY)
    # The server would wait an hour for the rest of a body that is refused, and unpack it.
    async with under_aiohttp(receiver, lingering_time=3600) as url:
        head = f"Content-Encoding: {encoding}\r\nContent-Length: {2 * len(packed)}"
        address = SIGNER.url(url) if signed else url
        async with raw(address, head, packed) as (reader, _):
            assert await status_of(reader) == (413 if signed else 404)
            with suppress(ConnectionResetError):
                assert b"Connection: close" in await reader.read()
    assert receiver.queue.empty()


async def test_the_connection_stays_after_a_packed_callback(http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver()
    async with under_aiohttp(receiver, lingering_time=3600) as url:
        for _ in range(3):
            packed = gzip.compress(BODY)
            async with http.post(url, data=packed, headers={"Content-Encoding": "gzip"}) as done:
                assert done.status == 200
                assert "Connection" not in done.headers
    assert receiver.answers == {200: 3}


async def test_many_at_once(serve: Serve, http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver(size=60)
    async with serve(receiver) as url:
        statuses = await asyncio.gather(*(post(http, url) for _ in range(80)))
    assert (statuses.count(200), statuses.count(503)) == (60, 20)


# The signed path


async def test_a_proxy_that_cuts_the_path_must_be_known(http: aiohttp.ClientSession) -> None:
    fastapi = pytest.importorskip("fastapi")
    receiver = CallbackReceiver(signer=SIGNER)
    signed = SIGNER.url("https://example.com/app/hooks/", reference="a").partition("?")[2]
    behind = fastapi.FastAPI()
    behind.mount("/hooks", CallbackApp(receiver))
    async with under_uvicorn(behind, "/hooks/", root_path="/app") as url:
        assert await post(http, f"{url}?{signed}") == 200
    async with under_uvicorn(CallbackApp(receiver), "/hooks/", root_path="/app") as url:
        assert await post(http, f"{url}?{signed}") == 200
    async with under_uvicorn(CallbackApp(receiver), "/hooks/") as url:
        assert await post(http, f"{url}?{signed}") == 404


@pytest.mark.parametrize(
    "places",
    [
        {"path": "/app/hooks/"},
        {"path": "/app/hooks/", "root_path": "/app"},
        {"path": "/hooks/", "root_path": "/app"},
        # A mount appends its path to `root_path`.
        {"path": "/hooks/", "root_path": "/app/hooks", "app_root_path": "/app"},
        {"path": "/app/hooks/", "root_path": "/app/hooks", "app_root_path": "/app"},
        {"path": "/app/hooks/", "root_path": "/app/hooks", "app_root_path": ""},
    ],
)
async def test_the_path_is_found_in_any_framework(places: dict[str, str]) -> None:
    receiver = CallbackReceiver(signer=SIGNER)
    signed = SIGNER.url("https://example.com/app/hooks/").partition("?")[2]
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY}

    scope = {"type": "http", "method": "POST", "headers": [], "query_string": signed.encode()}
    await CallbackApp(receiver)(scope | places, receive, send)
    assert sent[0]["status"] == 200


@pytest.mark.parametrize("path", ["/a%20b", "/%C3%A8", "/a%2Fb", "/100%25"])
async def test_a_path_with_escapes(http: aiohttp.ClientSession, path: str) -> None:
    receiver = CallbackReceiver(signer=SIGNER)
    signed = SIGNER.url(f"https://example.com{path}")
    target = signed.removeprefix("https://example.com")
    async with under_uvicorn(CallbackApp(receiver), "") as url:
        async with raw(url + target, f"Content-Length: {len(BODY)}", BODY) as (reader, _):
            assert await status_of(reader) == 200


# The receiver alone


async def test_other_protocols_are_turned_away() -> None:
    app = CallbackApp(CallbackReceiver())
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    async def receive() -> Any:
        raise AssertionError

    await app({"type": "websocket"}, receive, send)
    assert sent == [{"type": "websocket.close"}]
    with pytest.raises(RuntimeError, match="lifespan"):
        await app({"type": "lifespan"}, receive, send)


def test_a_receivers_settings_are_checked() -> None:
    with pytest.raises(ValueError, match="bounded"):
        CallbackReceiver(queue=asyncio.Queue())
    with pytest.raises(ValueError, match="size"):
        CallbackReceiver(size=0)
    with pytest.raises(ValueError, match="timeout"):
        CallbackReceiver(timeout=0)
    with pytest.raises(TypeError, match="signer"):
        CallbackReceiver(signer="secret")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="field"):
        CallbackReceiver(field=b"f")  # type: ignore[arg-type]
    assert repr(CallbackReceiver()) == "CallbackReceiver(0 waiting, answers={})"


@pytest.mark.skipif(not hasattr(asyncio, "QueueShutDown"), reason="since Python 3.13")
async def test_a_queue_that_is_shut_down_ends_it(http: aiohttp.ClientSession) -> None:
    receiver = CallbackReceiver()
    async with under_aiohttp(receiver) as url:
        assert await post(http, url) == 200
        receiver.queue.shutdown()  # type: ignore[attr-defined]
        assert await post(http, url) == 503
    assert [callback.message_id async for callback in receiver] == [ID]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
async def test_a_function_is_called_before_the_answer(
    serve: Serve, http: aiohttp.ClientSession, is_async: bool
) -> None:
    stored: list[str | None] = []

    def store(callback: Callback) -> None:
        stored.append(callback.reference)

    async def store_later(callback: Callback) -> None:
        await asyncio.sleep(0.01)
        store(callback)

    receiver = CallbackReceiver(signer=SIGNER, handle=store_later if is_async else store)
    async with serve(receiver) as url:
        assert await post(http, SIGNER.url(url, reference="order-1")) == 200
        assert stored == ["order-1"]
        assert await post(http, url) == 404
        assert await post(http, SIGNER.url(url), b"no callback") == 400
    assert stored == ["order-1"]
    assert receiver.queue.empty()


async def test_when_the_function_raises_the_gateway_may_try_again(
    serve: Serve, http: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    stored: list[Callback] = []

    def store(callback: Callback) -> None:
        stored.append(callback)
        if len(stored) == 1:
            raise OSError("the database is gone")

    receiver = CallbackReceiver(signer=SIGNER, handle=store)
    async with serve(receiver) as url:
        address = SIGNER.url(url)
        assert await post(http, address) == 500
        assert await post(http, address) == 200
    assert receiver.answers == {500: 1, 200: 1}
    assert "the database is gone" in caplog.text


def test_a_function_or_a_queue() -> None:
    queue: asyncio.Queue[Callback] = asyncio.Queue(1)
    with pytest.raises(ValueError, match="either queue or handle"):
        CallbackReceiver(queue=queue, handle=print)
    with pytest.raises(TypeError, match="handle"):
        CallbackReceiver(handle="print")  # type: ignore[arg-type]
