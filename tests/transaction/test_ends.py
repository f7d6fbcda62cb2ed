"""A transaction always ends, whatever its listener does and wherever it is cancelled."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, Event, GatewayClient, RetryPolicy
from gateway_sms_async._transaction.transaction import Transaction
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, numbers, tasks_of_ours
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao", "batch_size": 3, "concurrency": 2}
RECIPIENTS = numbers(12)
SOON = 5.0
"""Seconds that a loaded machine may need for what takes one."""


class Failed(BaseException):
    """Is no Exception, like the failure of a test."""


@pytest.fixture(autouse=True)
def _short_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway_sms_async._cancellation.GRACE_PERIOD", 0.2)


def client(simulator: Simulator, **more: Any) -> GatewayClient:
    settings: dict[str, Any] = {"rate": None, "timeout": 5, "retry": QUICK, **more}
    return GatewayClient(simulator.token, base_url=simulator.url, **settings)


async def test_what_a_listener_raises_that_is_no_exception_is_raised_when_all_has_ended() -> None:
    n, over = 0, False
    while not over:
        n += 1
        failure = Failed()
        events: list[Event] = []

        def listen(
            event: Event, events: list[Event] = events, n: int = n, failure: Failed = failure
        ) -> None:
            events.append(event)
            if len(events) == n:
                raise failure

        async with Simulator() as simulator, client(simulator, on_event=listen) as gateway:
            transaction = gateway.transaction(**ACME)
            try:
                async with asyncio.timeout(SOON), transaction:
                    await transaction.add(RECIPIENTS)
            except Failed as error:
                assert error is failure
                assert isinstance(error.__cause__, BulkSendError)
                check(error.__cause__.receipt, simulator)
            else:
                over = len(events) < n
                assert over, "it is raised, however late it comes"
                assert transaction.receipt.complete
            check(transaction.receipt, simulator)
            assert not transaction.receipt.unknown
            assert not tasks_of_ours()
    assert n > 5


async def test_what_a_listener_raises_at_an_abandon_is_raised_after_it(
    simulator: Simulator,
) -> None:
    def listen(event: Event) -> None:
        if getattr(event, "operation", None) == "delete":
            raise Failed

    async with client(simulator, on_event=listen) as gateway:
        transaction = gateway.transaction(**ACME)
        await transaction.add(RECIPIENTS)
        with pytest.raises(Failed):
            await transaction.abandon()
        assert transaction.state == "abandoned"
        assert transaction.receipt.unsent == tuple(RECIPIENTS)


CALLS: dict[str, Callable[[Transaction], Any]] = {
    "append": lambda transaction: transaction.add(numbers(100, 100)),
    "close": lambda transaction: transaction.close(),
    "delete": lambda transaction: transaction.abandon(),
}


@pytest.mark.parametrize("operation", CALLS)
async def test_a_call_that_hangs_ends_soon_after_it_is_cancelled(
    operation: str, simulator: Simulator
) -> None:
    async with client(simulator, timeout=60, retry=RetryPolicy()) as gateway:
        transaction = gateway.transaction(**ACME)
        await transaction.add(RECIPIENTS)
        await asyncio.sleep(0.1)  # what is ready has left
        simulator.faults.add(Fault.hang(), on=operation, times=None)
        simulator.requests.clear()
        calling = asyncio.create_task(CALLS[operation](transaction))
        async with asyncio.timeout(SOON):
            while operation not in [request.operation for request in simulator.requests]:
                await asyncio.sleep(0.001)
        started = time.monotonic()
        calling.cancel()
        done, _ = await asyncio.wait([calling], timeout=SOON)
        assert done
        # Leaving its block by an exception ends what is still in flight.
        with suppress(KeyError):
            async with transaction:
                raise KeyError
        assert time.monotonic() - started < SOON
        check(transaction.receipt, simulator)
        assert not simulator.ledger


async def test_a_source_that_swallows_cancellation_holds_up_no_end(simulator: Simulator) -> None:
    released, waiting = asyncio.Event(), asyncio.Event()

    async def stubborn() -> AsyncIterator[str]:
        for one in RECIPIENTS[:7]:
            yield one
        waiting.set()
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()
        yield RECIPIENTS[7]

    async with client(simulator) as gateway:
        transaction = gateway.transaction(**ACME)
        adding = asyncio.create_task(transaction.add(stubborn()))
        try:
            await waiting.wait()
            adding.cancel()
            closing = asyncio.create_task(transaction.close())
            await asyncio.sleep(0.05)
            closing.cancel()
            done, _ = await asyncio.wait([closing], timeout=SOON)
            assert done
            check(transaction.receipt, simulator, set(RECIPIENTS[:7]))
            assert not simulator.ledger
            released.set()
            with pytest.raises(RuntimeError, match="not all recipients were added"):
                await adding
        finally:
            released.set()
        check(transaction.receipt, simulator, set(RECIPIENTS[:8]))
        assert not simulator.ledger
