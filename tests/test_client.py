"""The client: every setting has an effect, and opening and closing work in every order."""

from __future__ import annotations

import asyncio
import gc
import platform
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import anyio
import pytest

from gateway_sms_async import (
    AuthenticationError,
    BulkSendError,
    GatewayClient,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    NotFoundError,
    Receipt,
    RetryPolicy,
    ServerError,
    TokenSource,
    __version__,
)
from gateway_sms_async.testing import Fault, Simulator

A, B = "+39-3401234567", "+44-7911123456"
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
ONCE = RetryPolicy(max_attempts=1)
TOKEN = "canary-token"
PRODUCTION = "https://ws.messaggisms.com"
SANDBOX = "https://test.ws.messaggisms.com"
UNHEARD_OF = "0123456789abcdef01234567"


def made(simulator: Simulator, **options: Any) -> GatewayClient:
    options = {"rate": None, "timeout": 5, "retry": QUICK, "base_url": simulator.url} | options
    token = options.pop("token", simulator.token)
    return GatewayClient(token, **options)


def adds_up(receipt: Receipt) -> bool:
    return receipt.total == (
        receipt.accepted
        + len(receipt.invalid)
        + receipt.duplicates
        + receipt.excluded
        + len(receipt.doubled)
        + len(receipt.unknown)
        + len(receipt.unsent)
    )


def numbers(count: int) -> list[str]:
    return [f"+39-340{i:07}" for i in range(count)]


