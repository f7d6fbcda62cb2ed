"""Copies of one request that arrive late, twice or in place of another, and what they could hide."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Options, Receipt, read_journal
from gateway_sms_async.testing import Fault, RecordedRequest, Simulator

from ..support.accounting import check, numbers
from ..support.campaigns import pair, send

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "careful": {"careful": True},
    "verify": {"verify": "always"},
}
FINAL_REFUSALS = [(400, 400), (402, 201), (403, 403)]


def message_of(request: RecordedRequest) -> str:
    return request.path.split("/")[2]


def refusing_the_first_close(
    simulator: Simulator, refusal: Fault, then: Callable[[RecordedRequest], Fault | None]
) -> list[tuple[str, Any]]:
    """Refuse the first close, and hold back a copy of it. `then` decides about other requests."""
    held: list[tuple[str, Any]] = []

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation == "close" and not held:
            held.append((message_of(request), request.body))
            return refusal
        return then(request)

    simulator.faults.plan = plan
    return held


async def resumed(gateway: GatewayClient, journal: Path) -> Receipt:
    try:
        return await gateway.resume_bulk(journal)
    except BulkSendError as error:
        return error.receipt


# --- a copy of a refused close ------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lands", ["before the resume", "at its close"])
@pytest.mark.parametrize("refusal", FINAL_REFUSALS, ids=str)
async def test_a_late_copy_of_a_refused_close_texts_no_recipient_twice(
    refusal: tuple[int, int], lands: str, mode: str, tmp_path: Path
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        held = refusing_the_first_close(simulator, Fault.status(*refusal), then=lambda _: None)
        receipt, error = await send(gateway, 30, concurrency=1, journal=journal, **MODES[mode])
        assert error is not None
        assert receipt.unsent
        assert (await read_journal(journal)).unsent == receipt.unsent
        check(receipt, simulator, set(numbers(30)))

        def at_close(request: RecordedRequest) -> Fault | None:
            if request.operation == "close" and held:
                simulator.gateway.put(*held.pop())
            return None

        if lands == "before the resume":
            simulator.gateway.put(*held.pop())
            simulator.faults.plan = None
        else:
            simulator.faults.plan = at_close
        receipt = await resumed(gateway, journal)
        check(receipt, simulator, set(numbers(30)))
        assert receipt.complete


@pytest.mark.parametrize("mode", MODES)
async def test_a_close_refused_as_too_large_is_replaced_only_if_its_message_is_deleted(
    mode: str,
) -> None:
    def deletes_are_lost(request: RecordedRequest) -> Fault | None:
        return Fault.reset() if request.operation == "delete" else None

    async with pair() as (simulator, gateway):
        held = refusing_the_first_close(simulator, Fault.status(413), deletes_are_lost)
        receipt, error = await send(gateway, 20, concurrency=1, **MODES[mode])
        assert error is not None
        simulator.gateway.put(*held.pop())
        check(receipt, simulator, set(numbers(20)))
        assert set(receipt.unknown) == simulator.ledger.keys()


async def test_until_a_resume_has_looked_a_refused_close_is_in_doubt(tmp_path: Path) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        held = refusing_the_first_close(simulator, Fault.status(402, 201), then=lambda _: None)
        receipt, _ = await send(gateway, 20, concurrency=1, journal=journal)
        assert len(receipt.unsent) == 20
        simulator.gateway.put(*held.pop())
        simulator.faults.clear()
        simulator.faults.add(Fault.status(403), on="GET", times=None)
        receipt = await resumed(gateway, journal)
        assert len(receipt.unknown) == 20
        assert (await read_journal(journal)).unknown == receipt.unknown
        simulator.faults.clear()
        receipt = await resumed(gateway, journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


async def test_a_refused_close_is_refused_again_at_resume_and_stays_unsent(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.status(402, 201), on="close", times=3)
        receipt, _ = await send(gateway, 20, concurrency=1, journal=journal)
        for _ in range(2):
            assert len(receipt.unsent) == 20
            receipt = await resumed(gateway, journal)
        assert len(receipt.unsent) == 20
        receipt = await resumed(gateway, journal)
        assert receipt.accepted == 20
        assert [one.operation for one in simulator.requests].count("open") == 1
        check(receipt, simulator, set(numbers(20)))


async def test_a_refused_close_that_a_resume_sends_again_is_in_doubt(tmp_path: Path) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        simulator.faults.add(Fault.status(402, 201), on="close")
        receipt, _ = await send(gateway, 20, concurrency=1, journal=journal)
        assert len(receipt.unsent) == 20
        simulator.requests.clear()

        def plan(request: RecordedRequest) -> Fault | None:
            closed = any(one.operation == "close" for one in simulator.requests)
            return Fault.reset(after_apply=True) if closed else None

        simulator.faults.plan = plan
        receipt = await resumed(gateway, journal)
        assert len(receipt.unknown) == len((await read_journal(journal)).unknown) == 20
        check(receipt, simulator, set(numbers(20)))
        simulator.faults.clear()
        receipt = await resumed(gateway, journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


async def test_a_refused_close_whose_delete_is_lost_forgets_no_recipient(tmp_path: Path) -> None:
    """A copy of the close adds its recipients, and the DELETE that follows has no answer."""
    journal = tmp_path / "campaign.db"
    async with pair(split_close=True) as (simulator, gateway):
        held = refusing_the_first_close(simulator, Fault.status(402, 201), then=lambda _: None)
        await send(gateway, 20, concurrency=1, journal=journal)
        simulator.gateway.put(*held.pop())

        def deletes_are_lost(request: RecordedRequest) -> Fault | None:
            return Fault.reset() if request.operation == "delete" else None

        simulator.faults.plan = deletes_are_lost
        receipt = await resumed(gateway, journal)
        check(receipt, simulator, set(numbers(20)))
        simulator.faults.clear()
        receipt = await resumed(gateway, journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


async def test_a_close_is_sent_again_at_resume_only_within_the_limits(tmp_path: Path) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):

        def plan(request: RecordedRequest) -> Fault | None:
            closed = any(one.operation == "close" for one in simulator.requests)
            return Fault.reset() if closed else None

        simulator.faults.plan = plan
        receipt, _ = await send(gateway, 20, concurrency=1, journal=journal)
        assert len(receipt.unknown) == 20
        simulator.faults.clear()
        with pytest.raises(BulkSendError):
            await gateway.resume_bulk(journal, max_recipients=5)
        assert not simulator.ledger
        receipt = await gateway.resume_bulk(journal)
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(20)))


# --- a copy of a batch --------------------------------------------------------------------------


async def test_a_batch_refused_because_its_message_is_closed_may_be_on_it(tmp_path: Path) -> None:
    """Its first copy was applied, then another program closed the message."""
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        applied = False

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal applied
            if request.operation == "append" and not applied:
                applied = True
                simulator.gateway.put(message_of(request), request.body)
                simulator.gateway.close_all()
            return None

        simulator.faults.plan = plan
        receipt, error = await send(
            gateway, 40, recipients_per_message=40, concurrency=1, journal=journal
        )
        assert error is not None
        check(receipt, simulator, set(numbers(40)))
        receipt = await resumed(gateway, journal)
        assert receipt.accepted == 40
        check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("mode", ["plain", "verify"])
@pytest.mark.parametrize("size", [1, 2, 3])
async def test_invalid_recipients_added_twice_hide_no_lost_batch(size: int, mode: str) -> None:
    async with pair() as (simulator, gateway):
        recipients = numbers(4 * size)
        bad = set(recipients[: 2 * size])
        simulator.gateway.unroutable = bad
        appended = 0
        copies: list[tuple[str, Any]] = []

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal appended
            if request.operation == "append":
                appended += 1
                if appended == 1:
                    copies.append((message_of(request), request.body))
                elif appended == 2:
                    return Fault.lost()
            elif request.operation == "get" and copies and appended >= 2:
                simulator.gateway.put(*copies.pop())
            return None

        simulator.faults.plan = plan
        receipt, _ = await send(
            gateway,
            batch_size=size,
            recipients_per_message=4 * size,
            concurrency=1,
            recipients=recipients,
            **MODES[mode],
        )
        check(receipt, simulator, set(recipients))
        assert {one.number for one in receipt.invalid} <= bad
        assert receipt.complete


# --- an answer in place of another ----------------------------------------------------------------


@pytest.mark.parametrize("options", [None, Options(custom="spring")], ids=["", "custom"])
@pytest.mark.parametrize("mode", MODES)
async def test_the_answer_of_a_lost_open_is_no_answer_to_the_next_one(
    mode: str, options: Options | None
) -> None:
    async with pair(custom_returned=options is not None) as (simulator, gateway):
        opened = 0

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal opened
            opened += request.operation == "open"
            if request.operation != "open":
                return None
            return {1: Fault.reset(after_apply=True), 2: Fault.mixed_up()}.get(opened)

        simulator.faults.plan = plan
        receipt, error = await send(gateway, batch_size=10, options=options, **MODES[mode])
        assert error is None
        assert receipt.accepted == 40
        check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
async def test_an_open_whose_answer_another_one_got_first_is_not_believed_by_a_resume(
    killed: bool, tmp_path: Path
) -> None:
    # The second open gets the answer of the first one, whose own answer then names a known id.
    journal, copy = tmp_path / "campaign.db", tmp_path / "killed.db"
    async with pair(custom_returned=False) as (simulator, gateway):
        opens = 0

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal opens
            if request.operation == "get":
                if not copy.exists():
                    for file in tmp_path.glob("campaign.db*"):
                        copy.with_name(file.name.replace("campaign", "killed")).write_bytes(
                            file.read_bytes()
                        )
                return Fault.status(403)
            if request.operation != "open":
                return None
            opens += 1
            return {1: Fault.drip(0.0005), 2: Fault.mixed_up()}.get(opens)

        simulator.faults.plan = plan
        receipt, error = await send(gateway, batch_size=10, careful=True, journal=journal)
        assert error is not None
        check(receipt, simulator, set(numbers(40)))
        simulator.faults.plan = None
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as another:
            receipt = await another.resume_bulk(copy if killed else journal)
        check(receipt, simulator, set(numbers(40)))
        assert receipt.complete


@pytest.mark.parametrize("first", [0, 1])
async def test_an_open_that_got_the_answer_of_another_campaign_is_not_believed_by_a_resume(
    first: int, tmp_path: Path
) -> None:
    # Two campaigns of one client, as shards are: only the journal of one knows of the lost open.
    journals = [tmp_path / "one.db", tmp_path / "two.db"]
    lists = [numbers(5), numbers(5, start=100)]
    async with pair(custom_returned=False) as (simulator, gateway):
        opens = 0

        def plan(request: RecordedRequest) -> Fault | None:
            nonlocal opens
            if request.operation == "get":
                return Fault.status(403)
            if request.operation != "open":
                return None
            opens += 1
            return {1: Fault.drip(0.0005), 2: Fault.mixed_up()}.get(opens)

        simulator.faults.plan = plan
        await asyncio.gather(
            *(
                send(gateway, recipients=people, batch_size=10, careful=True, journal=journal)
                for people, journal in zip(lists, journals, strict=True)
            )
        )
        simulator.faults.plan = None
        for journal in (journals[first], journals[1 - first]):
            async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as another:
                assert (await another.resume_bulk(journal)).complete
        assert simulator.ledger == dict.fromkeys([*lists[0], *lists[1]], 1)


async def test_messages_that_cannot_be_told_apart_are_not_opened_again_and_again(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair(custom_returned=False, list_while_open=False) as (simulator, gateway):
        simulator.faults.add(Fault.reset(after_apply=True), on="open")
        receipt, error = await send(gateway, concurrency=1, journal=journal)
        check(receipt, simulator, set(numbers(40)))
        assert error is not None
        assert "neither options.custom nor the list" in error.reason
        assert [one.operation for one in simulator.requests].count("open") <= 4
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as another:
            with pytest.raises(BulkSendError, match="with a new client") as stopped:
                await another.resume_bulk(journal)
        check(stopped.value.receipt, simulator, set(numbers(40)))
        unsent = stopped.value.receipt.unsent
        async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as another:
            await another.send_bulk(unsent, sender="ACME", body="Ciao")
        assert simulator.ledger == dict.fromkeys(numbers(40), 1)


@pytest.mark.parametrize("mode", ["plain", "verify"])
@pytest.mark.parametrize("named", [0, 1])
async def test_a_list_that_is_cut_is_not_taken_for_one_without_the_invalid(
    named: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with pair(list_invalid=True, invalid_named=named) as (simulator, gateway):
        recipients = numbers(20)
        order = {number: place for place, number in enumerate(recipients)}
        simulator.gateway.unroutable = {*recipients[2:5], recipients[19]}
        listed = simulator.gateway.recipients

        def cut(message_id: str) -> Any:
            """Return as many entries as there are valid recipients, some of them invalid."""
            response = listed(message_id)
            if response.body["success"]:
                data = sorted(response.body["data"], key=lambda one: order[one["number"]])
                response.body["data"] = data[:16]
            return response

        monkeypatch.setattr(simulator.gateway, "recipients", cut)
        receipt, error = await send(gateway, 20, batch_size=20, concurrency=1, **MODES[mode])
        assert error is not None
        check(receipt, simulator, set(recipients))
