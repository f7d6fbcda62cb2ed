"""A rate in a real server, Redis or PostgreSQL: what happens when it is gone, hangs or cannot write."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest

from gateway_sms_async import GatewayClient, SharedRate, SharedRateError
from gateway_sms_async._rate.store import RateStore
from gateway_sms_async.testing import Simulator

from ..support.servers import RedisServer, Server, started

pytestmark = pytest.mark.anyio

MODULES = {"redis": "redis.asyncio", "postgres": "psycopg"}
NAMES = {"redis": "Redis", "postgres": "PostgreSQL"}


@pytest.fixture(scope="module", params=["redis", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def running(kind: str) -> Iterator[Server]:
    with started(kind) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Iterator[Server]:
    yield running
    running.stop()
    running.start()


@pytest.fixture(scope="module")
def databases() -> Iterator[Server]:
    with started("postgres") as server:
        yield server


@pytest.fixture
async def postgres(databases: Server) -> str:
    """The address of an empty database."""
    name = f"db{uuid4().hex}"
    async with await psycopg.AsyncConnection.connect(databases.url, autocommit=True) as owner:
        await owner.execute(f"CREATE DATABASE {name}".encode())
    return databases.url.replace("/postgres?", f"/{name}?")


@pytest.fixture
async def store(server: Server) -> AsyncIterator[RateStore]:
    opened = rate_at(server).store()
    await opened.open()
    yield opened
    await opened.close()


def rate_at(server: Server) -> SharedRate:
    return SharedRate(server.url, 0.001, burst=3, account=uuid4().hex)


async def test_another_account_does_not_share(server: Server, store: RateStore) -> None:
    for _ in range(3):
        await store.ask()
    other = rate_at(server).store()
    await other.open()
    assert not await other.ask()
    await other.close()


async def test_a_server_that_is_gone_is_an_error_and_comes_back(
    kind: str, server: Server, store: RateStore
) -> None:
    server.stop()
    for _ in range(2):
        with pytest.raises(SharedRateError, match=f"the rate in {NAMES[kind]}"):
            await store.ask()
    server.start()
    assert not await store.ask()


async def test_a_server_that_was_started_again_is_no_error(
    server: Server, store: RateStore
) -> None:
    server.stop()
    server.start()
    assert not await store.ask()


async def test_a_server_that_hangs_is_an_error(server: Server, store: RateStore) -> None:
    server.pause()
    try:
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(SharedRateError, match="the rate in"):
                await store.ask()
        assert time.monotonic() - began < 20
    finally:
        server.go_on()
    while True:
        try:
            assert not await store.ask()
        except SharedRateError:
            continue
        break


async def test_a_question_that_is_cancelled_leaves_the_store_usable(store: RateStore) -> None:
    for delay in (0.0, 0.0001, 0.001):
        asking = asyncio.create_task(store.ask())
        await asyncio.sleep(delay)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert await store.ask() >= 0
    assert await store.ask_realtime("a") == 0


async def test_a_client_whose_server_hangs_ends_its_calls_and_closes(
    server: Server, simulator: Simulator
) -> None:
    rate = SharedRate(server.url, 100, alone=20)
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=rate) as gateway:
        await gateway.messages.list()
        server.pause()
        try:
            await asyncio.gather(*(gateway.messages.list() for _ in range(10)))
            assert gateway.stats.rate == "alone"
        finally:
            server.go_on()
        while gateway.stats.rate != "shared":
            await asyncio.sleep(0.05)
        await gateway.messages.list()


async def test_a_server_that_cannot_be_written_to_is_refused(kind: str, server: Server) -> None:
    if isinstance(server, RedisServer):
        from redis.asyncio import Redis

        redis = Redis.from_url(server.url)
        await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        await redis.aclose()
        url, words = server.url, r"read.only replica"
    else:
        url = f"{server.url}&options=-cdefault_transaction_read_only%3Don"
        words = "read-only transaction"
    store = SharedRate(url, 1).store()
    with pytest.raises(SharedRateError, match=words):
        await store.open()
    await store.close()


async def test_the_table_may_be_made_by_another_role(postgres: str) -> None:
    async with await psycopg.AsyncConnection.connect(postgres, autocommit=True) as owner:
        await owner.execute("CREATE ROLE app LOGIN")
        store = SharedRate(postgres.replace("//postgres@", "//app@"), 1).store()
        with pytest.raises(SharedRateError, match="permission denied for database"):
            await store.open()
        other = SharedRate(postgres, 1, account="other").store()
        await other.open()
        await other.close()
        await owner.execute("GRANT USAGE ON SCHEMA gateway_sms TO app")
        await owner.execute("GRANT SELECT, INSERT, UPDATE ON gateway_sms.rate TO app")
        await store.open()
        assert not await store.ask()
        await owner.execute("DELETE FROM gateway_sms.rate")
        assert not await store.ask(), "its row is made anew"
        await store.close()


async def test_many_may_open_the_store_at_once(postgres: str) -> None:
    stores = [SharedRate(postgres, 0.001, burst=3).store() for _ in range(8)]
    await asyncio.gather(*(one.open() for one in stores))
    waits = await asyncio.gather(*(one.ask() for one in stores))
    assert sum(not wait for wait in waits) == 3
    await asyncio.gather(*(one.close() for one in stores))


@pytest.mark.parametrize(
    "address", ["redis://user:secret@127.0.0.1:1/0", "postgresql://user:secret@127.0.0.1:1/sms"]
)
async def test_no_server_is_an_error_on_entry_without_its_password(
    simulator: Simulator, address: str
) -> None:
    with pytest.raises(SharedRateError, match=r"the rate in (Redis|PostgreSQL)") as caught:
        async with GatewayClient(
            simulator.token, base_url=simulator.url, rate=SharedRate(address, 10)
        ):
            pass
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["redis://user:sec/ret:x@host", "postgresql://user:sec/ret@host:x/sms"]
)
async def test_an_address_that_cannot_be_read_is_not_shown(
    simulator: Simulator, address: str
) -> None:
    with pytest.raises(SharedRateError) as caught:
        async with GatewayClient(
            simulator.token, base_url=simulator.url, rate=SharedRate(address, 10)
        ):
            pass
    assert "sec" not in str(caught.value)
    assert "ret" not in str(caught.value)


async def test_a_cancelled_question_leaves_the_connection_to_the_others(postgres: str) -> None:
    """One waits for the row, another for its turn: cancelling this one must not end that one's."""
    store = SharedRate(postgres, 10).store()
    await store.open()
    async with await psycopg.AsyncConnection.connect(postgres) as blocker:
        await blocker.execute("SELECT * FROM gateway_sms.rate FOR UPDATE")
        first = asyncio.create_task(store.ask())
        await asyncio.sleep(0.1)
        second = asyncio.create_task(store.ask())
        await asyncio.sleep(0.1)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await blocker.rollback()
        assert await first == 0
    await store.close()


