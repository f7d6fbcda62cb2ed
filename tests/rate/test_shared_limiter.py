"""Clients that share a rate: together no faster than it, and in the order of each client's calls."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    GatewayClient,
    GatewayTimeoutError,
    RateLimitError,
    RetryPolicy,
    SharedRate,
    SharedRateError,
)
from gateway_sms_async._http.shared_limiter import SharedRateLimiter
from gateway_sms_async._rate.file import RateFile
from gateway_sms_async._rate.pace import Pace
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import number, numbers

pytestmark = pytest.mark.anyio


def client(simulator: Simulator, rate: SharedRate, **more: Any) -> GatewayClient:
    return GatewayClient(simulator.token, base_url=simulator.url, rate=rate, **more)


async def test_an_interactive_call_goes_before_a_campaign(
    simulator: Simulator, tmp_path: Path
) -> None:
    rate = SharedRate(tmp_path / "rate", 20)
    async with client(simulator, rate) as gateway:
        campaign = asyncio.create_task(
            gateway.send_bulk(numbers(40), sender="ACME", body="Ciao", batch_size=1)
        )
        while len(simulator.requests) < 3:
            await asyncio.sleep(0.001)
        before = len(simulator.requests)
        await gateway.messages.list()
        order = [one.operation for one in simulator.requests[before:]]
        assert "list" in order[:2], "at most the one before it had a permission already"
        campaign.cancel()


async def test_a_cancelled_call_has_taken_nothing(simulator: Simulator, tmp_path: Path) -> None:
    rate = SharedRate(tmp_path / "rate", 5)
    async with client(simulator, rate) as gateway:
        await gateway.messages.list()
        waiting = [asyncio.create_task(gateway.messages.list()) for _ in range(50)]
        await asyncio.sleep(0.01)
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            await gateway.messages.list()
    assert len(simulator.requests) <= 3


async def test_a_429_holds_the_other_client(simulator: Simulator, tmp_path: Path) -> None:
    rate = SharedRate(tmp_path / "rate", 50)
    async with client(simulator, rate) as first, client(simulator, rate) as second:
        simulator.faults.add(Fault.status(429, retry_after=1), on="list")
        held = asyncio.create_task(first.messages.list())
        while not first.stats.held_for:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        began = time.monotonic()
        await second.messages.list()
        assert time.monotonic() - began >= 0.5
        await held


async def test_the_realtime_minute_is_shared(simulator: Simulator, tmp_path: Path) -> None:
    from gateway_sms_async import Options

    rate = SharedRate(tmp_path / "rate", 50)
    message: dict[str, Any] = {
        "sender": "ACME",
        "body": "123456",
        "options": Options(realtime=True),
    }
    async with client(simulator, rate) as first, client(simulator, rate) as second:
        await first.messages.send(recipients=number(1), **message)
        with pytest.raises(RateLimitError, match="only one realtime message a minute"):
            await second.messages.send(recipients=number(2), **message)
    assert dict(simulator.ledger) == {number(1): 1}


# Without the store


class Broken:
    """Breaks every step of a store in a file, and mends it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.is_broken = False
        change = RateFile._change

        async def broken(store: RateFile, step: Any) -> Any:
            if self.is_broken:
                raise SharedRateError("gone")
            return await change(store, step)

        patch.setattr(RateFile, "_change", broken)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Broken:
    return Broken(monkeypatch)


async def test_without_the_store_nothing_leaves_and_the_call_says_so(
    simulator: Simulator, tmp_path: Path, broken: Broken
) -> None:
    rate = SharedRate(tmp_path / "rate", 50)
    async with client(simulator, rate, retry=RetryPolicy(max_elapsed=1)) as gateway:
        broken.is_broken = True
        with pytest.raises(GatewayTimeoutError):
            await gateway.messages.send(sender="ACME", body="Ciao", recipients=number(1))
        assert gateway.stats.rate == "waiting"
        assert not simulator.requests
        broken.is_broken = False
        await gateway.messages.list()
        assert gateway.stats.rate == "shared"


async def test_without_the_store_a_campaign_waits(
    simulator: Simulator, tmp_path: Path, broken: Broken, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    rate = SharedRate(tmp_path / "rate", 200)
    async with client(simulator, rate) as gateway:
        campaign = asyncio.create_task(
            gateway.send_bulk(numbers(20), sender="ACME", body="Ciao", batch_size=2)
        )
        while not simulator.requests:
            await asyncio.sleep(0.001)
        broken.is_broken = True
        await asyncio.sleep(0.5)
        assert gateway.stats.rate == "waiting"
        broken.is_broken = False
        receipt = await campaign
    assert receipt.complete
    assert dict(simulator.ledger) == dict.fromkeys(numbers(20), 1)
    assert [one.message for one in caplog.records] == [
        "the rate is not shared now (waiting): gone",
        "the rate is shared again",
    ]


async def test_without_the_store_a_process_may_go_on_alone(
    simulator: Simulator, tmp_path: Path, broken: Broken
) -> None:
    broken.is_broken = True
    rate = SharedRate(tmp_path / "rate", 50, alone=10)
    began = time.monotonic()
    async with client(simulator, rate) as gateway:
        await asyncio.gather(*(gateway.messages.list() for _ in range(5)))
        assert gateway.stats.rate == "alone"
    assert time.monotonic() - began >= 0.4


async def test_a_store_that_cannot_be_used_is_an_error_on_entry(
    simulator: Simulator, tmp_path: Path
) -> None:
    with pytest.raises(SharedRateError, match=str(tmp_path)):
        async with client(simulator, SharedRate(tmp_path, 10)):
            pass


def test_the_burst_is_that_of_the_shared_rate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="burst belongs to the SharedRate"):
        GatewayClient("t", rate=SharedRate(tmp_path / "rate", 10), burst=2)


