"""A gateway or proxy that contradicts itself: nothing it says is believed without a look.

Each of these once called a recipient unsent who was texted, texted one twice, or lost one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, read_journal
from gateway_sms_async._http.transport import Transport
from gateway_sms_async._journal.records import CloseRefused, decode
from gateway_sms_async._journal.store import Store
from gateway_sms_async._transaction.accumulator import Accumulator
from gateway_sms_async.testing import Fault, RecordedRequest

from ..support.accounting import check, numbers
from ..support.campaigns import pair, send

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "careful": {"careful": True},
    "verify": {"verify": "always"},
}
REFUSALS = [(400, 400), (401, 401), (402, 201), (403, 403), (404, 404), (406, 210), (413, 413)]
REFUSALS += [(422, 422), (429, 429)]


# --- a proxy that repeats requests, and gives back the refusal of the second copy ----------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_close_that_was_applied_and_refused_is_settled(
    refusal: tuple[int, int], mode: str
) -> None:
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.status(*refusal, after_apply=True), on="close")
        receipt, error = await send(gateway, **MODES[mode])
        assert error is None
        assert receipt.complete
        assert receipt.accepted == 40
        check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_every_close_applied_and_refused(refusal: tuple[int, int]) -> None:
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.status(*refusal, after_apply=True), on="close", times=None)
        receipt, error = await send(gateway)
        assert error is None
        assert receipt.accepted == 40
        check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
async def test_a_refused_close_that_nobody_can_look_at_is_unknown(
    refusal: tuple[int, int], mode: str
) -> None:
    async with pair() as (simulator, gateway):

        def plan(request: RecordedRequest) -> Fault | None:
            if request.operation == "close":
                return Fault.status(*refusal, after_apply=True)
            closed = any(one.operation == "close" for one in simulator.requests)
            return Fault.reset() if closed and request.operation == "get" else None

        simulator.faults.plan = plan
        receipt, error = await send(gateway, 20, concurrency=1, **MODES[mode])
        assert error is not None
        assert receipt.unknown
        assert not receipt.accepted
        check(receipt, simulator, set(numbers(receipt.total)))


@pytest.mark.parametrize("refusal", [(401, 401), (402, 201), (403, 403)], ids=str)
async def test_a_refused_close_is_unsent_once_the_message_was_seen_unchanged(
    refusal: tuple[int, int], tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.status(*refusal), on="close")
        receipt, error = await send(gateway, 20, concurrency=1, journal=journal)
        assert error is not None
        assert len(receipt.unsent) == 20
        looks = [one.operation for one in simulator.requests]
        assert looks[looks.index("close") + 1 :][-1] == "get"
        assert (await read_journal(journal)).unsent == receipt.unsent
        receipt = await gateway.resume_bulk(journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


async def test_a_refused_close_that_only_added_its_recipients_is_deleted() -> None:
    async with pair(split_close=True) as (simulator, gateway):
        simulator.faults.add(Fault.status(402, 201, after_apply=True), on="close")
        receipt, _ = await send(gateway, 20, concurrency=1)
        check(receipt, simulator, set(numbers(20)))
        assert receipt.accepted == 20


# --- lists, ids and counts ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pages", [2, 3, 7])
async def test_a_list_with_one_entry_twice_and_another_missing_is_not_whole(
    pages: int, mode: str
) -> None:
    async with pair(list_pages=pages) as (simulator, gateway):
        simulator.faults.add(Fault.reset(after_apply=True), on="append")
        receipt, _ = await send(gateway, **MODES[mode])
        check(receipt, simulator, set(numbers(receipt.total)))
        assert not receipt.doubled
        assert mode == "verify" or receipt.complete or receipt.unknown


async def test_two_opens_answered_with_one_id_fill_two_messages() -> None:
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.mixed_up(), on="open", skip=1)
        receipt, error = await send(gateway)
        assert error is None
        assert receipt.accepted == 40
        check(receipt, simulator, set(numbers(40)))


async def test_an_id_of_an_earlier_campaign_is_no_answer() -> None:
    async with pair(custom_returned=False) as (simulator, gateway):
        await send(gateway, 5)
        simulator.faults.add(Fault.mixed_up(), on="open")
        receipt = await gateway.send_bulk(numbers(5, 100), **ACME)
        assert receipt.accepted == 5
        assert simulator.ledger == dict.fromkeys([*numbers(5), *numbers(5, 100)], 1)


@pytest.mark.parametrize("repeated", [0, 2, 7])
@pytest.mark.parametrize("size", [2, 5, 10, 20])
async def test_a_lost_batch_and_a_repeated_one_of_the_same_size_show(
    size: int, repeated: int
) -> None:
    """The second copy lands after the lost batch, so that every count shown is the right one."""
    async with pair() as (simulator, gateway):
        copy: tuple[str, Any] | None = None
        appended = 0

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal copy, appended
            if request.operation != "append":
                return None
            appended += 1
            if appended == repeated + 1:
                copy = request.path.split("/")[2], request.body
            elif appended == repeated + 2:
                return Fault.lost()
            elif copy is not None:
                simulator.gateway.put(*copy)
                copy = None
            return None

        simulator.faults.plan = plan
        count = 30 * size
        receipt, _ = await send(
            gateway, count, batch_size=size, recipients_per_message=2 * count, concurrency=1
        )
        check(receipt, simulator, set(numbers(count)))
        assert receipt.complete


# --- an exception between an answer and its note ------------------------------------------------


class Interruption(BaseException):
    """What a signal handler or a test framework may raise at any moment."""


def raising_after(
    patch: pytest.MonkeyPatch, method: str, is_it: Callable[[bytes], bool], error: BaseException
) -> None:
    """Raise an error inside the client, once, when the answer to this request has come."""
    attempt = Transport.attempt
    raised = False

    async def attempting(self: Any, verb: str, path: str, payload: Any, **more: Any) -> Any:
        nonlocal raised
        reply = await attempt(self, verb, path, payload, **more)
        if not raised and verb == method and is_it(payload or b""):
            raised = True
            raise error
        return reply

    patch.setattr(Transport, "attempt", attempting)


@pytest.mark.parametrize("error", [MemoryError(), Interruption()], ids=["memory", "base"])
async def test_an_exception_after_the_answer_to_a_close_leaves_it_in_doubt(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        with monkeypatch.context() as patch:
            raising_after(patch, "PUT", lambda payload: b'"transaction":false' in payload, error)
            with pytest.raises((BulkSendError, Interruption)):
                await gateway.send_bulk(
                    numbers(20), **ACME, journal=journal, batch_size=7, concurrency=1
                )
        store = Store.open(journal)
        assert not [one for one in map(decode, store.log()) if isinstance(one, CloseRefused)]
        store.close()
        assert len((await read_journal(journal)).unknown) == 20
        receipt = await gateway.resume_bulk(journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


@pytest.mark.parametrize("error", [MemoryError(), Interruption()], ids=["memory", "base"])
async def test_an_exception_after_the_answer_to_a_batch_leaves_it_in_doubt(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        with monkeypatch.context() as patch:
            raising_after(patch, "PUT", lambda payload: b'"transaction":true' in payload, error)
            with pytest.raises((BulkSendError, Interruption)):
                await gateway.send_bulk(
                    numbers(20), **ACME, journal=journal, batch_size=7, concurrency=1
                )
        receipt = await gateway.resume_bulk(journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


async def test_an_exception_while_batches_are_launched_is_the_campaigns_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pair() as (simulator, gateway):
        calls = 0
        set_aside = Accumulator.set_ready_aside

        def failing(self: Accumulator) -> None:
            nonlocal calls
            calls += 1
            if calls == 2:
                raise MemoryError
            set_aside(self)

        monkeypatch.setattr(Accumulator, "set_ready_aside", failing)
        receipt, error = await send(gateway, 20, concurrency=1)
        assert error is not None
        assert "MemoryError" in error.reason
        check(receipt, simulator, set(numbers(receipt.total)))


# --- odd answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["+39-" + "4" * 5_000, "٣٤٠", "", "+"], ids=len)
async def test_a_list_with_an_entry_that_is_no_number_leaves_the_message_unknown(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair() as (simulator, gateway):
        listed = simulator.gateway.recipients

        def odd(message_id: str) -> Any:
            response = listed(message_id)
            if response.body["success"]:
                response.body["data"][0]["number"] = written
            return response

        monkeypatch.setattr(simulator.gateway, "recipients", odd)
        simulator.faults.add(Fault.reset(after_apply=True), on="append")
        receipt, error = await send(gateway, 20, concurrency=1)
        check(receipt, simulator, set(numbers(receipt.total)))
        assert error is None or isinstance(error, BulkSendError)


# --- a promise of the gateway that is broken ----------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lost", [False, True], ids=["", "answers are lost"])
async def test_where_closed_messages_cannot_be_read_nothing_lies(
    mode: str, lost: bool, tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair(closed_unreadable=True) as (simulator, gateway):
        if lost:
            simulator.faults.add(Fault.reset(after_apply=True), on="close")
        receipt, error = await send(gateway, journal=journal, **MODES[mode])
        assert error is not None
        assert receipt.unknown or not simulator.ledger
        check(receipt, simulator, set(numbers(receipt.total)))
        for _ in range(2):
            with pytest.raises(BulkSendError) as caught:
                await gateway.resume_bulk(journal)
            check(caught.value.receipt, simulator, set(numbers(40)))


async def test_a_message_that_is_not_found_after_its_delete_is_sent_again(tmp_path: Path) -> None:
    journal = tmp_path / "campaign.db"
    async with pair(split_close=True) as (simulator, gateway):
        # The DELETE is applied, and neither its answer nor a look at it arrives.
        def plan(request: RecordedRequest) -> Fault | None:
            deleted = any(one.operation == "delete" for one in simulator.requests[:-1])
            if request.operation == "delete":
                return Fault.reset(after_apply=True)
            return Fault.reset() if deleted else None

        simulator.faults.plan = plan
        receipt, error = await send(gateway, 20, concurrency=1, journal=journal)
        assert error is not None
        check(receipt, simulator, set(numbers(20)))
        simulator.faults.clear()
        receipt = await gateway.resume_bulk(journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))
        await asyncio.sleep(0)
