"""A rate in a real Redis server: shared, on its clock, and an error while it is gone."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway_sms_async import GatewayClient, SharedRate, SharedRateError
from gateway_sms_async._rate.pace import Pace
from gateway_sms_async._rate.redis import RateInRedis
from gateway_sms_async.testing import Simulator

from ..support.servers import RedisServer, redis_server

pytestmark = pytest.mark.anyio

SLOW = Pace(per_second=0.001, burst=3)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    # A socket's path is short, so not in the folder of the test.
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as started:
        yield started


@pytest.fixture
async def stores(server: RedisServer) -> AsyncIterator[tuple[RateInRedis, RateInRedis]]:
    both = (RateInRedis(server.url, SLOW, "acme"), RateInRedis(server.url, SLOW, "acme"))
    for one in both:
        await one.open()
    yield both
    for one in both:
        await one.close()


async def test_all_share_the_burst_and_the_rate(stores: tuple[RateInRedis, RateInRedis]) -> None:
    first, second = stores
    waits = [await one.ask() for one in (first, second, first, second)]
    assert waits[:3] == [0, 0, 0]
    assert 900 < waits[3] <= 1000


async def test_a_hold_is_everybodys(stores: tuple[RateInRedis, RateInRedis]) -> None:
    first, second = stores
    await first.hold(500)
    assert 400 < await second.ask() <= 500


async def test_the_minute_of_a_realtime_message_is_everybodys(
    stores: tuple[RateInRedis, RateInRedis],
) -> None:
    first, second = stores
    assert await first.ask_realtime("a") == 0
    assert 50 < await second.ask_realtime("b") <= 60
    await second.realtime_not_sent("b")
    assert await second.ask_realtime("b") > 0, "it was not the minute of b"
    await first.realtime_not_sent("a")
    assert await second.ask_realtime("b") == 0
    await first.realtime_sent("c")
    await second.realtime_not_sent("b")
    assert await second.ask_realtime("d") > 50


async def test_another_account_does_not_share(
    server: RedisServer, stores: tuple[RateInRedis, RateInRedis]
) -> None:
    for _ in range(3):
        await stores[0].ask()
    other = RateInRedis(server.url, SLOW, "other")
    await other.open()
    assert not await other.ask()
    await other.close()


async def test_a_server_that_is_gone_is_an_error_and_comes_back(
    server: RedisServer, stores: tuple[RateInRedis, RateInRedis]
) -> None:
    server.stop()
    with pytest.raises(SharedRateError, match="the rate in Redis at"):
        await stores[0].ask()
    server.start()
    assert not await stores[0].ask()


async def test_a_server_that_hangs_is_an_error(
    server: RedisServer, stores: tuple[RateInRedis, RateInRedis]
) -> None:
    server.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(SharedRateError, match="Timeout"):
        await stores[0].ask()
    assert time.monotonic() - began < 20
    server.send_signal(signal.SIGCONT)


async def test_two_clients_send_no_more_than_one_may(
    server: RedisServer, simulator: Simulator
) -> None:
    def client() -> GatewayClient:
        rate = SharedRate(server.url, 50, burst=3)
        return GatewayClient(simulator.token, base_url=simulator.url, rate=rate)

    began = time.monotonic()
    async with client() as first, client() as second:
        await asyncio.gather(*(one.messages.list() for one in (first, second) for _ in range(20)))
    assert len(simulator.requests) == 40
    assert time.monotonic() - began >= 37 / 50


async def test_a_replica_is_refused(server: RedisServer) -> None:
    from redis.asyncio import Redis

    redis = Redis.from_url(server.url)
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    await redis.aclose()
    store = RateInRedis(server.url, SLOW, "acme")
    with pytest.raises(SharedRateError, match=r"read.only replica"):
        await store.open()
    await store.close()


async def test_no_server_is_an_error_on_entry_without_its_address(simulator: Simulator) -> None:
    rate = SharedRate("redis://user:secret@127.0.0.1:1/0", 10)
    with pytest.raises(SharedRateError, match=r"127\.0\.0\.1") as caught:
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=rate):
            pass
    assert "secret" not in str(caught.value)


async def test_without_the_extra_the_error_names_it(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    rate = SharedRate("redis://127.0.0.1:1/0", 10)
    with pytest.raises(SharedRateError, match=r"gateway-sms-async\[redis\]"):
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=rate):
            pass
