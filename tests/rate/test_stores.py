"""What all stores of a rate do: in a file, in a real Redis server, in a real PostgreSQL server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from gateway_sms_async import GatewayClient, SharedRate
from gateway_sms_async._rate.store import RateStore
from gateway_sms_async.testing import Simulator

from ..support.paths import ROOT
from ..support.servers import Server, started

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", params=["file", "redis", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[Server | None]:
    if request.param == "file":
        yield None
        return
    with started(request.param) as server:
        yield server


@pytest.fixture
def where(server: Server | None, tmp_path: Path) -> str:
    return str(tmp_path / "new folder" / "rate") if server is None else server.url


class Stores:
    """Opens stores that share a rate, and closes them."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._account = uuid4().hex
        self._opened: list[RateStore] = []

    async def open(self, per_second: float = 0.001, *, burst: int = 3) -> RateStore:
        rate = SharedRate(self._where, per_second, burst=burst, account=self._account)
        store = rate.store()
        self._opened.append(store)
        await store.open()
        return store

    async def close(self) -> None:
        for one in self._opened:
            await one.close()


@pytest.fixture
async def stores(where: str) -> AsyncIterator[Stores]:
    opened = Stores(where)
    yield opened
    await opened.close()


async def test_all_share_the_burst_and_the_rate(stores: Stores) -> None:
    first, second = await stores.open(), await stores.open()
    waits = [await one.ask() for one in (first, second, first, second)]
    assert waits[:3] == [0, 0, 0]
    assert 900 < waits[3] <= 1000


async def test_a_hold_is_for_all(stores: Stores) -> None:
    first, second = await stores.open(100, burst=5), await stores.open(100, burst=5)
    await first.hold(250)
    assert 200 < await second.ask() <= 250


async def test_after_a_hold_one_request_may_leave(stores: Stores) -> None:
    store = await stores.open(0.001, burst=3)
    await store.hold(0.05)
    while wait := await store.ask():
        assert wait <= 0.05
        await asyncio.sleep(wait)
    assert await store.ask() > 900


async def test_the_minute_of_a_realtime_message_is_shared(stores: Stores) -> None:
    first, second = await stores.open(), await stores.open()
    assert await first.ask_realtime("a") == 0
    assert await first.ask_realtime("a") == 0, "the answer before may have been lost"
    assert 50 < await second.ask_realtime("b") <= 60
    await second.realtime_not_sent("b")
    assert await second.ask_realtime("b") > 0, "it was not the minute of b"
    await first.realtime_not_sent("a")
    assert await second.ask_realtime("b") == 0
    await first.realtime_sent("c")
    await second.realtime_not_sent("b")
    assert await second.ask_realtime("d") > 50


async def test_a_moment_from_before_the_clock_was_set_back_holds_nobody(stores: Stores) -> None:
    store = await stores.open(10, burst=2)
    await store.hold(100_000)
    assert not await store.ask()


async def test_two_clients_send_no_more_than_one_may(where: str, simulator: Simulator) -> None:
    def client() -> GatewayClient:
        rate = SharedRate(where, 50, burst=3, account="two clients")
        return GatewayClient(simulator.token, base_url=simulator.url, rate=rate)

    began = time.monotonic()
    async with client() as first, client() as second:
        await asyncio.gather(*(one.messages.list() for one in (first, second) for _ in range(20)))
        assert first.stats.rate == second.stats.rate == "shared"
    assert len(simulator.requests) == 40
    # 3 at once, and then one each 20 ms.
    assert time.monotonic() - began >= 37 / 50


CHILD = """
import asyncio, sys
from gateway_sms_async import SharedRate

async def main():
    store = SharedRate(sys.argv[1], 50, burst=2, account="four processes").store()
    await store.open()
    print("ready", flush=True)
    sys.stdin.readline()
    end, taken = asyncio.get_running_loop().time() + 1, 0
    while asyncio.get_running_loop().time() < end:
        wait = await store.ask()
        taken += not wait
        await asyncio.sleep(wait / 4)
    print(taken)
    await store.close()

asyncio.run(main())
"""


def test_four_processes_take_no_more_than_one_may(where: str) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, where],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    began = time.monotonic()
    taken = [int(child.communicate("go\n")[0]) for child in children]
    seconds = time.monotonic() - began
    assert 0 < sum(taken) <= 50 * seconds + 2