async def eventually(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL", "HTTP_PROXY", "http_proxy", "NETRC"):
        monkeypatch.delenv(name, raising=False)


# Without an event loop: plain functions, so that none runs


def test_nothing_is_created_before_a_loop_runs() -> None:
    calls: list[str] = []

    def factory() -> aiohttp.BaseConnector:
        calls.append("made")
        return aiohttp.TCPConnector()

    client = GatewayClient(TOKEN, connector=factory, rate=5, proxy="http://127.0.0.1:1")
    view = client.with_options(timeout=1)
    assert client.credit is None
    assert client.base_url == view.base_url == PRODUCTION
    assert not calls
    for unopened in (client, view):
        with pytest.raises(RuntimeError, match="not open"):
            _ = unopened.messages
        with pytest.raises(RuntimeError, match="not open"):
            unopened.transaction(sender="ACME", body="Ciao")
    del client, view, unopened
    gc.collect()  # nothing is left open


async def test_a_client_made_outside_works_inside_a_loop(simulator: Simulator) -> None:
    client = await asyncio.to_thread(made, simulator)
    async with client:
        assert await client.messages.list() == []


def test_a_client_serves_one_loop_and_says_so() -> None:
    client: GatewayClient | None = None

    async def first() -> None:
        nonlocal client
        async with Simulator() as simulator:
            client = await made(simulator).open()
            await client.messages.list()

    async def second() -> None:
        assert client is not None
        with pytest.raises(RuntimeError, match="event loop"):
            await client.messages.list()
        await client.aclose()

    asyncio.run(first())
    asyncio.run(second())


@pytest.mark.parametrize("token", [None, ""])
def test_a_missing_token_is_reported_at_construction(
    token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="token" if token == "" else "OPENAPI_TOKEN"):
        GatewayClient(token)
    monkeypatch.setenv("OPENAPI_TOKEN", "")
    with pytest.raises(ValueError, match="OPENAPI_TOKEN"):
        GatewayClient()


BAD_TOKENS = [
    "canary\n",
    "canary\r\nX-Evil: 1",
    "canary token",
    " canary",
    "canary ",
    "\tcanary",
    "canary\0",
    "canaryé",
    "canary\u2028",
    "canary\ud800",
    "canary\x7f",
    "   ",
    b"canary",
    5,
    ["canary"],
]


@pytest.mark.parametrize("token", BAD_TOKENS, ids=ascii)
def test_a_token_that_cannot_be_one_is_refused_without_being_shown(token: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="token") as caught:
        GatewayClient(token)
    assert "canary" not in repr(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("token", ["can\nary", "can ary", "canaryé"], ids=ascii)
def test_a_bad_token_in_the_environment_is_refused_without_being_shown(
    token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAPI_TOKEN", token)
    with pytest.raises(ValueError, match="token") as caught:
        GatewayClient()
    assert token not in repr(caught.value)
    assert "canary" not in repr(caught.value)


async def test_the_token_comes_from_the_environment(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAPI_TOKEN", simulator.token)
    async with made(simulator, token=None) as client:
        await client.messages.list()
        # The variable is read at construction, not for each request.
        monkeypatch.setenv("OPENAPI_TOKEN", "another")
        await client.messages.list()
    monkeypatch.setenv("OPENAPI_TOKEN", "wrong")
    async with made(simulator) as client:  # an explicit token takes precedence
        await client.messages.list()
    async with made(simulator, token=None) as client:
        with pytest.raises(AuthenticationError):
            await client.messages.list()


# The base URL


def test_the_address_by_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert GatewayClient(TOKEN).base_url == PRODUCTION
    assert GatewayClient(TOKEN, sandbox=True).base_url == SANDBOX
    monkeypatch.setenv("GATEWAY_SMS_BASE_URL", "https://env.example")
    assert GatewayClient(TOKEN).base_url == "https://env.example"
    assert GatewayClient(TOKEN, sandbox=True).base_url == SANDBOX
    assert GatewayClient(TOKEN, base_url="https://own.example").base_url == "https://own.example"
    assert GatewayClient(TOKEN, sandbox=False, base_url=None).base_url == "https://env.example"
    monkeypatch.setenv("GATEWAY_SMS_BASE_URL", "http://env.example")
    with pytest.raises(ValueError, match="https"):
        GatewayClient(TOKEN)
    monkeypatch.setenv("GATEWAY_SMS_BASE_URL", "")
    assert GatewayClient(TOKEN).base_url == PRODUCTION
    with pytest.raises(ValueError, match="not both"):
        GatewayClient(TOKEN, sandbox=True, base_url=SANDBOX)


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        ("https://gw.example", "https://gw.example"),
        ("https://gw.example/", "https://gw.example"),
        ("https://gw.example:8443/v1/", "https://gw.example:8443/v1"),
        ("https://127.0.0.1", "https://127.0.0.1"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("HTTPS://gw.example", "https://gw.example"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.8.9.10", "http://127.8.9.10"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_addresses_that_are_taken(url: str, base_url: str) -> None:
    assert GatewayClient(TOKEN, base_url=url).base_url == base_url


@pytest.mark.parametrize(
    "url",
    [
        "http://ws.messaggisms.com",
        "http://gw.example",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://evil.example/127.0.0.1",
        "http://evil.example#localhost",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://[::]",
        "http://[2001:db8::1]",
        "http://2130706433",
        "HTTP://gw.example",
        "http://localhost@evil.example",
        "https://user@gw.example",
        "https://user:canary@gw.example",
        "https://:canary@gw.example",
        "https://@gw.example",
        "http://user:canary@127.0.0.1",
        "https://gw.example?x=1",
        "https://gw.example/#x",
        "https://gw.example/a b",
        "https://gw.example\r\nX: 1",
        "\thttps://gw.example",
        "https://gw.example\\@evil.example",
        "https://",
        "https:///messages",
        "https:gw.example",
        "https://[::1",
        "https://gw.example:port",
        "https://gw.example:99999",
        "//gw.example",
        "gw.example",
        "ftp://gw.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "",
    ],
)
def test_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each has its own words
        GatewayClient(TOKEN, base_url=url)
    assert "canary" not in repr(caught.value)
    assert len(str(caught.value)) < 200


async def test_a_path_in_the_address_is_kept(simulator: Simulator) -> None:
    async with made(simulator, base_url=simulator.url + "/v1/") as client:
        assert client.base_url == simulator.url + "/v1"
        # This is no empty account.
        with pytest.raises(NotFoundError):
            await client.with_options(retry=ONCE).messages.list()
    assert simulator.requests[-1].path == "/v1/messages/"


# Every argument has an effect


async def test_rate_spaces_the_requests(simulator: Simulator) -> None:
    async with made(simulator, rate=50) as client:
        await asyncio.gather(*(client.messages.list() for _ in range(6)))
    times = sorted(one.at for one in simulator.requests)
    assert times[-1] - times[0] >= 5 / 50 * 0.9


async def test_rate_none_is_no_limit(simulator: Simulator) -> None:
    async with made(simulator) as client:
        started = time.monotonic()
        await asyncio.gather(*(client.messages.list() for _ in range(50)))
        assert time.monotonic() - started < 2


async def test_burst_lets_some_follow_each_other(simulator: Simulator) -> None:
    async with made(simulator, rate=2, burst=5) as client:
        await asyncio.gather(*(client.messages.list() for _ in range(6)))
    times = sorted(one.at for one in simulator.requests)
    assert times[4] - times[0] < 0.45
    assert times[5] - times[0] >= 0.45


async def test_concurrency_bounds_what_is_under_way(simulator: Simulator) -> None:
    simulator.latency = 0.02
    async with made(simulator, concurrency=2) as client:
        started = time.monotonic()
        await asyncio.gather(*(client.messages.list() for _ in range(8)))
        assert time.monotonic() - started >= 4 * 0.02 * 0.9
    assert simulator.connections == 2


async def test_timeout_bounds_one_attempt(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), on="list", times=None)
    async with made(simulator, timeout=0.05, retry=ONCE) as client:
        started = time.monotonic()
        with pytest.raises(GatewayTimeoutError, match=r"0\.05 s"):
            await client.messages.list()
        assert 0.04 < time.monotonic() - started < 1
    assert len(simulator.requests) == 1


async def test_retry_says_how_often(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(503), on="list", times=None)
    for attempts in (1, 3):
        simulator.requests.clear()
        policy = RetryPolicy(max_attempts=attempts, base_delay=0.001)
        async with made(simulator, retry=policy) as client:
            with pytest.raises(ServerError):
                await client.messages.list()
        assert len(simulator.requests) == attempts


async def test_retry_says_how_long(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(503), on="list", times=None)
    policy = RetryPolicy(max_attempts=10**6, base_delay=0.01, max_delay=0.02, max_elapsed=0.1)
    async with made(simulator, retry=policy) as client:
        started = time.monotonic()
        # The time may run out between two attempts or during the last one.
        with pytest.raises((ServerError, GatewayTimeoutError)):
            await client.messages.list()
        assert time.monotonic() - started < 1
    assert 2 < len(simulator.requests) < 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"retry": 3},
        {"timeout": "5"},
        {"rate": "3"},
        {"rate": True},
        {"proxy": 3},
        {"connector": 3},
    ],
    ids=str,
)
def test_a_setting_of_the_wrong_type_is_refused_at_construction(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        GatewayClient("token", **wrong)


async def test_stop_is_an_event(simulator: Simulator) -> None:
    async with made(simulator) as client:
        with pytest.raises(TypeError, match="stop"):
            await client.send_bulk([], sender="ACME", body="Ciao", stop=True)
        with pytest.raises(TypeError, match="retry"):
            client.with_options(retry=3)


async def test_a_lent_connector_is_used_and_not_closed(simulator: Simulator) -> None:
    lent = aiohttp.TCPConnector(limit=8)
    try:
        for _ in range(2):
            async with made(simulator, connector=lent) as client:
                await client.messages.list()
            assert not lent.closed
        assert simulator.connections == 1
    finally:
        await lent.close()


async def test_the_connector_of_a_factory_is_closed(simulator: Simulator) -> None:
    made_ones: list[aiohttp.TCPConnector] = []

    def factory() -> aiohttp.BaseConnector:
        made_ones.append(aiohttp.TCPConnector(limit=8))
        return made_ones[-1]

    client = made(simulator, connector=factory)
    assert not made_ones
    async with client:
        await client.messages.list()
        assert len(made_ones) == 1
        assert not made_ones[0].closed
    assert made_ones[0].closed


@pytest.mark.parametrize("limits", [{"limit": 7}, {"limit": 100, "limit_per_host": 7}], ids=str)
async def test_a_connector_that_would_queue_is_refused(
    limits: dict[str, int], simulator: Simulator
) -> None:
    lent = aiohttp.TCPConnector(**limits)
    try:
        client = made(simulator, connector=lent, concurrency=8)
        with pytest.raises(ValueError, match=r"limit of 7 .*concurrency=8"):
            await client.open()
        with pytest.raises(RuntimeError, match="not open"):
            _ = client.messages
        await client.aclose()
        assert not lent.closed
        async with made(simulator, connector=lent, concurrency=7) as client:
            await client.messages.list()
    finally:
        await lent.close()


async def test_a_connector_of_a_factory_that_is_refused_is_closed(simulator: Simulator) -> None:
    made_ones: list[aiohttp.TCPConnector] = []

    def factory() -> aiohttp.BaseConnector:
        made_ones.append(aiohttp.TCPConnector(limit=1))
        return made_ones[-1]

    client = made(simulator, connector=factory)
    with pytest.raises(ValueError, match="concurrency"):
        await client.open()
    refused = made_ones[0].closed
    await made_ones[0].close()
    assert refused, "no other code could close it"


async def test_a_connector_without_a_limit_is_fine(simulator: Simulator) -> None:
    async with made(simulator, connector=lambda: aiohttp.TCPConnector(limit=0)) as client:
        await client.messages.list()


class Proxy:
    """Records what it is asked for, and responds itself."""

    def __init__(self) -> None:
        self.heads: list[list[bytes]] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = []
        while (line := await reader.readline()) not in {b"\r\n", b""}:
            head.append(line)
        self.heads.append(head)
        body = b'{"data":[],"success":true}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        writer.write(body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def proxying() -> AsyncIterator[Proxy]:
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await asyncio.sleep(0)


async def test_requests_go_through_the_proxy() -> None:
    async with proxying() as proxy:
        with_password = proxy.url.replace("//", "//user:canary@")
        for address in (proxy.url, with_password):
            async with GatewayClient(
                TOKEN, base_url="http://127.0.0.1:9", proxy=address, rate=None, retry=ONCE
            ) as client:
                assert await client.messages.list() == []
                assert "canary" not in repr(client)
    assert [head[0] for head in proxy.heads] == [
        b"GET http://127.0.0.1:9/messages/ HTTP/1.1\r\n"
    ] * 2
    assert any(line.lower().startswith(b"proxy-authorization: basic") for line in proxy.heads[1])


async def test_no_proxy_is_taken_from_the_environment(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with proxying() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        async with made(simulator) as client:
            await client.messages.list()
    assert not proxy.heads


async def test_a_proxy_that_is_not_there_is_a_connection_error_without_its_password() -> None:
    async with GatewayClient(
        TOKEN,
        base_url="https://127.0.0.1:9",
        proxy="http://user:canary@127.0.0.1:9",
        rate=None,
        retry=ONCE,
    ) as client:
        with pytest.raises(GatewayConnectionError) as caught:
            await client.messages.list()
    assert "canary" not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize(
    "proxy", ["canary", "127.0.0.1:9", "socks5://canary:canary@127.0.0.1:9", "", "http://"]
)
async def test_a_wrong_proxy_is_reported_by_name(proxy: str) -> None:
    with pytest.raises((ValueError, GatewayError)) as caught:
        async with GatewayClient(
            TOKEN, base_url="https://127.0.0.1:9", proxy=proxy, rate=None, retry=ONCE
        ) as client:
            await client.messages.list()
    assert "proxy" in str(caught.value)
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        ({"rate": 0}, ValueError),
        ({"rate": -1}, ValueError),
        ({"rate": float("nan")}, ValueError),
        ({"rate": float("inf")}, ValueError),
        ({"rate": "10"}, TypeError),
        ({"burst": 0}, ValueError),
        ({"burst": 1.5}, TypeError),
        ({"burst": True}, TypeError),
        ({"concurrency": 0}, ValueError),
        ({"concurrency": -1}, ValueError),
        ({"concurrency": 2.0}, TypeError),
        ({"concurrency": None}, TypeError),
        ({"timeout": 0}, ValueError),
        ({"timeout": -1}, ValueError),
        ({"timeout": float("nan")}, ValueError),
        ({"timeout": float("inf")}, ValueError),
        ({"timeout": None}, TypeError),
        ({"timeout": "5"}, TypeError),
    ],
    ids=str,
)
def test_settings_out_of_range_are_reported_at_construction(
    bad: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        GatewayClient(TOKEN, **bad)
    if "timeout" in bad and bad["timeout"] is not None:
        with pytest.raises(kind):
            GatewayClient(TOKEN).with_options(**bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_attempts": 0},
        {"base_delay": 0},
        {"max_delay": -1},
        {"max_elapsed": float("inf")},
        {"max_elapsed": float("nan")},
    ],
    ids=str,
)
def test_a_policy_out_of_range_is_reported(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        RetryPolicy(**bad)


# Opening and closing


async def test_use_before_opening_is_reported(simulator: Simulator) -> None:
    client = made(simulator)
    with pytest.raises(RuntimeError, match="not open: `async with` it"):
        _ = client.messages
    with pytest.raises(RuntimeError, match="not open"):
        await client.send_bulk([A], sender="ACME", body="Ciao")
    with pytest.raises(RuntimeError, match="not open"):
        client.transaction(sender="ACME", body="Ciao")
    assert not simulator.requests


async def test_use_after_closing_is_reported(simulator: Simulator) -> None:
    async with made(simulator) as client:
        messages = client.messages
        transaction = client.transaction(sender="ACME", body="Ciao")
        view = client.with_options(timeout=1)
        view_messages = view.messages
    for held in (messages, view_messages):
        with pytest.raises(RuntimeError, match="closed"):
            await held.list()
        with pytest.raises(RuntimeError, match="closed"):
            await held.send(sender="ACME", body="Ciao", recipients=A)
    for closed in (client, view):
        with pytest.raises(RuntimeError, match="closed; make a new one"):
            _ = closed.messages
        with pytest.raises(RuntimeError, match="closed"):
            await closed.open()
        with pytest.raises(RuntimeError, match="closed"):
            await closed.send_bulk([A], sender="ACME", body="Ciao")
    with pytest.raises((RuntimeError, BulkSendError)):
        async with transaction:
            await transaction.add([A, B])
    assert not simulator.requests


async def test_closing_may_be_repeated_and_comes_in_any_order(simulator: Simulator) -> None:
    client = made(simulator)
    assert await client.open() is client
    assert await client.open() is client
    await client.messages.list()
    await client.aclose()
    await client.aclose()
    await asyncio.gather(client.aclose(), client.aclose())
    never_opened = made(simulator)
    await never_opened.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await never_opened.open()
    async with made(simulator) as nested:
        async with nested:
            await nested.messages.list()
        with pytest.raises(RuntimeError, match="closed"):
            _ = nested.messages


async def test_closing_leaves_no_task_and_no_connection(simulator: Simulator) -> None:
    before = asyncio.all_tasks()
    async with made(simulator) as client:
        await asyncio.gather(*(client.messages.list() for _ in range(8)))
        async with client.transaction(sender="ACME", body="Ciao") as transaction:
            await transaction.add(A)
    await eventually(lambda: not simulator._listener.transports)
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_an_error_in_the_block_passes_unchanged(simulator: Simulator) -> None:
    error = LookupError("mine")
    with pytest.raises(LookupError) as caught:
        async with made(simulator) as client:
            raise error
    assert caught.value is error
    with pytest.raises(RuntimeError, match="closed"):
        _ = client.messages


async def test_closing_in_a_cancelled_anyio_scope_works(simulator: Simulator) -> None:
    before = asyncio.all_tasks()
    with anyio.CancelScope() as scope:
        async with made(simulator) as client:
            await client.messages.list()
            scope.cancel()
            await anyio.sleep(1)
    assert scope.cancelled_caught
    with pytest.raises(RuntimeError, match="closed"):
        _ = client.messages
    await eventually(lambda: not simulator._listener.transports)
    await eventually(lambda: asyncio.all_tasks() <= before)


async def test_cancelling_a_call_leaves_the_client_usable(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), on="list", times=8)
    async with made(simulator, concurrency=8) as client:
        calls = [asyncio.create_task(client.messages.list()) for _ in range(8)]
        await eventually(lambda: len(simulator.requests) == 8)
        for call in calls:
            call.cancel()
        assert all(
            isinstance(one, asyncio.CancelledError)
            for one in await asyncio.gather(*calls, return_exceptions=True)
        )
        await asyncio.gather(*(client.messages.list() for _ in range(16)))


async def test_closing_ends_calls_under_way_with_an_error_of_words(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), on="list", times=None)
    client = await made(simulator, rate=20).open()
    calls = [asyncio.create_task(client.messages.list()) for _ in range(4)]
    await eventually(lambda: simulator.requests)
    await client.aclose()
    async with asyncio.timeout(5):
        errors = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, GatewayError | RuntimeError) for one in errors), errors
    assert all("Session is closed" not in str(one) for one in errors), errors


