# ruff: noqa: ASYNC240 - only checks whether a file exists
"""A campaign always ends: whatever its source, its listener and its progress callback do.

The grace period is shortened; what is tested is that it is kept. Every recipient that was read is
accounted for, nothing new is sent after a stop, and the journal can be used again at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    Event,
    GatewayClient,
    Progress,
    Receipt,
    read_journal,
)
from gateway_sms_async.testing import Simulator

from ..support.accounting import check, numbers, parts
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao", "batch_size": 3, "concurrency": 2}
RECIPIENTS = numbers(12)
SOON = 5.0
"""Seconds that a loaded machine may need for what takes one."""


@pytest.fixture
async def released() -> AsyncIterator[asyncio.Event]:
    """An event that ends at the end of the test what swallows every cancellation."""
    event = asyncio.Event()
    yield event
    event.set()
    await asyncio.sleep(0.01)


class Failed(BaseException):
    """Is no Exception, like the failure of a test."""


@pytest.fixture(autouse=True)
def _short_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)


def client(simulator: Simulator, **more: Any) -> GatewayClient:
    settings: dict[str, Any] = {"rate": None, "timeout": 5, "retry": QUICK, **more}
    return GatewayClient(simulator.token, base_url=simulator.url, **settings)


async def ended(task: asyncio.Task[Any]) -> None:
    done, _ = await asyncio.wait([task], timeout=SOON)
    assert done, "it did not end"


# --- sources -------------------------------------------------------------------------------------


class Stubborn:
    """Yields seven recipients and then waits; swallows so many cancellations."""

    def __init__(self, swallowed: float, released: asyncio.Event) -> None:
        self.left = swallowed
        self.waiting = asyncio.Event()
        self.released = released

    async def recipients(self) -> AsyncIterator[str]:
        for one in RECIPIENTS[:7]:
            yield one
        self.waiting.set()
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                if not self.left:
                    raise
                self.left -= 1
        for one in RECIPIENTS[7:]:
            yield one


async def cancel(task: asyncio.Task[Any], *_: Any) -> None:
    task.cancel()


async def stop(_: Any, __: Any, event: asyncio.Event) -> None:
    event.set()


async def aclose(_: Any, gateway: GatewayClient, __: Any) -> None:
    await gateway.aclose()


Cut = Callable[[asyncio.Task[Any], GatewayClient, asyncio.Event], Awaitable[None]]


@pytest.mark.parametrize("cut", [cancel, stop, aclose])
@pytest.mark.parametrize("swallowed", [1, 3, float("inf")])
@pytest.mark.parametrize("with_journal", [False, True], ids=["no journal", "journal"])
async def test_a_source_that_swallows_cancellation_holds_up_no_end(
    cut: Cut, swallowed: float, with_journal: bool, released: asyncio.Event, tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db" if with_journal else None
    source, event = Stubborn(swallowed, released), asyncio.Event()
    async with Simulator() as simulator, client(simulator) as gateway:
        task = asyncio.create_task(
            gateway.send_bulk(source.recipients(), **ACME, journal=journal, stop=event)
        )
        await source.waiting.wait()
        while not with_journal and len(simulator.requests) < 2:
            await asyncio.sleep(0.001)
        started = time.monotonic()
        await cut(task, gateway, event)
        await ended(task)
        assert time.monotonic() - started < SOON
        sent = len(simulator.requests)
        assert not simulator.ledger
        error = None if task.cancelled() else task.exception()
        assert task.cancelled() == (cut is cancel)
        if isinstance(error, BulkSendError):
            assert not error.resumable
            assert (error.receipt.total, len(error.receipt.unsent)) == (7, 7)
            check(error.receipt, simulator, set(RECIPIENTS[:7]))
        released.set()
        await asyncio.sleep(0.05)
        assert len(simulator.requests) == sent, "nothing follows, whatever the source yields later"
        assert journal is None or not journal.exists(), "what was not read is in no journal"


async def test_a_source_that_does_not_end_is_named_in_the_log(
    simulator: Simulator, released: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    source, event = Stubborn(float("inf"), released), asyncio.Event()
    async with client(simulator) as gateway:
        task = asyncio.create_task(gateway.send_bulk(source.recipients(), **ACME, stop=event))
        await source.waiting.wait()
        event.set()
        await ended(task)
        with pytest.raises(BulkSendError):
            await task
    assert "did not end" in caplog.text


# --- listeners -----------------------------------------------------------------------------------


def failing_at(n: int, error: BaseException) -> Callable[[Any], None]:
    """Return a callback that raises at its n-th call."""
    calls = 0

    def call(_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == n:
            raise error

    return call


async def run(simulator: Simulator, journal: Path, **more: Any) -> Receipt:
    on_event = more.pop("on_event", None)
    async with client(simulator, on_event=on_event) as gateway:
        task = asyncio.create_task(gateway.send_bulk(RECIPIENTS, **ACME, journal=journal, **more))
        await ended(task)
        return await task


async def check_it_goes_on(simulator: Simulator, journal: Path) -> None:
    if not journal.exists():
        assert not simulator.requests, "it ended before its source was read"
        return
    kept = await read_journal(journal)
    assert parts(kept) == kept.total == len(RECIPIENTS)
    check(kept, simulator, set(RECIPIENTS))
    assert not kept.unknown, "it ended as after a stop: what was in flight has completed"
    async with client(simulator) as gateway:
        assert (await gateway.resume_bulk(journal)).complete
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


@pytest.mark.timeout(60)
async def test_a_listener_that_raises_what_is_no_exception_stops_the_campaign(
    tmp_path: Path,
) -> None:
    n, over = 0, False
    while not over:
        n += 1
        failure = Failed()
        journal = tmp_path / f"{n}.db"
        events: list[Event] = []
        fail = failing_at(n, failure)

        def listen(
            event: Event, events: list[Event] = events, fail: Callable[[Any], None] = fail
        ) -> None:
            events.append(event)
            fail(event)

        async with Simulator() as simulator:
            try:
                receipt = await run(simulator, journal, on_event=listen)
            except Failed as error:
                assert error is failure
                if error.__cause__ is not None:
                    assert isinstance(error.__cause__, BulkSendError)
                    check(error.__cause__.receipt, simulator, set(RECIPIENTS))
            else:
                assert receipt.complete
                over = len(events) < n
                assert over, "it is raised, however late it comes"
            await check_it_goes_on(simulator, journal)
    assert n > 8


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()], ids=repr)
async def test_what_a_broken_listener_raises_is_logged(
    error: BaseException, simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def listen(_: Event) -> None:
        raise error

    receipt = await run(simulator, tmp_path / "campaign.db", on_event=listen)
    assert receipt.complete
    assert "on_event raised" in caplog.text


# --- progress ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_progress_callback_that_raises_what_is_no_exception_stops_the_campaign(
    kind: str, n: int, simulator: Simulator, tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db"
    fail = failing_at(n, failure := Failed())

    async def later(progress: Progress) -> None:
        await asyncio.sleep(0)
        fail(progress)

    with pytest.raises(Failed) as caught:
        await run(simulator, journal, on_progress=fail if kind == "sync" else later)
    assert caught.value is failure
    await check_it_goes_on(simulator, journal)


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()], ids=repr)
async def test_what_a_broken_progress_callback_raises_is_logged(
    error: BaseException, simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def report(_: Progress) -> None:
        raise error

    assert (await run(simulator, tmp_path / "campaign.db", on_progress=report)).complete
    assert "on_progress raised" in caplog.text


@pytest.mark.parametrize("swallowed", [0, 1, float("inf")])
@pytest.mark.parametrize("stopped", [False, True])
async def test_a_report_of_progress_that_never_ends_holds_up_no_end(
    swallowed: float,
    stopped: bool,
    simulator: Simulator,
    released: asyncio.Event,
    tmp_path: Path,
) -> None:
    journal, event = tmp_path / "campaign.db", asyncio.Event()
    left = swallowed

    async def report(_: Progress) -> None:
        nonlocal left
        if stopped:
            event.set()
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                if not left:
                    raise
                left -= 1

    with suppress(BulkSendError):
        assert (await run(simulator, journal, on_progress=report, stop=event)).complete
    await check_it_goes_on(simulator, journal)


async def test_what_the_last_report_raises_leaves_no_lock(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "campaign.db"

    def broken(*_: object) -> None:
        raise MemoryError

    async with client(simulator) as gateway:
        with monkeypatch.context() as patch:
            patch.setattr("gateway_sms_async._campaign.progress.ProgressReporter.report", broken)
            with pytest.raises(MemoryError):
                await gateway.send_bulk(RECIPIENTS, **ACME, journal=journal)
        started = time.monotonic()
        assert (await gateway.resume_bulk(journal)).complete
    assert time.monotonic() - started < SOON
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_what_is_raised_in_a_campaign_that_is_cancelled_is_logged(
    simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task: asyncio.Task[Receipt]

    def listen(_: Event) -> None:
        task.cancel()
        raise Failed

    async with client(simulator, on_event=listen) as gateway:
        task = asyncio.create_task(
            gateway.send_bulk(RECIPIENTS, **ACME, journal=tmp_path / "campaign.db")
        )
        await ended(task)
    assert task.cancelled()
    assert "Failed" in caplog.text
