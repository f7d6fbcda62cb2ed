"""Regressions: other clients of one account, slow disks, unusual rows, limits across resumes.

Each of these once texted a recipient twice, lost one, or reported something false.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    AuthenticationError,
    BulkSendError,
    GatewayClient,
    LimitReachedError,
    Receipt,
    RetryPolicy,
    read_journal,
)
from gateway_sms_async._journal.records import AppendIntent, SingleSendIntent, decode
from gateway_sms_async._journal.store import Store
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, numbers, parts

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
SHORT = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.3)


def client(simulator: Simulator) -> GatewayClient:
    return GatewayClient(simulator.token, base_url=simulator.url, rate=None, timeout=2, retry=SHORT)


async def send(
    simulator: Simulator, journal: Path, recipients: Sequence[str], **more: Any
) -> Receipt:
    settings = {"batch_size": 2, "concurrency": 2, **more}
    async with client(simulator) as gateway:
        try:
            return await gateway.send_bulk(recipients, **ACME, journal=journal, **settings)
        except BulkSendError as error:
            return error.receipt


async def resume(simulator: Simulator, journal: Path) -> Receipt:
    async with client(simulator) as gateway:
        try:
            return await gateway.resume_bulk(journal)
        except BulkSendError as error:
            return error.receipt


def close_by_another_hand(simulator: Simulator) -> None:
    message = next(iter(simulator.gateway.messages.values()))
    if message.is_open:
        message.close(time.time())


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "campaign.db"


async def test_an_intent_that_was_cut_off_is_taken_back(
    simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intents = 0
    commit = Store.commit

    def slow(self: Store, values: Sequence[bytes], *, finished: bool) -> None:
        nonlocal intents
        intents += sum(isinstance(decode(value), AppendIntent) for value in values)
        if intents > 1:
            time.sleep(0.05)
        commit(self, values, finished=finished)

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation == "append":
            close_by_another_hand(simulator)
        return None

    monkeypatch.setattr(Store, "commit", slow)
    simulator.faults.plan = plan
    first = await send(simulator, journal, numbers(9))
    simulator.faults.clear()
    kept = await read_journal(journal)
    assert (kept.accepted, sorted(kept.unsent)) == (first.accepted, sorted(first.unsent))
    assert (await resume(simulator, journal)).complete
    assert simulator.ledger == dict.fromkeys(numbers(9), 1)


async def test_a_message_closed_while_it_is_deleted_keeps_its_recipients(journal: Path) -> None:
    async with Simulator(dialect=Dialect(list_while_open=False)) as simulator:

        def plan(request: RecordedRequest) -> Fault | None:
            if request.operation == "delete":
                close_by_another_hand(simulator)
            messages = list(simulator.gateway.messages.values())
            if request.operation == "recipients" and not messages[0].is_open:
                return Fault.status(500, envelope=False)
            return None

        simulator.faults.plan = plan
        simulator.faults.add(Fault.reset(), on="append")
        first = await send(simulator, journal, numbers(8))
        check(first, simulator)
        assert first.unknown
        kept = await read_journal(journal)
        assert kept.unknown == first.unknown, "texted, and so never called unsent"
        simulator.faults.clear()
        simulator.delay = lambda request: 0.05 if request.operation == "delete" else 0.0
        assert (await resume(simulator, journal)).complete
        assert simulator.ledger == dict.fromkeys(numbers(8), 1)


@pytest.mark.parametrize("limit", [{"max_recipients": 4}, {"max_cost": "0.13"}])
async def test_limits_hold_over_any_number_of_resumes(
    simulator: Simulator, journal: Path, limit: dict[str, Any]
) -> None:
    first = await send(simulator, journal, numbers(8), recipients_per_message=4, **limit)
    check(first, simulator, set(numbers(8)))
    for _ in range(3):
        receipt = await resume(simulator, journal)
        check(receipt, simulator, set(numbers(8)))
        assert len(simulator.ledger) <= 4
    assert len(simulator.ledger) == 4, "what is within the limit goes out"
    with pytest.raises(BulkSendError) as caught:
        async with client(simulator) as gateway:
            await gateway.resume_bulk(journal)
    assert isinstance(caught.value.__cause__, LimitReachedError)


async def test_a_plain_send_that_was_stopped_before_it_left_is_sent_by_a_resume(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, stop = Store.commit, asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(self: Store, values: Sequence[bytes], *, finished: bool) -> None:
        if any(isinstance(decode(value), SingleSendIntent) for value in values):
            loop.call_soon_threadsafe(stop.set)
            time.sleep(0.05)
        commit(self, values, finished=finished)

    async with Simulator(dialect=Dialect(empty_close=False)) as simulator:
        monkeypatch.setattr(Store, "commit", slow)
        first = await send(simulator, journal, numbers(1), stop=stop)
        assert first.unsent == (await read_journal(journal)).unsent == tuple(numbers(1))
        monkeypatch.undo()
        assert (await resume(simulator, journal)).complete
        assert simulator.ledger == dict.fromkeys(numbers(1), 1)


@pytest.mark.parametrize("with_journal", [False, True])
async def test_a_row_that_is_no_text_stops_no_other_recipient(
    simulator: Simulator, journal: Path, *, with_journal: bool
) -> None:
    class Odd(str):
        """A subclass of str, like those of numpy and string enums."""

        __slots__ = ()

    source: list[Any] = [*numbers(3), "abc\udce9", (numbers(1, 3)[0], {"name": Odd("\udce9")})]
    async with client(simulator) as gateway:
        receipt = await gateway.send_bulk(source, **ACME, journal=journal if with_journal else None)
    assert (receipt.accepted, len(receipt.invalid)) == (3, 2)
    assert receipt.complete


async def test_a_journal_that_cannot_be_read_back_costs_no_receipt(
    simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipients, reads = Store.recipients, 0

    def failing(self: Store, first: int) -> tuple[int, bytes]:
        nonlocal reads
        reads += 1
        if reads > 2:
            raise OSError(5, "disk I/O error")
        return recipients(self, first)

    monkeypatch.setattr(Store, "recipients", failing)
    receipt = await send(simulator, journal, numbers(12), recipients_per_message=2, concurrency=1)
    assert parts(receipt) == receipt.total == 12
    assert receipt.accepted == len(simulator.ledger)
    monkeypatch.undo()
    assert (await resume(simulator, journal)).complete
    assert simulator.ledger == dict.fromkeys(numbers(12), 1)


async def test_a_close_ends_when_its_client_is_closed(simulator: Simulator) -> None:
    gateway = await client(simulator).open()
    transaction = gateway.with_options(retry=RetryPolicy(max_elapsed=60)).transaction(**ACME)
    await transaction.add(numbers(5))
    simulator.faults.add(Fault.hang(), on="close")
    closing = asyncio.create_task(transaction.close())
    while not any(request.operation == "close" for request in simulator.requests):
        await asyncio.sleep(0.001)
    await gateway.aclose()
    with pytest.raises(BulkSendError):
        await asyncio.wait_for(closing, 1)
    assert transaction.receipt.unknown == tuple(numbers(5))


async def test_a_token_that_was_good_after_all_is_renewed_when_it_ends(
    simulator: Simulator,
) -> None:
    class Source:
        good = simulator.token
        asked = 0

        async def token(self) -> str:
            return simulator.token

        async def renew(self, rejected: str) -> str:
            self.asked += 1
            return self.good

    source = Source()
    async with GatewayClient(source, base_url=simulator.url, rate=None, retry=SHORT) as gateway:
        simulator.faults.add(Fault.status(401), on="list")
        with pytest.raises(AuthenticationError):
            await gateway.messages.list()
        assert await gateway.messages.list() == []
        source.good = "another"
        simulator.tokens = {"another"}
        assert await gateway.messages.list() == []
        assert source.asked == 2


async def test_tasks_that_wait_for_a_source_without_another_token_ask_it_once(
    simulator: Simulator,
) -> None:
    class Source:
        asked = 0

        async def token(self) -> str:
            return "expired"

        async def renew(self, rejected: str) -> str:
            self.asked += 1
            await asyncio.sleep(0.05)
            return rejected

    source = Source()
    async with GatewayClient(
        source, base_url=simulator.url, rate=None, concurrency=20, retry=SHORT
    ) as gateway:
        calls = [gateway.messages.list() for _ in range(20)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(one, AuthenticationError) for one in ended)
    assert source.asked == 1


async def test_after_one_was_closed_elsewhere_a_neighbour_that_was_not_looked_at_is_unknown(
    simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation != "append":
            return None
        # Two messages are filled side by side: both are closed by another hand, and the second one
        # hangs longer than the grace period.
        first, second = list(simulator.gateway.messages.values())[:2]
        if second.id in request.path:
            return Fault.hang()
        for message in (first, second):
            if message.is_open:
                message.close(time.time())
        return None

    simulator.faults.plan = plan
    # An append leaves when both messages are open.
    simulator.delay = lambda request: 0.05 if request.operation == "append" else 0.0
    async with client(simulator) as gateway:
        patient = gateway.with_options(timeout=30, retry=RetryPolicy(max_elapsed=60))
        with pytest.raises(BulkSendError) as caught:
            await patient.send_bulk(
                numbers(16),
                **ACME,
                batch_size=2,
                recipients_per_message=8,
                concurrency=4,
                journal=journal,
            )
    receipt = caught.value.receipt
    check(receipt, simulator, set(numbers(16)))
    assert receipt.unknown, "the second message was not looked at since"
    kept = await read_journal(journal)
    check(kept, simulator, set(numbers(16)))


async def test_after_one_was_closed_elsewhere_what_an_open_without_an_answer_brought_is_unknown(
    simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)

    def plan(request: RecordedRequest) -> Fault | None:
        messages = list(simulator.gateway.messages.values())
        if request.operation == "open" and messages:
            return Fault.hang(after_apply=True)
        for message in messages if request.operation == "append" else []:
            if message.is_open:
                message.close(time.time())
        return None

    simulator.faults.plan = plan
    # An append leaves when both messages are open.
    simulator.delay = lambda request: 0.05 if request.operation == "append" else 0.0
    async with client(simulator) as gateway:
        patient = gateway.with_options(timeout=30, retry=RetryPolicy(max_elapsed=60))
        with pytest.raises(BulkSendError) as caught:
            await patient.send_bulk(
                numbers(16),
                **ACME,
                batch_size=2,
                recipients_per_message=8,
                concurrency=4,
                journal=journal,
            )
    lost = list(simulator.gateway.messages.values())[1]
    for receipt in (caught.value.receipt, await read_journal(journal)):
        check(receipt, simulator, set(numbers(16)))
        assert set(lost.numbers) <= set(receipt.unknown), "its id is not known, so it was not seen"
