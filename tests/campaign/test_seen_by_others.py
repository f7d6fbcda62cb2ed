"""A campaign's open message that another client closes, as read by another part of this program.

The search for a lost send reads every message of the account, and a user may read any. Once the
answer is here, no recipient of that message may be reported as unsent.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InvalidRequestError,
    Progress,
    Receipt,
    RetryPolicy,
    TransactionClosedError,
    read_journal,
)
from gateway_sms_async._journal.journal import Journal
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, numbers
from ..support.policy import QUICK

pytestmark = pytest.mark.anyio

BRIEF = RetryPolicy(max_attempts=2, base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


def _client(
    simulator: Simulator, *, timeout: float = 5, retry: RetryPolicy = QUICK
) -> GatewayClient:
    return GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, timeout=timeout, retry=retry
    )


async def _filled(simulator: Simulator, appends: int = 1) -> None:
    """Wait until the campaign has added so many batches."""
    while [one.operation for one in simulator.requests].count("append") < appends:
        await asyncio.sleep(0.001)


async def _get(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.get(message_id)


async def _find(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.find("order-4711")


async def _append(gateway: GatewayClient, message_id: str) -> None:
    with pytest.raises(TransactionClosedError):
        await gateway.messages.update(message_id, recipients=numbers(1, start=900))


async def _delete(gateway: GatewayClient, message_id: str) -> None:
    with pytest.raises(InvalidRequestError):
        await gateway.messages.delete(message_id)


async def _close(gateway: GatewayClient, message_id: str) -> None:
    await gateway.messages.update(message_id, transaction=False)


@pytest.mark.parametrize("journaled", [False, True])
@pytest.mark.parametrize("read", [_get, _find, _append, _delete, _close])
async def test_a_message_that_any_answer_shows_closed_is_never_unsent(
    read: Callable[[GatewayClient, str], Awaitable[None]],
    simulator: Simulator,
    tmp_path: Path,
    *,
    journaled: bool,
) -> None:
    stop, journal = asyncio.Event(), tmp_path / "campaign.db" if journaled else None
    # Nothing that the campaign is answered shows that the message is closed.
    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with _client(simulator, timeout=1) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop))
        await _filled(simulator)
        [message_id] = simulator.gateway.messages
        if read is not _close:
            simulator.gateway.close_all()
        await read(gateway, message_id)
        stop.set()
        receipt = await sending
        texted = simulator.ledger
        assert texted == dict.fromkeys(numbers(3), 1)
        assert not texted.keys() & set(receipt.unsent)
        check(receipt, simulator)
        if journal is not None:
            check(await read_journal(journal), simulator)
            receipt = await _resume(gateway, journal)
            check(receipt, simulator)
            assert receipt.complete
            assert simulator.ledger == dict.fromkeys(numbers(5), 1)


async def _send(
    gateway: GatewayClient,
    journal: Path | None,
    stop: asyncio.Event,
    count: int = 5,
    source: Iterable[str] | AsyncIterable[str] | None = None,
    **more: Any,
) -> Receipt:
    recipients = numbers(count) if source is None else source
    settings: dict[str, Any] = {"batch_size": 2, "recipients_per_message": 5, "stop": stop, **more}
    try:
        return await gateway.send_bulk(recipients, **ACME, journal=journal, **settings)
    except BulkSendError as error:
        return error.receipt


async def _resume(gateway: GatewayClient, journal: Path) -> Receipt:
    try:
        return await gateway.resume_bulk(journal)
    except BulkSendError as error:
        return error.receipt


async def test_a_look_made_before_another_answer_does_not_outweigh_it(
    simulator: Simulator, tmp_path: Path
) -> None:
    """The answer "open" to a slow look comes after another one has shown the message closed."""
    stop, journal, looked = asyncio.Event(), tmp_path / "campaign.db", asyncio.Event()
    second = ""
    simulator.faults.add(Fault.hang(after_apply=True), on="append", times=2)
    prompt = simulator.latency

    def delay(request: RecordedRequest) -> float:
        is_slow = stop.is_set() and request.path.endswith(second) and not looked.is_set()
        simulator.latency = 0.3 if is_slow else prompt
        if is_slow:
            looked.set()
        return 0.0

    simulator.delay = delay
    async with _client(simulator, timeout=1) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop, count=10))
        await _filled(simulator, 2)
        first, second = simulator.gateway.messages
        simulator.gateway.messages[first].close(time.time())
        await gateway.messages.get(first)
        stop.set()
        await looked.wait()
        await asyncio.sleep(0.05)
        simulator.gateway.close_all()
        assert not (await gateway.messages.get(second)).transaction
        check(await sending, simulator)
        assert len(simulator.ledger) == 6
        check(await read_journal(journal), simulator)
        receipt = await _resume(gateway, journal)
        assert receipt.complete
        assert simulator.ledger == dict.fromkeys(numbers(10), 1)


async def test_a_message_is_shown_closed_once_however_often_it_is_read(
    simulator: Simulator,
) -> None:
    """Each time would be a reason to look at every other open message again."""
    stop = asyncio.Event()
    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with _client(simulator, timeout=1) as gateway:
        sending = asyncio.create_task(_send(gateway, None, stop, count=40))
        await _filled(simulator, 2)
        stop.set()
        await asyncio.sleep(0.05)
        first, *others = simulator.gateway.messages
        for one in others:
            simulator.gateway.messages[one].close(time.time())
        while not sending.done():
            for one in others:
                await gateway.messages.get(one)
        check(await sending, simulator)
        looks = sum(one.path.endswith(first) for one in simulator.requests)
        assert looks <= 3


async def test_a_close_of_an_earlier_run_is_not_that_of_another_client(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closed message is read while the resume is still restoring it."""
    journal, resuming = tmp_path / "campaign.db", False

    def plan(request: RecordedRequest) -> Fault | None:
        [first, *_] = simulator.gateway.messages or [""]
        begun = any(one.operation == "close" for one in simulator.requests)
        if request.operation == "close" and not resuming:
            return Fault.hang(after_apply=True)
        # Not readable by the campaign, so that what was closed stays unknown.
        is_look = request.operation == "get" and begun and first in request.path
        return Fault.status(503) if is_look and not reading else None

    simulator.faults.plan = plan
    reading, restored = False, 0
    async with _client(simulator, timeout=0.3, retry=BRIEF) as gateway:
        receipt = await _send(
            gateway, journal, asyncio.Event(), count=8, concurrency=1, recipients_per_message=3
        )
        assert receipt.unknown
        resuming = True
        recipients = Journal.recipients

        async def read_meanwhile(self: Journal, ranges: Any) -> Any:
            nonlocal reading, restored
            restored += 1
            if restored == 2:
                # The batch of its close, after those that were on it before.
                reading = True
                [first, *_] = simulator.gateway.messages
                assert not (await gateway.messages.get(first)).transaction
                reading = False
            return await recipients(self, ranges)

        monkeypatch.setattr(Journal, "recipients", read_meanwhile)
        resumed = await _resume(gateway, journal)
        assert resumed.unknown == receipt.unknown
        assert resumed.accepted == 8 - len(receipt.unknown)
        check(resumed, simulator, set(numbers(8)))