async def test_calls_that_are_queued_end_when_the_client_is_closed(
    simulator: Simulator, tmp_path: Path
) -> None:
    gateway = client(simulator, SharedRate(tmp_path / "rate", 0.1))
    async with gateway:
        await gateway.messages.list()
        waiting = asyncio.create_task(gateway.messages.list())
        await asyncio.sleep(0.05)
    with pytest.raises(RuntimeError, match="closed"):
        await asyncio.wait_for(waiting, 10)


# The limiter and its store, without a client


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[tuple[SharedRateLimiter, RateFile]]:
    pace = Pace(100, 1)
    store, other = (RateFile(str(tmp_path / "rate"), pace) for _ in range(2))
    await store.open()
    limiter = SharedRateLimiter(store, pace=pace, alone=None, concurrency=32)
    yield limiter, other
    await limiter.close()
    await other.close()


async def test_permissions_that_are_used_late_do_not_leave_together(
    limited: tuple[SharedRateLimiter, RateFile],
) -> None:
    limiter, _ = limited
    slots = await asyncio.gather(*(limiter.acquire(urgent=True) for _ in range(8)))
    assert sum(slot.try_depart() for slot in slots) <= 1


async def test_a_permission_that_came_late_is_not_used(
    limited: tuple[SharedRateLimiter, RateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, _ = limited
    ask, asked = RateFile.ask, 0

    async def slow(store: RateFile) -> float:
        nonlocal asked
        asked += 1
        wait = await ask(store)
        if asked == 1:
            time.sleep(0.3)  # noqa: ASYNC251 - as a loop that is blocked
        return wait

    monkeypatch.setattr(RateFile, "ask", slow)
    slot = await limiter.acquire(urgent=True)
    await slot.depart()
    assert asked > 1
    assert limiter.state == "shared"


async def test_a_store_that_is_always_slow_is_not_used(
    limited: tuple[SharedRateLimiter, RateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, _ = limited
    ask = RateFile.ask

    async def slow(store: RateFile) -> float:
        await asyncio.sleep(0.3)
        return await ask(store)

    monkeypatch.setattr(RateFile, "ask", slow)
    waiting = asyncio.create_task(limiter.acquire(urgent=True))
    while limiter.state != "waiting":
        await asyncio.sleep(0.01)
    assert not waiting.done()
    monkeypatch.setattr(RateFile, "ask", ask)
    await waiting


async def test_for_calls_that_are_cancelled_nothing_is_asked(
    limited: tuple[SharedRateLimiter, RateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, other = limited
    await other.hold(0.2)
    waiting = [asyncio.create_task(limiter.acquire(urgent=False)) for _ in range(5)]
    await asyncio.sleep(0.05)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    asked: list[RateFile] = []

    async def ask(store: RateFile) -> float:
        asked.append(store)
        return 0.0

    monkeypatch.setattr(RateFile, "ask", ask)
    await asyncio.sleep(0.4)
    assert asked == []


async def test_a_hold_that_began_without_the_store_is_told_later(
    limited: tuple[SharedRateLimiter, RateFile], broken: Broken
) -> None:
    limiter, other = limited
    broken.is_broken = True
    limiter.hold(30)
    limiter.lose_store(SharedRateError("gone"))
    limiter.lose_store(SharedRateError("gone"))
    assert limiter.state == "waiting"
    broken.is_broken = False
    while limiter.state != "shared":
        await asyncio.sleep(0.01)
    assert await other.ask() > 20


async def test_a_realtime_question_that_is_cancelled_keeps_no_minute(
    limited: tuple[SharedRateLimiter, RateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, other = limited
    ask, asked = RateFile.ask_realtime, asyncio.Event()

    async def slow(store: RateFile, owner: str) -> float:
        wait = await ask(store, owner)
        asked.set()
        await asyncio.sleep(60)
        return wait

    monkeypatch.setattr(RateFile, "ask_realtime", slow)
    asking = asyncio.create_task(limiter.realtime.ask("a"))
    await asked.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    monkeypatch.setattr(RateFile, "ask_realtime", ask)
    await asyncio.sleep(0.05)
    assert await other.ask_realtime("b") == 0


async def test_a_store_that_fails_after_a_message_was_sent_fails_nothing(
    limited: tuple[SharedRateLimiter, RateFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter, _ = limited

    async def fails(store: RateFile, owner: str) -> None:
        raise TypeError("an answer that was not expected")

    monkeypatch.setattr(RateFile, "realtime_sent", fails)
    monkeypatch.setattr(RateFile, "realtime_not_sent", fails)
    assert await limiter.realtime.ask("a") == 0
    await limiter.realtime.not_sent("a")
    assert await limiter.realtime.ask("b") > 0, "the store still has the minute of a"
    await limiter.realtime.sent("b")


async def test_what_the_store_should_know_is_told_before_the_client_is_closed(
    tmp_path: Path,
) -> None:
    pace = Pace(100, 1)
    store, other = (RateFile(str(tmp_path / "rate"), pace) for _ in range(2))
    await store.open()
    limiter = SharedRateLimiter(store, pace=pace, alone=None, concurrency=1)
    limiter.hold(30)
    await limiter.close()
    assert await other.ask() > 20
    await other.close()
