"""Clients that share a rate: together no faster than it, and in the order of each client's calls."""

from __future__ import annotations

import asyncio
import logging
import time
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
from gateway_sms_async._rate.file import RateFile
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


async def test_a_client_may_be_closed_while_calls_are_queued(
    simulator: Simulator, tmp_path: Path
) -> None:
    gateway = client(simulator, SharedRate(tmp_path / "rate", 0.1))
    async with gateway:
        await gateway.messages.list()
        waiting = asyncio.create_task(gateway.messages.list())
        await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