async def test_closing_ends_a_running_campaign_with_a_receipt_that_adds_up(
    simulator: Simulator,
) -> None:
    simulator.latency = 0.01
    client = await made(simulator, concurrency=4).open()

    async def endless() -> AsyncIterator[str]:
        for number in numbers(100_000):
            yield number
            await asyncio.sleep(0)

    campaign = asyncio.create_task(
        client.send_bulk(
            endless(), sender="ACME", body="Ciao", batch_size=10, recipients_per_message=50
        )
    )
    await eventually(lambda: len(simulator.ledger) >= 100)
    started = time.monotonic()
    await client.aclose()
    assert time.monotonic() - started < 5
    with pytest.raises(BulkSendError, match="closed") as caught:
        await campaign
    receipt = caught.value.receipt
    assert caught.value.reason == "the client was closed"
    assert adds_up(receipt)
    assert receipt.complete is False
    assert receipt.accepted >= 100
    assert receipt.total < 100_000
    # Every recipient that is not named otherwise was texted once.
    assert not receipt.unknown
    assert receipt.accepted == len(simulator.ledger) == simulator.ledger.total()
    assert not set(receipt.unsent) & set(simulator.ledger)


async def test_leaving_the_block_while_a_campaign_hangs_does_not_hang(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_sms_async._core.GRACE_PERIOD", 0.1)
    monkeypatch.setattr("gateway_sms_async._cancellation.GRACE_PERIOD", 0.1)
    simulator.faults.add(Fault.hang(), on="open", times=None)
    before = asyncio.all_tasks()
    async with made(simulator) as client:
        campaign = asyncio.create_task(
            client.send_bulk(numbers(30), sender="ACME", body="Ciao", batch_size=10)
        )
        await eventually(lambda: simulator.requests)
    async with asyncio.timeout(5):
        with pytest.raises((BulkSendError, RuntimeError)) as caught:
            await campaign
    assert isinstance(caught.value, BulkSendError)
    assert adds_up(caught.value.receipt)
    assert not simulator.ledger
    await eventually(lambda: asyncio.all_tasks() <= before)


# Views


async def test_a_view_shares_connections_and_credit_but_not_patience(
    simulator: Simulator,
) -> None:
    client = made(simulator, concurrency=1)
    view = client.with_options(timeout=0.05, retry=ONCE)
    async with client:
        await view.messages.list()
        await client.messages.send(sender="ACME", body="Ciao", recipients=A)
        await view.messages.list()
        assert simulator.connections == 1
        assert view.credit == client.credit == Decimal("999999.97")
        simulator.faults.add(Fault.hang(), on="get", times=1)
        with pytest.raises(GatewayTimeoutError, match=r"0\.05 s"):
            await view.messages.get(UNHEARD_OF)
        simulator.faults.add(Fault.status(503), on="list", times=2)
        simulator.requests.clear()
        with pytest.raises(ServerError):
            await view.messages.list()
        assert len(simulator.requests) == 1
        assert len(await client.messages.list()) == 1  # the client has its own retries
        assert view.base_url == client.base_url
        assert repr(view) == repr(client)
        again = view.with_options(timeout=5)
        simulator.faults.add(Fault.status(503), on="list", times=1)
        with pytest.raises(ServerError):
            await again.messages.list()  # an option that is not given is that of the view


async def test_a_view_shares_the_rate(simulator: Simulator) -> None:
    async with made(simulator, rate=50) as client:
        view = client.with_options(timeout=1)
        await asyncio.gather(*(one.messages.list() for one in (client, view) * 3))
    times = sorted(one.at for one in simulator.requests)
    assert times[-1] - times[0] >= 5 / 50 * 0.9


async def test_closing_a_view_closes_its_client(simulator: Simulator) -> None:
    client = await made(simulator).open()
    await client.with_options(timeout=1).aclose()
    with pytest.raises(RuntimeError, match="closed"):
        _ = client.messages


# Credit


async def test_credit_is_what_the_newest_answer_named(simulator: Simulator) -> None:
    async with made(simulator) as client:
        assert client.credit is None
        await client.messages.list()
        assert client.credit is None  # the response to a refusal names none
        message = await client.messages.send(
            sender="ACME", body="Ciao", recipients=A, transaction=True
        )
        assert client.credit == Decimal(1_000_000)
        assert isinstance(client.credit, Decimal)
        await client.messages.update(message.id, transaction=False)
        assert str(client.credit) == "999999.97"
        await client.messages.recipients(message.id)  # a number there, a string elsewhere
        assert client.credit == Decimal("999999.97")


async def test_credit_stays_when_an_answer_names_none(simulator: Simulator) -> None:
    async with made(simulator) as client:
        message = await client.messages.send(
            sender="ACME", body="Ciao", recipients=A, transaction=True
        )
        await client.messages.delete(message.id)  # documented without credit
        assert client.credit == Decimal(1_000_000)


async def test_credit_can_be_read_after_closing(simulator: Simulator) -> None:
    async with made(simulator) as client:
        await client.messages.send(sender="ACME", body="Ciao", recipients=A)
    assert client.credit == Decimal("999999.97")


# Tokens


def test_repr_shows_no_token() -> None:
    source = Rotating("canary-1", "canary-2")
    for token in (TOKEN, source):
        for client in (GatewayClient(token), GatewayClient(token).with_options(timeout=1)):
            assert "canary" not in repr(client) + str(client) + f"{client!r:>50}"
    assert repr(GatewayClient(TOKEN)) == f"GatewayClient(base_url={PRODUCTION!r})"


class Rotating:
    """A source whose token expires, and is replaced on `renew`."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.asked = 0
        self.renewed: list[str] = []

    async def token(self) -> str:
        self.asked += 1
        return self.tokens[0]

    async def renew(self, rejected: str) -> str:
        self.renewed.append(rejected)
        await asyncio.sleep(0.01)
        if len(self.tokens) > 1:
            self.tokens.pop(0)
        return self.tokens[0]


class Forgetful(Rotating):
    """Keeps returning the old token from `token()`."""

    async def renew(self, rejected: str) -> str:
        self.renewed.append(rejected)
        return self.tokens[1]


@pytest.mark.parametrize("kind", [Rotating, Forgetful])
async def test_a_token_is_renewed_once_for_many_tasks(
    kind: type[Rotating], simulator: Simulator
) -> None:
    simulator.tokens = {"new"}
    source = kind("old", "new")
    assert isinstance(source, TokenSource)
    async with made(simulator, token=source, concurrency=20) as client:
        assert source.asked == 0
        answers = await asyncio.gather(*(client.messages.list() for _ in range(20)))
        assert answers == [[]] * 20
        assert source.renewed == ["old"]
        await asyncio.gather(*(client.messages.list() for _ in range(20)))
        assert source.renewed == ["old"]
    refused = [one for one in simulator.requests if one.status == 401]
    assert 1 <= len(refused) <= 20
    assert len(simulator.requests) == len(refused) + 40


async def test_a_post_is_made_again_after_its_token_was_renewed(simulator: Simulator) -> None:
    simulator.tokens = {"new"}
    async with made(simulator, token=Rotating("old", "new")) as client:
        await client.messages.send(sender="ACME", body="Ciao", recipients=A)
    assert simulator.ledger == {A: 1}
    assert [one.status for one in simulator.requests] == [401, 201]


async def test_a_token_that_stays_refused_is_an_authentication_error(
    simulator: Simulator,
) -> None:
    source = Rotating("old-canary", "new-canary")
    async with made(simulator, token=source) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.messages.list()
    assert caught.value.status == 401
    assert "canary" not in str(caught.value)
    assert len(simulator.requests) == 2
    assert source.renewed == ["old-canary"]


async def test_a_fixed_token_that_is_refused_is_not_tried_again(simulator: Simulator) -> None:
    async with made(simulator, token="wrong-canary") as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.messages.list()
    assert "canary" not in str(caught.value)
    assert len(simulator.requests) == 1


async def test_a_token_that_dies_again_is_renewed_again(simulator: Simulator) -> None:
    source = Rotating("one", "two", "three")
    async with made(simulator, token=source) as client:
        for token in ("one", "two", "three"):
            simulator.tokens = {token}
            await client.messages.list()
    assert source.renewed == ["one", "two"]


@pytest.mark.parametrize("bad", ["canary\r\nX: 1", "", "can ary", None, b"canary"], ids=ascii)
async def test_a_source_that_returns_no_token_is_reported_without_showing_it(
    bad: Any, simulator: Simulator
) -> None:
    async with made(simulator, token=Rotating(bad)) as client:
        with pytest.raises((ValueError, TypeError), match="token") as caught:
            await client.messages.list()
        assert "canary" not in repr(caught.value)
    simulator.tokens = {"nothing"}
    async with made(simulator, token=Rotating("good", bad)) as client:
        with pytest.raises((ValueError, TypeError), match="token") as caught:
            await client.messages.list()
        assert "canary" not in repr(caught.value)


async def test_a_source_that_fails_passes_its_own_error_and_blocks_no_task(
    simulator: Simulator,
) -> None:
    class Failing(Rotating):
        async def token(self) -> str:
            self.asked += 1
            if self.asked <= 10:
                raise LookupError("no vault today")
            return self.tokens[0]

    async with made(simulator, token=Failing(simulator.token), concurrency=2) as client:
        for _ in range(10):
            with pytest.raises(LookupError, match="no vault"):
                await client.messages.list()
        async with asyncio.timeout(5):
            await asyncio.gather(*(client.messages.list() for _ in range(10)))


async def test_a_source_that_fails_to_renew_blocks_no_task(simulator: Simulator) -> None:
    class Sealed(Rotating):
        async def renew(self, rejected: str) -> str:
            raise LookupError("no vault today")

    simulator.tokens = {"new"}
    source = Sealed("old")
    async with made(simulator, token=source, concurrency=2) as client:
        for _ in range(5):
            with pytest.raises(LookupError):
                await client.messages.list()
        source.tokens = ["new"]
        async with asyncio.timeout(5):
            await client.messages.list()


# One client, many tasks


async def test_one_client_serves_many_tasks(simulator: Simulator) -> None:
    recipients = numbers(60)
    async with made(simulator) as client:
        sent = await asyncio.gather(
            *(
                client.messages.send(sender="ACME", body=f"Ciao {number}", recipients=number)
                for number in recipients
            )
        )
        assert len({message.id for message in sent}) == 60
        seen = await asyncio.gather(*(client.messages.get(message.id) for message in sent))
        assert [message.body for message in seen] == [f"Ciao {number}" for number in recipients]
    assert simulator.ledger == dict.fromkeys(recipients, 1)
    assert simulator.connections <= 8


async def test_requests_identify_the_client_and_nothing_else(simulator: Simulator) -> None:
    async with made(simulator) as client:
        await client.messages.send(sender="ACME", body="Ciao", recipients=A)
        await client.messages.list()
    for request in simulator.requests:
        agent = request.headers["user-agent"]
        python, system = platform.python_version(), platform.system()
        assert agent == f"gateway-sms-async/{__version__} Python/{python} ({system})"
        assert request.headers["accept"] == "application/json"
        assert "cookie" not in request.headers
    assert simulator.requests[0].headers["content-type"] == "application/json"
    assert "content-type" not in simulator.requests[1].headers