async def test_a_message_shown_closed_while_the_rest_of_the_source_is_counted_is_not_unsent(
    simulator: Simulator, tmp_path: Path
) -> None:
    """After the last request of a campaign, its receipt is not made yet."""
    stop, reading, shown = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def source() -> Iterator[str]:
        yield from numbers(5)
        # Without a length, it is read to its end or for a few seconds when the campaign has stopped.
        for number in numbers(100_000, start=1000):
            if asyncio.current_task() is sending:
                # Not its feeder, which is another task: all its requests have ended.
                reading.set()
                time.sleep(0.0005)
            if shown.is_set():
                return
            yield number

    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with _client(simulator, timeout=0.3) as gateway:
        sending = asyncio.create_task(
            _send(gateway, None, stop, source=source(), concurrency=1, recipients_per_message=50)
        )
        await _filled(simulator)
        stop.set()
        await reading.wait()
        simulator.gateway.close_all()
        [message_id] = simulator.gateway.messages
        await gateway.messages.get(message_id)
        assert not sending.done()
        shown.set()
        receipt = await sending
        assert simulator.ledger
        assert not simulator.ledger.keys() & set(receipt.unsent)
        assert simulator.ledger.keys() <= set(receipt.unknown)
        assert receipt.open_message_ids == ()
        check(receipt, simulator)