@pytest.mark.parametrize(
    "address",
    [
        "redis://s3cret#x@127.0.0.1:1/0",
        "redis://s3cret?x@127.0.0.1:1/0",
        "redis://user:s3cret/x@127.0.0.1:1/0",
        "postgresql://u:p@/s?s3cret=1",
    ],
)
async def test_no_part_of_a_password_is_in_an_error_or_its_context(address: str) -> None:
    try:
        await SharedRate(address, 10).store().open()
    except SharedRateError as error:
        shown: BaseException | None = error
        while shown is not None:
            assert "s3cret" not in str(shown)
            shown = shown.__cause__ or shown.__context__
    else:
        pytest.fail("there is no such server")


@pytest.mark.parametrize("alone", [None, 1.0])
@pytest.mark.parametrize(
    ("extra", "address"), [("redis", "redis://127.0.0.1"), ("postgres", "postgresql://127.0.0.1")]
)
async def test_without_the_extra_the_error_names_it(
    simulator: Simulator,
    monkeypatch: pytest.MonkeyPatch,
    extra: str,
    address: str,
    alone: float | None,
) -> None:
    monkeypatch.setitem(sys.modules, MODULES[extra], None)
    rate = SharedRate(address, 10, alone=alone)
    with pytest.raises(SharedRateError, match=rf"gateway-sms-async\[{extra}\]"):
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=rate):
            pass
