"""One deadline for a public call, however many requests it makes. On a virtual clock."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_sms_async import (
    GatewayClient,
    GatewayTimeoutError,
    Options,
    OutcomeUnknownError,
    RateLimitError,
    RetryPolicy,
)
from gateway_sms_async.testing import Fault, Simulator

from ..support.virtual_time import VirtualLoop, run

TO = "+39-3401234567"
MAX_ELAPSED = 5.0
LATER = date.today() + timedelta(days=30)  # noqa: DTZ011 - any day to come will do

Main = Callable[[GatewayClient, Simulator, VirtualLoop], Coroutine[Any, Any, None]]


@pytest.fixture
def live(tmp_path: Path) -> Callable[..., None]:
    """Return a function that runs a test with a client and a simulator on one virtual clock."""

    def lived(main: Main, max_elapsed: float = MAX_ELAPSED, *, own_clock: bool = False) -> None:
        path = str(tmp_path / "gateway")

        async def all_of_it(loop: VirtualLoop) -> None:
            settings: dict[str, Any] = {"clock": loop.time} if own_clock else {}
            async with (
                Simulator(path=path, **settings) as simulator,
                GatewayClient(
                    simulator.token,
                    base_url=simulator.url,
                    rate=None,
                    timeout=30,
                    retry=RetryPolicy(max_elapsed=max_elapsed, base_delay=0.1, max_delay=0.1),
                    connector=lambda: aiohttp.UnixConnector(path),
                ) as gateway,
            ):
                await main(gateway, simulator, loop)

        run(all_of_it)

    return lived


async def elapsed(loop: VirtualLoop, call: Awaitable[Any], error: type[Exception]) -> float:
    """Make a call that must fail; return how long it took."""
    began = loop.time()
    with pytest.raises(error):
        await call
    return loop.time() - began


def send(gateway: GatewayClient, **more: Any) -> Awaitable[Any]:
    return gateway.messages.send(sender="ACME", body="Ciao", recipients=TO, **more)


def methods(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


@pytest.mark.parametrize("operations", [("send",), ("send", "list"), ("send", "get")], ids=str)
def test_a_send_and_its_search_share_one_deadline(live, operations: tuple[str, ...]):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        for operation in operations:
            simulator.faults.add(Fault.hang(after_apply=True), on=operation, times=None)
        if operations == ("send",):
            # The search has its share of the time, and succeeds.
            message = await send(gateway)
            assert loop.time() - began < MAX_ELAPSED
            assert simulator.ledger == {TO: 1}
            assert message.valid == 1
        else:
            assert await elapsed(loop, send(gateway), OutcomeUnknownError) <= MAX_ELAPSED + 0.01
            assert methods(simulator)[:2] == ["send", "list"]

    began = 1000.0
    live(main)


def test_without_a_search_the_request_may_take_all_the_time(live):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        simulator.faults.add(Fault.hang(), on="send")
        call = send(gateway, options=Options(custom="mine"))
        took = await elapsed(loop, call, OutcomeUnknownError)
        assert took == pytest.approx(MAX_ELAPSED, abs=0.01)
        assert methods(simulator) == ["send"]

    live(main)


def test_a_delete_its_looks_and_its_repetitions_share_one_deadline(live):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        opened = await send(gateway, transaction=True)
        simulator.faults.add(Fault.hang(), on="delete", times=None)
        call = gateway.messages.delete(opened.id)
        assert await elapsed(loop, call, OutcomeUnknownError) <= MAX_ELAPSED + 0.01
        assert methods(simulator)[1:3] == ["delete", "get"]

    live(main)


def test_both_requests_of_a_reschedule_share_one_deadline(live):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        later = await send(gateway, options=Options(timestamp_send=LATER))
        simulator.faults.add(Fault.drip(0.006), on="get")
        simulator.faults.add(Fault.hang(), on="close")
        call = gateway.messages.reschedule(later.id, LATER)
        assert await elapsed(loop, call, OutcomeUnknownError) <= MAX_ELAPSED + 0.01

    live(main)


def test_a_find_ends_at_its_deadline(live):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        for _ in range(8):
            await send(gateway)
        simulator.faults.add(Fault.drip(0.003), on="get", times=None)
        call = gateway.messages.find("nowhere")
        assert await elapsed(loop, call, GatewayTimeoutError) <= MAX_ELAPSED + 0.01
        assert 1 < methods(simulator).count("get") < 8

    live(main)


def test_the_wait_for_a_realtime_turn_counts(live):
    async def main(gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        now = Options(realtime=True)
        await send(gateway, options=now)
        # After this wait, too little time is left for its request: it is refused at once.
        hasty = gateway.with_options(retry=RetryPolicy(max_elapsed=61))
        call = send(hasty, options=now, wait_realtime=True)
        assert await elapsed(loop, call, RateLimitError) == pytest.approx(0, abs=0.01)
        simulator.faults.add(Fault.hang(), on="send")
        call = send(gateway, options=now, wait_realtime=True)
        took = await elapsed(loop, call, OutcomeUnknownError)
        assert 60 < took <= 100.01

    live(main, max_elapsed=100, own_clock=True)
