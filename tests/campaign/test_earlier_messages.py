"""Messages of an earlier run: at a ceiling, and when it never becomes known whether one is closed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    LimitReachedError,
    Receipt,
    RetryPolicy,
    read_journal,
)
from gateway_sms_async._journal.journal import Journal
from gateway_sms_async._journal.records import Ranges
from gateway_sms_async._recipients.batches import Batch
from gateway_sms_async.testing import Fault, RecordedRequest, Simulator

from ..support.accounting import check, numbers

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
SHORT = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.3)


@pytest.fixture(autouse=True)
def _short_grace_period(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "campaign.db"


def client(simulator: Simulator) -> GatewayClient:
    return GatewayClient(simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=SHORT)


def message_of(simulator: Simulator, request: RecordedRequest) -> int:
    """Return the place of the message that a request is about, in the order of their opening."""
    for place, message_id in enumerate(simulator.gateway.messages):
        if message_id in request.path:
            return place
    return -1


def faults_by_message(
    simulator: Simulator, faults: dict[tuple[str, int], Fault]
) -> Callable[[RecordedRequest], Fault | None]:
    return lambda request: faults.get((request.operation, message_of(simulator, request)))


async def stopped(
    simulator: Simulator, journal: Path, count: int, until: Callable[[], bool], **settings: Any
) -> Receipt:
    """Run a campaign of messages of ten until it stands still, and stop it."""
    stop = asyncio.Event()
    async with client(simulator) as gateway:
        task = asyncio.create_task(
            gateway.send_bulk(
                numbers(count),
                **ACME,
                batch_size=5,
                recipients_per_message=10,
                journal=journal,
                stop=stop,
                **settings,
            )
        )
        async with asyncio.timeout(10):
            while not until():
                await asyncio.sleep(0.005)
        stop.set()
        with pytest.raises(BulkSendError) as caught:
            await task
    simulator.faults.clear()
    check(caught.value.receipt, simulator, set(numbers(count)))
    return caught.value.receipt


async def resumed(simulator: Simulator, journal: Path, **limits: int) -> BulkSendError:
    async with client(simulator) as gateway:
        with pytest.raises(BulkSendError) as caught:
            await gateway.resume_bulk(journal, **limits)
    return caught.value


async def test_a_resume_that_stops_at_a_ceiling_forgets_no_message_of_the_earlier_run(
    simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed, open_ = 2, 3
    faults = {("get", place): Fault.hang() for place in (0, 1, 4)}
    faults[("close", closed)] = Fault.hang(after_apply=True)
    faults[("close", open_)] = Fault.hang()
    simulator.faults.plan = faults_by_message(simulator, faults)

    def stands_still() -> bool:
        seen = {(one.operation, message_of(simulator, one)) for one in simulator.requests}
        return faults.keys() <= seen

    await stopped(simulator, journal, 50, stands_still, concurrency=8)
    simulator.requests.clear()

    # The ceiling is reached while most messages of the earlier run wait for their turn.
    recipients = Journal.recipients

    async def slow(self: Journal, ranges: Ranges) -> Batch:
        await asyncio.sleep(0.1)
        return await recipients(self, ranges)

    monkeypatch.setattr(Journal, "recipients", slow)
    error = await resumed(simulator, journal, max_recipients=25)
    monkeypatch.undo()
    assert isinstance(error.__cause__, LimitReachedError)
    check(error.receipt, simulator, set(numbers(50)))
    assert error.receipt.accepted == 10, "the one that was closed is looked at"
    assert len(error.receipt.unknown) == 10, "a close may still arrive at the one that is open"
    assert error.resumable
    kept = await read_journal(journal)
    check(kept, simulator, set(numbers(50)))
    assert {request.method for request in simulator.requests} == {"GET"}


UNREADABLE = {"404": Fault.status(404, 203), "500": Fault.status(500, envelope=False)}


@pytest.mark.parametrize("fault", UNREADABLE)
async def test_a_message_that_stays_unknown_is_set_aside_and_named(
    fault: str, simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="close")
    first = await stopped(
        simulator,
        journal,
        60,
        lambda: "close" in [request.operation for request in simulator.requests],
        concurrency=1,
    )
    assert first.accepted == 0
    lost = next(iter(simulator.gateway.messages))
    simulator.faults.plan = faults_by_message(simulator, {("get", 0): UNREADABLE[fault]})
    for _ in range(2):
        error = await resumed(simulator, journal)
        check(error.receipt, simulator, set(numbers(60)))
        assert (error.receipt.accepted, len(error.receipt.unknown)) == (50, 10)
        assert "outcome of 10 is not known" in error.reason
        assert lost in error.reason
        assert error.__cause__ is not None
        assert error.resumable
    simulator.faults.clear()
    async with client(simulator) as gateway:
        receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    assert simulator.ledger == dict.fromkeys(numbers(60), 1)


async def test_what_was_set_aside_still_counts_towards_the_ceiling(
    simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="close")
    await stopped(
        simulator,
        journal,
        30,
        lambda: "close" in [request.operation for request in simulator.requests],
        concurrency=1,
        max_recipients=25,
    )
    simulator.faults.plan = faults_by_message(simulator, {("get", 0): UNREADABLE["404"]})
    error = await resumed(simulator, journal)
    check(error.receipt, simulator, set(numbers(30)))
    assert isinstance(error.__cause__, LimitReachedError)
    assert len(simulator.ledger) == 25
    assert next(iter(simulator.gateway.messages)) in error.reason


async def test_a_new_message_that_stays_unknown_stops_the_campaign(
    simulator: Simulator, journal: Path
) -> None:
    def after_the_close(request: RecordedRequest) -> Fault | None:
        closes = [one for one in simulator.requests if one.operation == "close"]
        return UNREADABLE["500"] if closes and request.operation == "get" else None

    simulator.faults.plan = after_the_close
    async with client(simulator) as gateway:
        with pytest.raises(BulkSendError) as caught:
            await gateway.send_bulk(
                numbers(60),
                **ACME,
                batch_size=5,
                recipients_per_message=10,
                concurrency=1,
                journal=journal,
            )
    check(caught.value.receipt, simulator, set(numbers(60)))
    assert len(caught.value.receipt.unknown) == 10
    assert len(simulator.ledger) == 10
