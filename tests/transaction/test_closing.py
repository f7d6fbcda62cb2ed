"""Look, close, look again: what goes over the wire around a close, request by request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Receipt, RetryPolicy
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, number, numbers, parts

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=1)
IMPATIENT = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.2)
CLEAN = ["open", "append", "append", "get", "close", "get"]


@pytest.fixture
async def gateway(simulator: Simulator) -> AsyncIterator[GatewayClient]:
    async with client(simulator) as gateway:
        yield gateway


def client(simulator: Simulator, retry: RetryPolicy = QUICK, **more: Any) -> GatewayClient:
    settings: dict[str, Any] = {"rate": None, "timeout": 5, **more}
    return GatewayClient(simulator.token, base_url=simulator.url, retry=retry, **settings)


def operations(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


def operations_by_message(simulator: Simulator) -> list[list[str]]:
    """Return the requests about each message after it was opened."""
    by_message: dict[str, list[str]] = {}
    for request in simulator.requests:
        if request.operation != "open":
            by_message.setdefault(id_of(request), []).append(request.operation)
    return list(by_message.values())


def of(simulator: Simulator, operation: str) -> list[RecordedRequest]:
    return [request for request in simulator.requests if request.operation == operation]


def id_of(request: RecordedRequest) -> str:
    return request.path.split("/")[2]


async def send(
    gateway: GatewayClient, count: int = 20, **settings: Any
) -> tuple[Receipt, BulkSendError | None]:
    settings = {
        "batch_size": 7,
        "recipients_per_message": 20,
        "concurrency": 1,
        **settings,
    }
    try:
        return await gateway.send_bulk(numbers(count), **ACME, **settings), None
    except BulkSendError as error:
        return error.receipt, error


# --- without faults -----------------------------------------------------------------------------


async def test_the_order_on_the_wire(gateway: GatewayClient, simulator: Simulator) -> None:
    await send(gateway)
    assert operations(simulator) == CLEAN


@pytest.mark.parametrize("messages", [1, 2, 5])
@pytest.mark.parametrize("batches", [2, 3, 6])
async def test_a_clean_campaign_reads_no_list_and_looks_twice_a_message(
    gateway: GatewayClient, simulator: Simulator, messages: int, batches: int
) -> None:
    # Batches of 12, 11, 10 and so on: no two of a message have the same size.
    size = sum(range(12, 12 - batches, -1))
    receipt, error = await send(
        gateway, messages * size, batch_size=12, recipients_per_message=size, concurrency=4
    )
    assert error is None
    assert receipt.requests == len(simulator.requests) == messages * (batches + 2)
    assert receipt.retries == 0
    assert {one: operations(simulator).count(one) for one in ("open", "close", "get")} == {
        "open": messages,
        "close": messages,
        "get": 2 * messages,
    }
    assert "recipients" not in operations(simulator)
    check(receipt, simulator, set(numbers(messages * size)))


async def test_careful_is_one_post_and_one_close_a_message(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    receipt, _ = await send(gateway, 40, careful=True)
    assert operations_by_message(simulator) == [["get", "close", "get"]] * 4
    assert len(of(simulator, "open")) == 4
    assert receipt.accepted == 40


async def test_verify_always_lists_every_message_before_and_after_its_close(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    receipt, _ = await send(gateway, 60, verify="always")
    one = ["append", "append", "get", "recipients", "get", "close", "get"]
    assert operations_by_message(simulator) == [[*one, "recipients", "get"]] * 3
    listed = {id_of(request) for request in of(simulator, "recipients")}
    assert listed == set(receipt.message_ids)


async def test_the_last_batch_waits_for_the_close(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    await send(gateway)
    [close] = of(simulator, "close")
    assert close.body == {"recipients": numbers(2, 18), "transaction": False}


@pytest.mark.parametrize("knobs", [{}, {"put_closes": True}], ids=str)
@pytest.mark.parametrize("mode", [{}, {"careful": True}, {"verify": "always"}], ids=str)
async def test_whatever_is_added_keeps_the_message_open_in_so_many_words(
    knobs: dict[str, Any], mode: dict[str, Any]
) -> None:
    async with Simulator(dialect=Dialect(**knobs)) as simulator, client(simulator) as gateway:
        receipt, error = await send(gateway, 60, **mode)
        assert error is None
        for request in simulator.requests:
            if request.method in {"POST", "PUT"}:
                assert request.body["transaction"] is (request.operation != "close")
        check(receipt, simulator, set(numbers(60)))


# --- the close and the look after it ------------------------------------------------------------


async def test_a_close_answered_as_still_open_is_believed_only_by_a_look() -> None:
    # The answer says open; the gateway closes only afterwards, and the look shows it.
    async with Simulator(dialect=Dialect(split_close=True)) as simulator:
        closed: list[str] = []

        def close_before_the_look(request: RecordedRequest) -> Fault | None:
            if request.operation == "get" and of(simulator, "close") and not closed:
                closed.append(id_of(request))
                simulator.gateway.put(closed[0], {"recipients": [], "transaction": False})
            return None

        simulator.faults.plan = close_before_the_look
        async with client(simulator) as gateway:
            receipt, error = await send(gateway)
        assert error is None
        assert operations(simulator) == CLEAN
        assert receipt.message_ids == tuple(closed)
        check(receipt, simulator, set(numbers(20)))


@pytest.mark.parametrize("times", [1, 2, 4])
@pytest.mark.parametrize(
    "fault", [Fault.lost(), Fault.reset(), Fault.status(502), Fault.empty(after_apply=False)]
)
async def test_an_identical_close_goes_again_only_after_a_look_that_shows_it_open(
    gateway: GatewayClient, simulator: Simulator, fault: Fault, times: int
) -> None:
    simulator.faults.add(fault, on="close", times=times)
    receipt, error = await send(gateway)
    assert error is None
    expected = [*CLEAN, *["close", "get"] * times]
    assert operations(simulator)[: len(expected)] == expected
    closes = of(simulator, "close")
    assert len(closes) == times + 1
    assert all(close.body == closes[0].body for close in closes)
    assert all(close.path == closes[0].path for close in closes)
    assert "delete" not in operations(simulator)
    check(receipt, simulator, set(numbers(20)))


async def test_a_close_that_never_takes_ends_after_a_few_and_says_so(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.lost(), on="close", times=None)
    receipt, error = await send(gateway)
    assert error is not None
    assert "did not close" in error.reason
    assert len(of(simulator, "close")) == 5
    assert not simulator.ledger
    # A close that was answered with a yes may still be applied later.
    assert len(receipt.unknown) == 20
    check(receipt, simulator, set(numbers(20)))


@pytest.mark.parametrize(
    "fault",
    [
        Fault.reset(after_apply=True),
        Fault.close(after_apply=True),
        Fault.truncate(),
        Fault.html(502, after_apply=True),
        Fault.html(200, after_apply=True),
        Fault.status(500, after_apply=True),
        Fault.empty(),
    ],
    ids=lambda fault: f"{fault.kind} {fault.code}",
)
async def test_a_close_that_was_lost_and_applied_is_not_sent_again(
    gateway: GatewayClient, simulator: Simulator, fault: Fault
) -> None:
    simulator.faults.add(fault, on="close")
    receipt, error = await send(gateway)
    assert error is None
    assert operations(simulator)[:6] == CLEAN
    assert operations(simulator).count("close") == 1
    check(receipt, simulator, set(numbers(20)))


@pytest.mark.parametrize("answered", [True, False])
async def test_a_message_that_grew_but_did_not_close_is_deleted_and_replaced(
    answered: bool,
) -> None:
    async with Simulator(dialect=Dialect(split_close=True)) as simulator:
        if not answered:
            simulator.faults.add(Fault.reset(after_apply=True), on="close")
        async with client(simulator) as gateway:
            receipt, error = await send(gateway)
        assert error is None
        first, second = of(simulator, "close")
        assert id_of(first) != id_of(second)
        [deleted] = of(simulator, "delete")
        assert id_of(deleted) == id_of(first)
        order = operations(simulator)
        assert order[order.index("close") :][:4] == ["close", "get", "delete", "get"]
        assert second.body["recipients"] == [], "the next close brings nobody"
        check(receipt, simulator, set(numbers(20)))


async def test_a_look_that_fails_is_repeated_until_it_answers(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(503), on="get", skip=1, times=8)
    receipt, error = await send(gateway)
    assert error is None
    assert operations(simulator).count("close") == 1
    check(receipt, simulator, set(numbers(20)))


async def test_a_look_that_never_answers_leaves_them_unknown_not_unsent() -> None:
    async with Simulator() as simulator, client(simulator, IMPATIENT) as gateway:
        simulator.faults.add(Fault.status(503), on="get", skip=1, times=None)
        receipt, error = await send(gateway)
        assert error is not None
        assert "not known" in error.reason
        assert receipt.unknown == tuple(numbers(20))
        check(receipt, simulator, set(numbers(20)))


async def test_a_message_that_is_gone_after_its_close_is_unknown() -> None:
    async with Simulator() as simulator, client(simulator, IMPATIENT) as gateway:
        simulator.faults.add(Fault.status(404, 203), on="get", skip=1, times=None)
        receipt, error = await send(gateway)
        assert error is not None
        assert receipt.unknown == tuple(numbers(20))
        check(receipt, simulator, set(numbers(20)))


# --- doubt before the close ---------------------------------------------------------------------


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lost_append_is_never_sent_again_into_the_same_message(
    gateway: GatewayClient, simulator: Simulator, applied: bool
) -> None:
    simulator.faults.add(Fault.reset(after_apply=applied), on="append")
    receipt, error = await send(gateway, 40)
    assert error is None
    seen: set[tuple[str, str]] = set()
    for request in of(simulator, "append"):
        for one in request.body["recipients"]:
            assert (request.path, one) not in seen
            seen.add((request.path, one))
    check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("applied", [True, False])
async def test_a_message_with_a_lost_append_is_listed_before_and_after_its_close(
    gateway: GatewayClient, simulator: Simulator, applied: bool
) -> None:
    simulator.faults.add(Fault.reset(after_apply=applied), on="append")
    receipt, _ = await send(gateway, 20)
    lists = [id_of(request) for request in of(simulator, "recipients")]
    assert lists == [receipt.message_ids[0]] * 2
    order = operations(simulator)
    close = order.index("close")
    assert "recipients" in order[:close]
    assert "recipients" in order[close:]
    check(receipt, simulator, set(numbers(20)))


def double_at_the_close(simulator: Simulator) -> None:
    """Let the first batch land once more between the look and the close."""
    struck: list[str] = []

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation == "close" and not struck:
            struck.append(id_of(request))
            simulator.gateway.put(struck[0], {"recipients": numbers(5), "transaction": True})
        return None

    simulator.faults.plan = plan


async def test_after_a_doubled_number_every_later_message_is_one_post_and_one_close(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    double_at_the_close(simulator)
    receipt, error = await send(gateway, 100)
    assert error is not None
    assert receipt.doubled == tuple(numbers(5))
    assert receipt.accepted == 95
    assert not receipt.unsent
    assert not receipt.unknown
    assert parts(receipt) == receipt.total
    # The next message may have been opened meanwhile; from then on nothing is appended.
    for message_id in receipt.message_ids[2:]:
        made = [
            one for one in simulator.requests if one.method == "PUT" and id_of(one) == message_id
        ]
        assert [one.operation for one in made] == ["close"]
    assert len(receipt.message_ids) > 4
    appended = {id_of(request) for request in of(simulator, "append")}
    assert appended <= set(receipt.message_ids[:2])


async def test_an_acknowledged_batch_that_is_missing_makes_the_rest_careful(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.lost(), on="append")
    receipt, error = await send(gateway, 100)
    assert error is None
    check(receipt, simulator, set(numbers(100)))
    appended = {id_of(request) for request in of(simulator, "append")}
    assert len(appended) <= 2
    order = operations(simulator)
    last = len(order) - 1 - order[::-1].index("append")
    rest = [one for one in order[last:] if one in {"open", "close"}]
    assert rest.count("open") > 3


async def test_a_number_doubled_before_the_close_is_deleted_before_anybody_is_texted(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.repeat(), on="append")
    receipt, error = await send(gateway, 40)
    assert error is None
    assert operations(simulator).index("delete") < operations(simulator).index("close")
    check(receipt, simulator, set(numbers(40)))


@pytest.mark.parametrize("verify", ["auto", "always"])
async def test_a_lost_batch_whose_place_a_repeated_one_takes_is_not_called_accepted(
    gateway: GatewayClient, simulator: Simulator, verify: str
) -> None:
    # The first append is dropped though answered with a yes. A proxy repeats the second one and
    # passes the second answer on: the counts in the answers then rise as they should.
    appends = 0

    def plan(request: RecordedRequest) -> Fault | None:
        nonlocal appends
        if request.operation != "append":
            return None
        appends += 1
        if appends == 1:
            return Fault.lost()
        if appends == 2:
            simulator.gateway.put(id_of(request), request.body)
        return None

    simulator.faults.plan = plan
    # Batches of one message differ in size, so that the counts show it.
    receipt, _ = await send(gateway, 100, batch_size=20, recipients_per_message=100, verify=verify)
    texted = simulator.ledger
    certain = set(numbers(100)) - {*receipt.doubled, *receipt.unknown, *receipt.unsent}
    assert all(texted[one] == 1 for one in certain)


async def test_a_stranger_on_an_open_message_keeps_it_from_being_closed(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    struck: list[str] = []

    def plan(request: RecordedRequest) -> Fault | None:
        if request.operation == "get" and not struck:
            struck.append(id_of(request))
            simulator.gateway.put(struck[0], {"recipients": [number(999)], "transaction": True})
        return None

    simulator.faults.plan = plan
    receipt, error = await send(gateway, 20)
    assert error is None
    assert struck[0] not in receipt.message_ids
    assert number(999) not in simulator.ledger
    check(receipt, simulator, set(numbers(20)))


# --- a list that grows slowly -----------------------------------------------------------------


async def test_a_growing_list_is_read_again_until_it_is_complete() -> None:
    async with Simulator(dialect=Dialect(list_grows=0.05)) as simulator:
        async with client(simulator) as gateway:
            receipt, error = await send(gateway, verify="always")
        assert error is None
        assert operations(simulator).count("recipients") > 2
        check(receipt, simulator, set(numbers(20)))


async def test_each_reading_of_the_list_is_held_against_a_look_after_it() -> None:
    async with Simulator(dialect=Dialect(list_grows=0.05)) as simulator:
        async with client(simulator) as gateway:
            await send(gateway, verify="always")
        order = operations(simulator)
        after = order[order.index("close") + 2 :]
        assert after == ["recipients", "get"] * (len(after) // 2)


async def test_a_list_that_stays_too_short_to_the_deadline_leaves_them_unknown() -> None:
    now = 1_000.0
    async with Simulator(dialect=Dialect(list_grows=60), clock=lambda: now) as simulator:
        async with client(simulator, IMPATIENT) as gateway:
            receipt, error = await send(gateway, verify="always")
        assert error is not None
        assert "neither its counts nor its list" in error.reason
        assert receipt.unknown == tuple(numbers(20))
        assert not receipt.unsent
        check(receipt, simulator, set(numbers(20)))


async def test_a_resume_looks_again_at_a_list_that_was_too_short(tmp_path: Path) -> None:
    now = [1_000.0]
    journal = tmp_path / "campaign.db"
    async with Simulator(dialect=Dialect(list_grows=60), clock=lambda: now[0]) as simulator:
        async with client(simulator, IMPATIENT) as gateway:
            _, error = await send(gateway, verify="always", journal=journal)
            assert error is not None
            assert error.resumable
            now[0] += 61
            simulator.requests.clear()
            receipt = await gateway.resume_bulk(journal)
        assert receipt.complete
        assert {request.method for request in simulator.requests} == {"GET"}
        check(receipt, simulator, set(numbers(20)))


# --- rounds --------------------------------------------------------------------------------------


async def test_after_ten_rounds_recipients_on_no_closed_message_are_unsent(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    def vanish(request: RecordedRequest) -> Fault | None:
        if request.operation == "get":
            simulator.gateway.delete(id_of(request))
        return None

    simulator.faults.plan = vanish
    receipt, error = await send(gateway)
    assert error is not None
    assert "10 rounds" in error.reason
    assert "gone" in error.reason, "and why"
    assert operations(simulator).count("open") == 10
    assert "close" not in operations(simulator)
    assert receipt.unsent == tuple(numbers(20))
    assert not simulator.ledger
    check(receipt, simulator, set(numbers(20)))


async def test_rounds_that_close_a_message_are_continued(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    # Every second message vanishes before its close: slow, but the campaign ends.
    looks = 0

    def vanish(request: RecordedRequest) -> Fault | None:
        nonlocal looks
        closed = {id_of(one) for one in of(simulator, "close")}
        if request.operation == "get" and id_of(request) not in closed:
            looks += 1
            if looks % 2:
                simulator.gateway.delete(id_of(request))
        return None

    simulator.faults.plan = vanish
    receipt, error = await send(gateway, 100)
    assert error is None, error.reason
    check(receipt, simulator, set(numbers(100)))