async def test_a_message_shown_closed_before_its_open_is_answered_is_not_unsent(
    simulator: Simulator, tmp_path: Path
) -> None:
    """Its id is not known yet to the campaign, but to the reader."""
    stop, journal, prompt = asyncio.Event(), tmp_path / "campaign.db", simulator.latency

    def delay(request: RecordedRequest) -> float:
        simulator.latency = 0.3 if request.operation == "open" else prompt
        return 0.0

    simulator.delay = delay
    async with _client(simulator, timeout=5) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop))
        while not simulator.gateway.messages:
            await asyncio.sleep(0.001)
        [message_id] = simulator.gateway.messages
        simulator.gateway.close_all()
        await gateway.messages.get(message_id)
        assert [one.status for one in simulator.requests if one.operation == "open"] == [None]
        stop.set()
        receipt = await sending
        assert simulator.ledger == dict.fromkeys(numbers(2), 1)
        check(receipt, simulator)
        check(await read_journal(journal), simulator)
        receipt = await _resume(gateway, journal)
        assert receipt.complete
        assert simulator.ledger == dict.fromkeys(numbers(5), 1)


async def test_a_message_shown_closed_while_a_resume_restores_it_is_not_unsent(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has named the message, and the campaign does not watch it yet."""
    stop, journal = asyncio.Event(), tmp_path / "campaign.db"
    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with _client(simulator, timeout=0.3) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop))
        await _filled(simulator)
        stop.set()
        receipt = await sending
        assert set(receipt.unsent) == set(numbers(5))
        [message_id] = receipt.open_message_ids
        recipients, again = Journal.recipients, asyncio.Event()

        async def read_meanwhile(self: Journal, ranges: Any) -> Any:
            if not again.is_set():
                again.set()
                simulator.gateway.close_all()
                assert not (await gateway.messages.get(message_id)).transaction
            return await recipients(self, ranges)

        monkeypatch.setattr(Journal, "recipients", read_meanwhile)
        # Nor may it matter that the ended campaign is still in memory.
        gc.disable()
        try:
            receipt = await gateway.resume_bulk(journal, stop=again)
        except BulkSendError as error:
            receipt = error.receipt
        finally:
            gc.enable()
        assert simulator.ledger
        check(receipt, simulator)
        check(await read_journal(journal), simulator)


async def test_a_message_shown_closed_after_a_cancelled_campaigns_last_request_is_not_unsent(
    simulator: Simulator, tmp_path: Path
) -> None:
    """There is no receipt, and the journal is not closed before the last report has ended."""
    stop, journal, shown, last = asyncio.Event(), tmp_path / "campaign.db", asyncio.Event(), False

    async def report(_: Progress) -> None:
        if last:
            await shown.wait()

    simulator.faults.add(Fault.hang(after_apply=True), on="append", times=2)
    async with _client(simulator, timeout=0.3) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop, count=10, on_progress=report))
        await _filled(simulator, 2)
        last = True
        sending.cancel()
        await asyncio.sleep(1)
        assert not sending.done()
        simulator.gateway.close_all()
        first, *_ = simulator.gateway.messages
        # One of them: the other was not looked at since, so it may be closed too.
        await gateway.messages.get(first)
        shown.set()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert simulator.ledger
        check(await read_journal(journal), simulator)


async def test_the_receipt_of_a_transaction_left_open_says_unknown_once_it_is_shown_closed(
    simulator: Simulator,
) -> None:
    async with _client(simulator) as gateway:
        transaction = gateway.transaction(**ACME, batch_size=2)
        with pytest.raises(KeyError):
            async with transaction:
                await transaction.add(numbers(5))
                while transaction.message_id is None:
                    await asyncio.sleep(0.001)
                raise KeyError
        assert set(transaction.receipt.unsent) == set(numbers(5))
        simulator.gateway.close_all()
        await gateway.messages.get(transaction.message_id or "")
        receipt = transaction.receipt
        assert simulator.ledger
        assert simulator.ledger.keys() <= set(receipt.unknown)
        assert len(receipt.unknown) + len(receipt.unsent) == 5
        assert receipt.open_message_ids == ()
        assert {one.message_id for one in receipt.outcomes if one.name == "unsent"} <= {None}
        assert transaction.receipt.unknown == receipt.unknown


@pytest.mark.parametrize("journaled", [False, True])
async def test_a_message_shown_closed_though_its_open_was_never_answered_is_not_unsent(
    simulator: Simulator, tmp_path: Path, *, journaled: bool
) -> None:
    """Its id is not known to the campaign, but the answer shows the reference of the open."""
    stop, journal = asyncio.Event(), tmp_path / "campaign.db" if journaled else None
    simulator.faults.add(Fault.hang(after_apply=True), on="open")
    async with _client(simulator, timeout=0.5, retry=RetryPolicy(max_attempts=1)) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop, concurrency=1))
        while not simulator.gateway.messages:
            await asyncio.sleep(0.001)
        [message_id] = simulator.gateway.messages
        simulator.gateway.close_all()
        await gateway.messages.get(message_id)
        receipt = await sending
        assert simulator.ledger.keys() == set(receipt.unknown)
        check(receipt, simulator)
        if journal is not None:
            check(await read_journal(journal), simulator)
            receipt = await _resume(gateway, journal)
            assert simulator.ledger == dict.fromkeys(numbers(5), 1)
            check(receipt, simulator)


async def test_the_receipt_of_a_transaction_whose_open_was_not_answered_says_unknown_too(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="open")
    async with _client(simulator, timeout=0.3, retry=RetryPolicy(max_attempts=1)) as gateway:
        transaction = gateway.transaction(**ACME, batch_size=2)
        with pytest.raises(BulkSendError):
            async with transaction:
                await transaction.add(numbers(5))
        assert set(transaction.receipt.unsent) == set(numbers(5))
        simulator.gateway.close_all()
        [message_id] = simulator.gateway.messages
        await gateway.messages.get(message_id)
        receipt = transaction.receipt
        assert simulator.ledger.keys() == set(receipt.unknown)
        assert len(receipt.unknown) + len(receipt.unsent) == 5


async def test_a_message_shown_closed_before_the_receipt_is_returned_is_not_unsent(
    simulator: Simulator, tmp_path: Path
) -> None:
    """The last progress report is still running then."""
    stop, journal, shown, last = asyncio.Event(), tmp_path / "campaign.db", asyncio.Event(), False

    async def report(_: Progress) -> None:
        if last:
            await shown.wait()

    simulator.faults.add(Fault.hang(after_apply=True), on="append")
    async with _client(simulator, timeout=0.3) as gateway:
        sending = asyncio.create_task(_send(gateway, journal, stop, on_progress=report))
        await _filled(simulator)
        last = True
        stop.set()
        await asyncio.sleep(0.8)
        assert not sending.done()
        simulator.gateway.close_all()
        [message_id] = simulator.gateway.messages
        await gateway.messages.get(message_id)
        shown.set()
        receipt = await sending
        assert simulator.ledger
        assert simulator.ledger.keys() <= set(receipt.unknown)
        check(receipt, simulator)
        written = await read_journal(journal)
        assert set(written.unknown) == set(receipt.unknown)


async def test_one_closed_message_is_one_reason_to_doubt_its_neighbours(
    simulator: Simulator,
) -> None:
    """A user's call shows it, and later the answer to a request that was on its way."""
    stop, appends = asyncio.Event(), 0

    def delay(request: RecordedRequest) -> float:
        nonlocal appends
        appends += request.operation == "append"
        return 1.0 if request.operation == "append" and appends == 1 else 0.0

    simulator.delay = delay
    async with _client(simulator, timeout=5) as gateway:
        sending = asyncio.create_task(
            _send(gateway, None, stop, count=12, recipients_per_message=6, concurrency=2)
        )
        while not appends or len(simulator.gateway.messages) < 2:
            await asyncio.sleep(0.001)
        [slow, *_] = [one for one in simulator.requests if one.operation == "append"]
        message_id = slow.path.split("/")[2]
        simulator.gateway.messages[message_id].close(time.time())
        await gateway.messages.get(message_id)
        stop.set()
        receipt = await sending
        assert not receipt.unknown
        assert receipt.accepted == len(simulator.ledger)
        check(receipt, simulator)


@pytest.mark.parametrize("kind", ["campaign", "transaction"])
async def test_a_look_made_before_another_answer_does_not_end_a_refused_close(
    simulator: Simulator, kind: str
) -> None:
    """The look after a refused close is slow; meanwhile others close the message."""
    simulator.faults.add(Fault.status(402), on="close")
    simulator.faults.add(Fault.drip(0.004), on="get", skip=1)
    async with _client(simulator, timeout=5) as gateway:

        async def transact() -> Receipt:
            try:
                async with gateway.transaction(**ACME, batch_size=2) as transaction:
                    await transaction.add(numbers(3))
            except BulkSendError as error:
                return error.receipt
            raise AssertionError

        sends = _send(gateway, None, asyncio.Event(), count=3) if kind == "campaign" else transact()
        sending = asyncio.create_task(sends)
        while [one.operation for one in simulator.requests].count("get") < 2:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        simulator.gateway.close_all()
        [message_id] = simulator.gateway.messages
        await gateway.messages.get(message_id)
        receipt = await sending
        assert set(numbers(2)) <= simulator.ledger.keys()
        assert receipt.accepted == len(simulator.ledger)
        check(receipt, simulator)


async def _three_messages(
    simulator: Simulator, gateway: GatewayClient, stop: asyncio.Event, **more: Any
) -> tuple[asyncio.Task[Receipt], list[str]]:
    """Begin a campaign whose three messages are open, each with an append that hangs."""
    sending = asyncio.create_task(
        _send(
            gateway,
            more.pop("journal", None),
            stop,
            count=18,
            recipients_per_message=6,
            concurrency=3,
            **more,
        )
    )
    await _filled(simulator, 3)
    return sending, list(simulator.gateway.messages)


class _Unreadable:
    """Makes a message unreadable for a while; every append hangs after it is applied."""

    def __init__(self, simulator: Simulator) -> None:
        self.message_id: str | None = None
        simulator.faults.plan = self._plan

    def _plan(self, request: RecordedRequest) -> Fault | None:
        if request.operation == "append":
            return Fault.hang(after_apply=True)
        is_hidden = self.message_id is not None and self.message_id in request.path
        return Fault.status(503) if request.operation == "get" and is_hidden else None


async def test_a_message_that_was_feared_to_be_closed_and_is_shown_so_puts_others_in_doubt(
    simulator: Simulator,
) -> None:
    stop, shown, last = asyncio.Event(), asyncio.Event(), False
    hidden = _Unreadable(simulator)

    async def report(_: Progress) -> None:
        if last:
            await shown.wait()

    async with _client(simulator, timeout=0.4, retry=BRIEF) as gateway:
        sending, [feared, other, closed] = await _three_messages(
            simulator, gateway, stop, on_progress=report
        )
        hidden.message_id = feared
        simulator.gateway.messages[closed].close(time.time())
        await gateway.messages.get(closed)
        stop.set()
        last = True
        while not any(one.path.endswith(other) for one in simulator.requests):
            await asyncio.sleep(0.001)
        # Until it has given up looking at the message that cannot be read.
        await asyncio.sleep(2.5)
        assert not sending.done()
        hidden.message_id = None
        simulator.gateway.close_all()
        await gateway.messages.get(feared)
        shown.set()
        check(await sending, simulator)


async def test_a_resume_that_finds_a_feared_message_closed_puts_others_in_doubt(
    simulator: Simulator, tmp_path: Path
) -> None:
    stop, again, journal = asyncio.Event(), asyncio.Event(), tmp_path / "campaign.db"
    hidden = _Unreadable(simulator)
    async with _client(simulator, timeout=0.4, retry=BRIEF) as gateway:
        sending, [feared, other, closed] = await _three_messages(
            simulator, gateway, stop, journal=journal
        )
        hidden.message_id = feared
        simulator.gateway.messages[closed].close(time.time())
        await gateway.messages.get(closed)
        stop.set()
        check(await sending, simulator)
        hidden.message_id = None
        simulator.gateway.close_all()
        before = len(simulator.requests)

        def delay(request: RecordedRequest) -> float:
            return 0.3 if other in request.path and not again.is_set() else 0.0

        simulator.delay = delay
        resuming = asyncio.create_task(gateway.resume_bulk(journal, stop=again))
        while not any(one.operation == "recipients" for one in simulator.requests[before:]):
            await asyncio.sleep(0.001)
        again.set()
        with pytest.raises(BulkSendError) as stopped:
            await resuming
        check(stopped.value.receipt, simulator)
        check(await read_journal(journal), simulator)


async def test_a_close_of_others_that_the_list_proves_puts_other_messages_in_doubt(
    simulator: Simulator,
) -> None:
    """The close is lost; others close all; the list lacks the recipient that the close brought."""
    stop = asyncio.Event()
    simulator.faults.add(Fault.hang(), on="close")

    def delay(request: RecordedRequest) -> float:
        _, *others = simulator.gateway.messages or [""]
        is_other = request.operation == "get" and any(one in request.path for one in others)
        return 50.0 if is_other and not stop.is_set() else 0.0

    simulator.delay = delay
    async with _client(simulator, timeout=1) as gateway:
        sending = asyncio.create_task(
            _send(gateway, None, stop, count=6, recipients_per_message=3, concurrency=4)
        )
        while not any(one.operation == "close" for one in simulator.requests):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        simulator.gateway.close_all()
        while not any(one.operation == "recipients" for one in simulator.requests):
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.3)
        stop.set()
        check(await sending, simulator)


