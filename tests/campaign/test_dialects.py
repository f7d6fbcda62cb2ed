"""Every other answer to the open questions: a campaign completes, or stops before its close.

Under each of them no recipient is texted twice or lost, and the receipt is correct. If an answer
makes a campaign impossible, the error says what the gateway does and what the caller can do.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InvalidRequestError,
    Receipt,
    Recipient,
    RetryPolicy,
    TransactionClosedError,
)
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, number, numbers, parts

pytestmark = pytest.mark.proof

QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=1)
IMPATIENT = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.8)
RECIPIENTS = 60
# Two in the first batch, and two in the last one, which is sent with the close.
UNROUTABLE = {number(1), number(2), number(58), number(59)}

MODES: dict[str, dict[str, Any]] = {
    "plain": {},
    "careful": {"careful": True},
    "verify": {"verify": "always"},
}

OTHER_ANSWERS: dict[str, dict[str, Any]] = {
    "Q1 no empty close": {"empty_close": False},
    "Q2 repeats are merged": {"merge_repeats": True},
    "Q3 no list while open": {"list_while_open": False},
    "Q4 no lists of objects": {"object_lists": False},
    "Q5 one of two PUTs is lost": {"lose_concurrent": True},
    "Q7 the list grows": {"list_grows": 0.03},
    "Q8 PUTs are repeated": {"repeat_puts": True},
    "Q9 credit taken at PUT": {"charge_at": "put"},
    "Q10 custom is not returned": {"custom_returned": False},
    "Q11 PUT answers 201 with a list": {"put_as_created": True},
    "Q12 five a request": {"max_recipients": 5},
    "Q12 one a request": {"max_recipients": 1},
    "Q12 twelve a message": {"max_per_message": 12},
    "Q12 one a message": {"max_per_message": 1},
    "Q13 missing fields are refused": {"refuse_missing_fields": True},
    "Q14 slashes matter": {"strict_slashes": True},
    "Q15 a bare PUT closes": {"put_closes": True},
    "Q16 numbers are rewritten": {"rewrite_numbers": True},
    "Q17 no invalid one is named": {"invalid_named": 0},
    "Q17 one invalid one is named": {"invalid_named": 1},
    "Q18 lists hold the invalid": {"list_invalid": True},
    "Q19 lists end after three": {"list_limit": 3},
    "Q19 pages overlap": {"list_pages": 5},
    "Q20 a close only adds": {"split_close": True},
    "senders of 17 characters": {"max_sender": 17},
    "dates in milliseconds": {"millis_dates": True},
    "flash costs a fifth more": {"surcharge_on": "flash"},
    "nothing costs a fifth more": {"surcharge_on": None},
    "a page for what is not documented": {"unknown_as_page": True},
}

AXIOM_BREAKERS = {
    "opens_send_after",
    "closed_takes_puts",
    "refusals_apply_half",
    "deletes_undone",
    "closed_unreadable",
}


@dataclasses.dataclass
class World:
    simulator: Simulator
    gateway: GatewayClient

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.simulator.requests]

    async def send(
        self, source: Sequence[Any], **settings: Any
    ) -> tuple[Receipt, BulkSendError | None]:
        with_fields = any(not isinstance(one, str) for one in source)
        settings = {
            "sender": "ACME",
            "body": "Ciao {{name}}" if with_fields else "Ciao",
            "allow_missing_fields": True,
            "batch_size": 7,
            "recipients_per_message": 20,
            **settings,
        }
        try:
            return await self.gateway.send_bulk(source, **settings), None
        except BulkSendError as error:
            return error.receipt, error


@asynccontextmanager
async def world(
    knobs: dict[str, Any] | None = None, *, retry: RetryPolicy = QUICK, **more: Any
) -> AsyncIterator[World]:
    timeout = more.pop("timeout", 5)
    async with (
        Simulator(dialect=Dialect(**(knobs or {})), **more) as simulator,
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=timeout, retry=retry
        ) as gateway,
    ):
        yield World(simulator, gateway)


def recipients(count: int = RECIPIENTS, *, fields: bool, start: int = 0) -> list[Any]:
    if not fields:
        return numbers(count, start)
    return [Recipient(one, {"name": f"N{n}"}) for n, one in enumerate(numbers(count, start))]


def count_of(wire: Any) -> int:
    return len(wire) if isinstance(wire, list) else 1


def test_every_knob_has_its_other_answer_here() -> None:
    knobs = {field.name for field in dataclasses.fields(Dialect)} - AXIOM_BREAKERS
    assert {name for knobs in OTHER_ANSWERS.values() for name in knobs} == knobs


# --- each answer on its own ----------------------------------------------------------------------


@pytest.mark.parametrize("journal", [False, True], ids=["", "journal"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [False, True], ids=["strings", "fields"])
@pytest.mark.parametrize("answer", OTHER_ANSWERS)
async def test_under_any_other_answer_all_recipients_are_reached_once_or_none_is(
    answer: str, fields: bool, mode: str, journal: bool, tmp_path: Path
) -> None:
    settings = dict(MODES[mode])
    if journal:
        settings["journal"] = tmp_path / "campaign.db"
    async with world(OTHER_ANSWERS[answer]) as w:
        w.simulator.gateway.unroutable = set(UNROUTABLE)
        receipt, error = await w.send(recipients(fields=fields), **settings)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        assert not receipt.unknown
        if answer.startswith("Q19") and mode == "verify":
            assert error is not None
            assert "does not list all recipients" in error.reason
            assert "recipients_per_message" in error.reason
            assert 'verify="auto"' in error.reason
            assert error.resumable is journal
            assert not w.simulator.ledger
            assert "close" not in w.operations
            return
        assert error is None, error.reason
        assert receipt.complete
        assert w.simulator.ledger.keys() == set(numbers(RECIPIENTS)) - UNROUTABLE
        assert {one.number for one in receipt.invalid} == UNROUTABLE
        assert not receipt.doubled


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [False, True], ids=["strings", "fields"])
@pytest.mark.parametrize("answer", OTHER_ANSWERS)
async def test_under_any_other_answer_with_slow_requests_at_once(
    answer: str, fields: bool, mode: str
) -> None:
    async with world(OTHER_ANSWERS[answer], latency=0.003) as w:
        receipt, error = await w.send(recipients(fields=fields), **MODES[mode], batch_size=4)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        if answer == "Q19 pages overlap" and mode == "verify":
            # The list is whole before the close, and has too many entries for that after it.
            assert receipt.unknown
            return
        assert not receipt.unknown
        if answer.startswith("Q19") and mode == "verify":
            assert not w.simulator.ledger
            return
        assert error is None, error.reason
        assert receipt.accepted == RECIPIENTS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [False, True], ids=["strings", "fields"])
@pytest.mark.parametrize("after_close", [False, True], ids=["before the close", "after it"])
async def test_q6_a_put_that_is_applied_late_texts_no_recipient_twice(
    fields: bool, mode: str, after_close: bool
) -> None:
    async with world(timeout=0.1) as w:
        # It is applied long after the end, or while its message is open and others continue.
        w.simulator.faults.add(Fault.late(3600 if after_close else 0.1), on="append")
        receipt, error = await w.send(recipients(fields=fields), **MODES[mode])
        w.simulator.land_late()
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))
        assert error is None
        assert receipt.accepted == RECIPIENTS


@pytest.mark.parametrize("mode", MODES)
async def test_q6_a_close_that_is_applied_late_texts_no_recipient_twice(mode: str) -> None:
    async with world(timeout=0.1) as w:
        w.simulator.faults.add(Fault.late(3600), on="close")
        receipt, error = await w.send(recipients(fields=False), **MODES[mode])
        w.simulator.land_late()
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))
        assert error is None


@pytest.mark.parametrize("count", [1, 2, 7, 8])
@pytest.mark.parametrize("fields", [False, True], ids=["strings", "fields"])
@pytest.mark.parametrize("answer", OTHER_ANSWERS)
async def test_under_any_other_answer_also_a_handful_is_reached(
    answer: str, fields: bool, count: int
) -> None:
    async with world(OTHER_ANSWERS[answer]) as w:
        receipt, error = await w.send(recipients(count, fields=fields), concurrency=1)
        check(receipt, w.simulator, set(numbers(count)))
        assert error is None, error.reason
        assert receipt.accepted == count


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fields", [False, True], ids=["strings", "fields"])
@pytest.mark.parametrize("answer", OTHER_ANSWERS)
async def test_under_any_other_answer_a_campaign_of_invalid_numbers_texts_none(
    answer: str, fields: bool, mode: str
) -> None:
    async with world(OTHER_ANSWERS[answer]) as w:
        w.simulator.gateway.unroutable = set(numbers(9))
        receipt, error = await w.send(
            recipients(9, fields=fields),
            **MODES[mode],
            batch_size=3,
            recipients_per_message=9,
            concurrency=1,
        )
        assert not w.simulator.ledger
        assert not receipt.unknown
        if error is None:
            assert {one.number for one in receipt.invalid} == set(numbers(9))
        else:
            assert "close" not in w.operations
        check(receipt, w.simulator, set(numbers(receipt.total)))


# --- impossible campaigns: what the error says, and that its advice works ---------------------


async def stopped(w: World, *words: str, **settings: Any) -> BulkSendError:
    receipt, error = await w.send(recipients(20, fields=False), **settings)
    assert error is not None
    for word in words:
        assert word in error.reason
    assert not w.simulator.ledger
    assert not receipt.unknown
    check(receipt, w.simulator, set(numbers(receipt.total)))
    w.simulator.requests.clear()
    return error


async def goes_through(w: World, **settings: Any) -> None:
    receipt, error = await w.send(recipients(20, fields=False), **settings)
    assert error is None, error.reason
    assert receipt.complete
    check(receipt, w.simulator, set(numbers(20)))


async def test_nameless_invalid_ones_stop_and_the_advice_of_the_error_works() -> None:
    async with world({"invalid_named": 0, "list_while_open": False}) as w:
        w.simulator.gateway.unroutable = {number(2)}
        await stopped(w, "1 invalid", "without naming", "not closed", "recipients_per_message=1")
        await goes_through(w, recipients_per_message=1)


async def test_unnamed_invalid_numbers_are_reported_when_each_message_has_one_recipient() -> None:
    async with world({"invalid_named": 0, "list_while_open": False, "list_invalid": True}) as w:
        w.simulator.gateway.unroutable = {number(2)}
        await stopped(w, "without naming")
        await goes_through(w, recipients_per_message=1)


async def test_capped_lists_stop_and_the_advice_of_the_error_works() -> None:
    async with world({"list_limit": 3}) as w:
        await stopped(w, "does not list all", "recipients_per_message", verify="always")
        await goes_through(w, verify="always", recipients_per_message=3)
    async with world({"list_limit": 3}) as w:
        await stopped(w, 'verify="auto"', verify="always")
        await goes_through(w, verify="auto")


async def test_no_way_to_close_stops_before_anybody_is_texted() -> None:
    async with world({"split_close": True, "empty_close": False}) as w:
        await stopped(w, "cannot be closed", "does not close", "without recipients")
        await goes_through(w, recipients_per_message=1)


async def test_413_also_for_one_recipient_stops_with_an_error() -> None:
    async with world() as w:
        w.simulator.faults.add(Fault.status(413), on="open", times=None)
        error = await stopped(w, "413", "too large", concurrency=1)
        assert isinstance(error.__cause__, InvalidRequestError)


async def test_413_for_every_close_sends_one_by_one() -> None:
    # The close of a message with a single recipient is refused too, so it is sent by one POST.
    async with world() as w:
        w.simulator.faults.add(Fault.status(413), on="close", times=None)
        await goes_through(w, concurrency=1)
        assert w.operations.count("send") == 20


async def test_413_for_every_append_goes_on_without_appending() -> None:
    async with world() as w:
        w.simulator.faults.add(Fault.status(413), on="append", times=None)
        await goes_through(w, concurrency=1)
        assert w.operations.count("append") <= 1


@pytest.mark.parametrize("mode", ["plain", "verify"])
@pytest.mark.parametrize("lists", [{"list_while_open": False}, {"list_limit": 3}], ids=str)
async def test_an_invalid_number_in_a_repeated_put_is_not_taken_for_a_nameless_one(
    lists: dict[str, Any], mode: str
) -> None:
    # The number is named, but twice: the fault is the repeated PUT, and the remedy is `careful`.
    async with world({"repeat_puts": True, **lists}) as w:
        w.simulator.gateway.unroutable = {number(8)}
        receipt, error = await w.send(recipients(20, fields=False), **MODES[mode], concurrency=1)
        assert error is None or "naming" not in error.reason, error
        check(receipt, w.simulator, set(numbers(receipt.total)))
        if mode == "plain":
            assert error is None
            assert {one.number for one in receipt.invalid} == {number(8)}


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_413_for_a_request_goes_on_with_smaller_ones(limit: int, concurrency: int) -> None:
    async with world({"max_recipients": limit}) as w:
        receipt, error = await w.send(
            recipients(fields=False), recipients_per_message=60, concurrency=concurrency
        )
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))
        refused = [request for request in w.simulator.requests if request.status == 413]
        assert len(refused) <= 3 * concurrency
        assert all(count_of(request.body["recipients"]) > limit for request in refused)


@pytest.mark.parametrize("limit", [1, 7, 8, 12, 15])
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("mode", MODES)
async def test_413_for_a_message_goes_on_with_smaller_ones(
    limit: int, concurrency: int, mode: str
) -> None:
    async with world({"max_per_message": limit}) as w:
        receipt, error = await w.send(
            recipients(fields=False),
            **MODES[mode],
            recipients_per_message=60,
            concurrency=concurrency,
        )
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))


async def test_413_at_two_messages_at_once_is_learned_once() -> None:
    async with world({"max_per_message": 12}, latency=0.01) as w:
        receipt, error = await w.send(recipients(fields=False), concurrency=4)
        assert error is None, error.reason
        assert receipt.accepted == RECIPIENTS
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))


# --- objects ------------------------------------------------------------------------------------


async def test_the_first_list_of_objects_goes_alone_until_it_is_answered() -> None:
    async with world(latency=0.3) as w:
        sending = asyncio.create_task(w.send(recipients(fields=True)))
        while not w.operations:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert w.operations == ["open"]
        w.simulator.latency = 0.005
        receipt, error = await sending
        assert error is None
        assert receipt.accepted == RECIPIENTS
        first_close = w.operations.index("close")
        assert w.operations[:first_close].count("open") > 1, "then nothing has to wait"
    async with world(latency=0.3) as w:
        sending = asyncio.create_task(w.send(recipients(fields=False)))
        while not w.operations:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert w.operations.count("open") > 1, "strings need not wait"
        w.simulator.latency = 0.0
        await sending


@pytest.mark.parametrize("mode", MODES)
async def test_objects_that_are_not_understood_go_one_by_one(mode: str) -> None:
    async with world({"object_lists": False}) as w:
        receipt, error = await w.send(recipients(fields=True), **MODES[mode])
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))
        assert not receipt.invalid
        lists = [
            request
            for request in w.simulator.requests
            if request.body and isinstance(request.body.get("recipients"), list)
        ]
        brought = [request for request in lists if request.body["recipients"]]
        assert len(brought) == 1, "one list was enough to know"
        assert w.operations.count("delete") == 1
        [first] = [one for one in w.simulator.requests if one.operation == "delete"]
        assert first.path.rsplit("/", 1)[-1] not in receipt.message_ids


@pytest.mark.parametrize("understood", [True, False], ids=["understood", "not understood"])
@pytest.mark.parametrize("mode", MODES)
async def test_unroutable_objects_are_named_invalid_one_by_one(mode: str, understood: bool) -> None:
    async with world({"object_lists": understood}) as w:
        w.simulator.gateway.unroutable = {number(0), number(5), number(19)}
        receipt, error = await w.send(recipients(20, fields=True), **MODES[mode], batch_size=3)
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(20)))
        assert [one.position for one in receipt.invalid] == [0, 5, 19]
        assert receipt.accepted == 17


@pytest.mark.parametrize("mode", MODES)
async def test_a_first_list_of_unroutable_objects_is_not_taken_for_the_truth(mode: str) -> None:
    async with world() as w:
        w.simulator.gateway.unroutable = set(numbers(3))
        receipt, error = await w.send(
            recipients(9, fields=True), **MODES[mode], batch_size=3, recipients_per_message=20
        )
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(9)))
        assert [one.position for one in receipt.invalid] == [0, 1, 2]


@pytest.mark.parametrize("understood", [True, False], ids=["understood", "not understood"])
@pytest.mark.parametrize("seed", range(8))
async def test_mixed_sources_of_strings_and_objects(seed: int, understood: bool) -> None:
    dice = random.Random(seed)
    source = [
        Recipient(one, {"name": "N"}) if dice.random() < dice.choice((0.1, 0.9)) else one
        for one in numbers(40)
    ]
    async with world({"object_lists": understood}) as w:
        w.simulator.gateway.unroutable = {number(dice.randrange(40))}
        receipt, error = await w.send(
            source, batch_size=dice.choice((2, 4)), recipients_per_message=dice.choice((6, 40))
        )
        assert error is None, error.reason
        check(receipt, w.simulator, set(numbers(40)))
        assert len(receipt.invalid) == 1
        for request in w.simulator.requests:
            brought = request.body and request.body["recipients"]
            if isinstance(brought, list):
                assert len({type(one) for one in brought}) <= 1, "all strings or all objects"


async def test_objects_that_come_first_with_the_close_are_tried_before_it() -> None:
    source = [*numbers(4), *recipients(4, fields=True, start=4)]
    async with world({"object_lists": False}) as w:
        receipt, error = await w.send(source, batch_size=4, concurrency=1)
        assert error is None, error.reason
        assert not receipt.invalid
        check(receipt, w.simulator, set(numbers(8)))
        closes = [
            one.body["recipients"] for one in w.simulator.requests if one.operation == "close"
        ]
        assert all(not isinstance(one, dict) for close in closes for one in close)


async def test_fields_reach_their_own_recipient_however_they_travel() -> None:
    for knobs in ({}, {"object_lists": False}, {"split_close": True}, {"max_recipients": 1}):
        async with world(knobs) as w:
            receipt, error = await w.send(recipients(12, fields=True), batch_size=5, concurrency=1)
            assert error is None, error.reason
            texts: dict[str, str | None] = {}
            for message_id in receipt.message_ids:
                for report in await w.gateway.messages.recipients(message_id):
                    texts[report.number] = report.body
            assert texts == {number(n): f"Ciao N{n}" for n in range(12)}


# --- combinations -------------------------------------------------------------------------------


def may_end_unknown(knobs: dict[str, Any], *, unroutable: bool, verify: bool) -> bool:
    """Whether counts and lists can leave the outcome of a recipient unknown."""
    nameless = unroutable and "invalid_named" in knobs
    unlistable = bool({"list_limit", "list_pages"} & knobs.keys()) and (verify or nameless)
    return nameless or unlistable


def may_stop(knobs: dict[str, Any], *, unroutable: bool, verify: bool) -> set[str]:
    """Return words from the reasons for which a campaign may stop."""
    reasons: set[str] = set()
    if {"split_close", "empty_close"} <= knobs.keys():
        reasons.add("cannot be closed")
    if {"list_limit", "list_pages"} & knobs.keys() and verify:
        reasons.add("does not list all recipients")
    if unroutable and "invalid_named" in knobs:
        reasons.add("without naming them")
    return reasons


@pytest.mark.parametrize("seed", range(150))
async def test_under_any_combination_it_completes_or_stops_before_the_close(
    seed: int, tmp_path: Path
) -> None:
    dice = random.Random(seed)
    knobs: dict[str, Any] = {}
    for answer in dice.sample(sorted(OTHER_ANSWERS), dice.randint(2, 5)):
        knobs |= OTHER_ANSWERS[answer]
    fields = dice.random() < 0.5
    mode = dice.choice(list(MODES))
    unroutable = set(dice.sample(numbers(RECIPIENTS), dice.choice((0, 0, 1, 3, 6))))
    settings = {
        **MODES[mode],
        "batch_size": dice.choice((1, 3, 7)),
        "recipients_per_message": dice.choice((5, 20, 60)),
        "journal": tmp_path / "campaign.db" if dice.random() < 0.3 else None,
    }
    async with world(knobs, retry=IMPATIENT, latency=dice.choice((0, 0, 0.002))) as w:
        w.simulator.gateway.unroutable = unroutable
        receipt, error = await w.send(recipients(fields=fields), **settings)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        why = {"unroutable": bool(unroutable), "verify": mode == "verify"}
        if error is None:
            assert receipt.accepted + len(receipt.invalid) == RECIPIENTS
            return
        reason = f"{knobs}, {mode}, {settings}: {error.reason}"
        if receipt.unknown:
            assert may_end_unknown(knobs, **why), reason
            return
        assert any(words in error.reason for words in may_stop(knobs, **why)), reason
        assert receipt.accepted == len(w.simulator.ledger)


# --- broken assumptions: reported, and no false claim that could have been checked ---------------------------------


def texted(w: World) -> dict[str, int]:
    return dict(w.simulator.ledger)


def check_no_lie(receipt: Receipt, w: World) -> None:
    """Check what must hold even if the gateway breaks the assumptions of every client."""
    ledger = texted(w)
    assert parts(receipt) == receipt.total
    assert not set(receipt.unsent) & ledger.keys(), "a recipient reported unsent was texted"
    doubled = {one for one, times in ledger.items() if times > 1}
    assert doubled <= set(receipt.doubled) | set(receipt.unknown), "a double is not reported"
    certain = ledger.keys() - set(receipt.unknown) - set(receipt.doubled)
    assert receipt.accepted == len(certain), "accepted is not what was texted once"


Strike = Callable[[RecordedRequest], None]


def at(w: World, operation: str, nth: int, do: Strike) -> None:
    """Run `do` when the nth request of an operation arrives, before it is applied."""
    counter = itertools.count(1)

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation == operation and next(counter) == nth:
            do(request)
        return None

    w.simulator.faults.plan = plan


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("operation", "nth"), [("append", 1), ("append", 2), ("get", 1), ("get", 2), ("close", 1)]
)
async def test_an_open_message_that_sends_by_itself_is_accepted_only_as_listed(
    operation: str, nth: int, mode: str, concurrency: int
) -> None:
    now = [1_000.0]

    def later(_: RecordedRequest) -> None:
        now[0] += 100

    async with world({"opens_send_after": 50}, clock=lambda: now[0]) as w:
        at(w, operation, nth, later)
        receipt, error = await w.send(
            recipients(fields=False), **MODES[mode], concurrency=concurrency
        )
        check_no_lie(receipt, w)
        assert set(texted(w).values()) == {1}
        assert not receipt.unknown, "its list tells who went out"
        if error is None:
            assert receipt.accepted == RECIPIENTS
        else:
            assert "closed" in error.reason
            assert receipt.accepted == len(texted(w))


async def test_a_message_that_was_closed_elsewhere_is_reported() -> None:
    now = [1_000.0]

    def later(_: RecordedRequest) -> None:
        now[0] += 100

    async with world({"opens_send_after": 50}, clock=lambda: now[0]) as w:
        at(w, "get", 1, later)
        receipt, error = await w.send(recipients(10, fields=False), concurrency=1)
        assert error is not None
        assert "closed though this process did not close it" in error.reason
        assert "does not keep transactions open" in error.reason
        check_no_lie(receipt, w)


async def test_a_transaction_found_closed_accepts_as_listed() -> None:
    now = [1_000.0]
    async with world({"opens_send_after": 50}, clock=lambda: now[0]) as w:
        transaction = w.gateway.transaction(sender="ACME", body="Ciao", batch_size=5, concurrency=1)
        await transaction.add(numbers(12))
        now[0] += 100
        with pytest.raises(BulkSendError, match="closed") as caught:
            await transaction.close()
        check_no_lie(caught.value.receipt, w)
        assert caught.value.receipt.accepted == len(texted(w))
        assert set(caught.value.receipt.unsent) == set(numbers(12)) - texted(w).keys()


@pytest.mark.parametrize("mode", MODES)
async def test_a_closed_message_that_takes_a_repeated_close_is_reported_as_doubled(
    mode: str,
) -> None:
    async with world({"closed_takes_puts": True}) as w:
        w.simulator.faults.add(Fault.repeat(), on="close", times=None)
        receipt, error = await w.send(recipients(fields=False), **MODES[mode], concurrency=1)
        assert error is not None
        assert receipt.doubled
        check_no_lie(receipt, w)


async def test_the_reason_says_that_a_recipient_was_texted_twice() -> None:
    async with world({"closed_takes_puts": True}) as w:
        w.simulator.faults.add(Fault.repeat(), on="close")
        _, error = await w.send(recipients(10, fields=False), concurrency=1)
        assert error is not None
        assert "twice" in error.reason or "more than once" in error.reason


@pytest.mark.parametrize("mode", MODES)
async def test_a_late_put_into_a_closed_message_is_never_called_unsent(mode: str) -> None:
    async with world({"closed_takes_puts": True}, timeout=0.1) as w:
        # It is applied while the message is closed and its list is being read.
        w.simulator.faults.add(Fault.late(0.12), on="append")
        receipt, _ = await w.send(recipients(20, fields=False), **MODES[mode], concurrency=1)
        w.simulator.land_late()
        ledger = texted(w)
        assert not set(receipt.unsent) & ledger.keys()
        assert parts(receipt) == receipt.total


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("status", [402, 413, 422])
@pytest.mark.parametrize("operation", ["append", "close"])
async def test_a_refusal_that_applied_half_doubles_no_recipient(
    operation: str, status: int, mode: str
) -> None:
    async with world({"refusals_apply_half": True}) as w:
        w.simulator.faults.add(Fault.status(status), on=operation)
        receipt, error = await w.send(recipients(fields=False), **MODES[mode], concurrency=1)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        assert not receipt.unknown
        if error is not None:
            assert str(status) in error.reason
            assert not texted(w)


@pytest.mark.parametrize("list_while_open", [True, False])
@pytest.mark.parametrize("operation", ["append", "close"])
async def test_a_refusal_that_applied_half_doubles_no_recipient_after_a_resume(
    operation: str, list_while_open: bool, tmp_path: Path
) -> None:
    knobs = {"refusals_apply_half": True, "list_while_open": list_while_open}
    async with world(knobs) as w:
        w.simulator.faults.add(Fault.status(402, 201), on=operation)
        journal = tmp_path / "campaign.db"
        receipt, error = await w.send(recipients(fields=False), journal=journal, concurrency=1)
        if error is not None:
            assert error.resumable
            receipt = await w.gateway.resume_bulk(journal)
        assert receipt.complete
        check(receipt, w.simulator, set(numbers(RECIPIENTS)))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "knobs", [{"max_recipients": 5}, {"max_per_message": 15}], ids=["a request", "a message"]
)
async def test_a_413_that_applied_half_doubles_no_recipient(
    knobs: dict[str, Any], mode: str
) -> None:
    async with world({"refusals_apply_half": True, **knobs}) as w:
        receipt, error = await w.send(recipients(fields=False), **MODES[mode], concurrency=1)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        assert error is None, error.reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "knobs",
    [{"split_close": True}, {"repeat_puts": True}, {"max_per_message": 15}],
    ids=["split close", "repeated puts", "413"],
)
async def test_a_delete_that_deletes_nothing_is_seen_and_said(
    knobs: dict[str, Any], mode: str
) -> None:
    async with world({"deletes_undone": True, **knobs}) as w:
        receipt, error = await w.send(recipients(fields=False), **MODES[mode], concurrency=1)
        check(receipt, w.simulator, set(numbers(receipt.total)))
        if "delete" in w.operations:
            assert error is not None
            assert "still there after" in error.reason
            assert not texted(w)
        else:
            assert error is None


@pytest.mark.parametrize("unroutable", [False, True])
async def test_a_delete_that_deletes_nothing_is_seen_also_for_one_alone(unroutable: bool) -> None:
    async with world({"deletes_undone": True, "empty_close": False}) as w:
        w.simulator.gateway.unroutable = {number(0)} if unroutable else set()
        receipt, error = await w.send([number(0)])
        assert error is not None
        assert "still there after" in error.reason
        assert "send" not in w.operations, "it may still go out by the first message"
        check(receipt, w.simulator, {number(0)})


async def test_a_put_to_a_message_that_another_hand_closed_is_said_so() -> None:
    async with world() as w:

        def close(request: RecordedRequest) -> None:
            message_id = request.path.rsplit("/", 1)[-1]
            w.simulator.gateway.put(message_id, {"recipients": [], "transaction": False})

        at(w, "append", 1, close)
        receipt, error = await w.send(recipients(20, fields=False), concurrency=1)
        assert error is not None
        assert isinstance(error.__cause__, TransactionClosedError)
        assert "closed" in error.reason
        assert receipt.accepted == 7, "as its list says"
        check_no_lie(receipt, w)
        await asyncio.sleep(0)
