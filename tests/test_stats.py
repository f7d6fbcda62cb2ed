"""The figures of a client: calls in flight, queued calls, holds, and the retry budget."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway_sms_async import GatewayClient, RateLimitError, RetryPolicy, Stats
from gateway_sms_async.testing import Fault, Simulator

A = "+39-3401234567"
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)


def made(simulator: Simulator, **settings: Any) -> GatewayClient:
    settings = {"rate": None, "timeout": 5, "retry": QUICK} | settings
    return GatewayClient(simulator.token, base_url=simulator.url, **settings)


async def test_before_and_after(simulator: Simulator) -> None:
    client = made(simulator, concurrency=3)
    assert client.stats == Stats()
    assert not client.stats.open
    async with client:
        fresh = client.stats
        assert fresh == Stats(open=True, concurrency=3, budget_left=500, budget_capacity=500)
        await client.messages.list()
        assert client.stats.requests == 1
    assert client.stats == msgspec.structs.replace(fresh, open=False, requests=1)


async def test_what_is_in_flight_and_what_waits(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), times=2)
    async with made(simulator, concurrency=2) as client:
        tasks = [asyncio.create_task(client.messages.list()) for _ in range(5)]
        bulk = asyncio.create_task(client.send_bulk([A], sender="ACME", body="Ciao"))
        while not client.stats.waiting_bulk:
            await asyncio.sleep(0.001)
        stats = client.stats
        assert (stats.in_flight, stats.waiting_interactive, stats.waiting_bulk) == (2, 3, 1)
        assert stats.campaigns == 1
        # A call that gave up is no longer queued, though no other call advanced.
        tasks[3].cancel()
        await asyncio.wait([tasks[3]])
        assert client.stats.waiting_interactive == 2
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await bulk
        stats = client.stats
        assert (stats.in_flight, stats.waiting_interactive, stats.waiting_bulk) == (0, 0, 0)
        assert stats.campaigns == 0


async def test_a_hold_shows_while_it_lasts(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(429, retry_after=200))
    async with made(simulator, retry=RetryPolicy(max_elapsed=0.5)) as client:
        with pytest.raises(RateLimitError):
            await client.messages.list()
        assert 199 < client.stats.held_for <= 200
        assert client.stats.requests == 1


async def test_requests_and_retries_of_all_views(simulator: Simulator) -> None:
    async with made(simulator) as client:
        await client.messages.send(sender="ACME", body="Ciao", recipients=A)
        simulator.faults.add(Fault.status(503), times=3)
        await client.messages.list()
        stats = client.stats
        assert (stats.requests, stats.retries) == (5, 3)
        # Three retries were charged; the success returned the last one.
        assert stats.budget_left == 500 - 2 * 14
        receipt = await client.send_bulk([A], sender="ACME", body="Ciao")
        await client.with_options(timeout=3).messages.list()
        assert client.stats.requests == 5 + receipt.requests + 1


async def test_it_may_be_read_from_another_thread_during_calls(simulator: Simulator) -> None:
    failures: list[BaseException] = []
    over = threading.Event()

    async with made(simulator, concurrency=2) as client:

        def ask() -> None:
            try:
                while not over.is_set():
                    assert client.stats.in_flight <= 2
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            await asyncio.gather(*(client.messages.list() for _ in range(100)))
        finally:
            over.set()
            thread.join()
    assert failures == []


async def test_a_campaign_counts_while_it_runs(simulator: Simulator) -> None:
    seen: list[int] = []
    async with made(simulator) as client:

        def source() -> Iterator[str]:
            seen.append(client.stats.campaigns)
            yield A

        await client.send_bulk(source(), sender="ACME", body="Ciao")
    assert seen == [1]


def test_it_is_written_as_json_as_it_is() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Stats()))["held_for"] == 0.0