async def test_a_close_that_comes_too_late_puts_other_messages_in_doubt() -> None:
    """Others close all messages before a close, and no list tells whom its message holds."""
    stop = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for one in numbers(16):
            yield one
        await stop.wait()

    async with Simulator(dialect=Dialect(list_limit=1)) as simulator:
        simulator.faults.add(Fault.closed_by_others(), on="close")
        # The second message is opened before the first is closed.
        simulator.delay = lambda request: 0.1 if request.operation == "get" else 0.0
        async with _client(simulator, timeout=1, retry=BRIEF) as gateway:
            sizes: dict[str, Any] = {"batch_size": 5, "recipients_per_message": 10}
            receipt = await _send(gateway, None, stop, source=source(), **sizes)
        assert len(simulator.ledger) == 14, "two messages were open"
        check(receipt, simulator)


async def test_no_message_is_closed_of_which_a_copy_is_shown_closed(
    simulator: Simulator,
) -> None:
    """The open was made twice, because an answer was lost; somebody has closed the first one."""
    simulator.faults.add(Fault.hang(after_apply=True), on="open")
    simulator.delay = lambda request: 0.3 if request.operation == "append" else 0.0
    async with _client(simulator, timeout=0.6) as gateway:
        sending = asyncio.create_task(
            _send(
                gateway,
                None,
                asyncio.Event(),
                count=6,
                batch_size=3,
                recipients_per_message=6,
                concurrency=1,
            )
        )
        while not any(one.operation == "append" for one in simulator.requests):
            await asyncio.sleep(0.001)
        copy, _ = simulator.gateway.messages
        simulator.gateway.messages[copy].close(time.time())
        await gateway.messages.get(copy)
        receipt = await sending
        assert simulator.ledger == dict.fromkeys(numbers(3), 1), "nobody got it twice"
        assert set(numbers(3)) <= set(receipt.unknown)
        check(receipt, simulator)
