"""Transactions and the message builder, one message at a time, against the simulator."""

import asyncio
from typing import Any

import anyio
import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InsufficientCreditError,
    InvalidRequestError,
    Recipient,
    ServerError,
    TransactionClosedError,
)
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, number, numbers, tasks_of_ours
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


def operations(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


async def test_streams_batches_and_keeps_the_last_for_the_close(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(**ACME, batch_size=10, concurrency=1) as transaction:
        assert (transaction.state, transaction.message_id) == ("new", None)
        await transaction.add(numbers(34))
        assert transaction.state == "open"
    assert transaction.state == "closed"
    assert operations(simulator) == ["open", "append", "append", "get", "close", "get"]
    bodies = [request.body for request in simulator.requests if request.body]
    assert [body["transaction"] for body in bodies] == [True, True, True, False]
    assert [body["recipients"] for body in bodies] == [
        numbers(10),
        numbers(9, 10),
        numbers(8, 19),
        numbers(7, 27),
    ]
    receipt = transaction.receipt
    assert receipt.complete
    assert receipt.accepted == 34
    assert receipt.message_ids == (transaction.message_id,)
    assert receipt.cost is not None
    check(receipt, simulator, set(numbers(34)))


@pytest.mark.parametrize("count", [2, 9, 10, 11, 20, 21])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_all_recipients_are_sent_whatever_the_number_of_batches(
    gateway: GatewayClient, simulator: Simulator, count: int, concurrency: int
) -> None:
    async with gateway.transaction(**ACME, batch_size=10, concurrency=concurrency) as transaction:
        await transaction.add(numbers(count))
    assert transaction.receipt.complete
    check(transaction.receipt, simulator, set(numbers(count)))
    closing = simulator.requests[-2]
    assert closing.operation == "close"
    assert closing.body["recipients"], "the close carries somebody"


async def test_one_recipient_alone_opens_and_the_close_brings_none(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(**ACME) as transaction:
        await transaction.add("+39 340 0000001")
    assert operations(simulator) == ["open", "get", "close", "get"]
    assert simulator.requests[-2].body == {"recipients": [], "transaction": False}
    check(transaction.receipt, simulator, {number(1)})


async def test_one_recipient_where_the_close_needs_one_is_sent_single() -> None:
    async with (
        Simulator(dialect=Dialect(empty_close=False)) as simulator,
        GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK) as gateway,
    ):
        async with gateway.transaction(**ACME) as transaction:
            await transaction.add(number(1))
        assert operations(simulator) == [
            *("open", "get", "close", "get"),
            *("delete", "get", "send", "get"),
        ]
        assert transaction.state == "closed"
        assert transaction.message_id in simulator.gateway.messages
        check(transaction.receipt, simulator, {number(1)})


async def test_no_recipients_at_all_send_nothing(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(**ACME) as transaction:
        await transaction.add([])
        await transaction.add(["nonsense", "+39"])
    assert not simulator.requests
    assert transaction.receipt.complete
    assert [one.position for one in transaction.receipt.invalid] == [0, 1]
    check(transaction.receipt, simulator)


async def test_refused_and_repeated_recipients_are_named_and_stop_nothing(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    source = [number(1), "340 0000002", "0039 340 0000001", Recipient("+393400000003"), 7]
    async with gateway.transaction(**ACME) as transaction:
        await transaction.add(source)  # type: ignore[arg-type]
    receipt = transaction.receipt
    assert receipt.accepted == 2
    assert receipt.duplicates == 1
    assert [(one.number, one.position) for one in receipt.invalid] == [("340 0000002", 1), ("", 4)]
    assert "international prefix" in receipt.invalid[0].reason
    check(receipt, simulator, {number(1), number(3)})


async def test_personalised_recipients_go_as_objects_and_one_alone_as_one_object(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    body = "Ciao {{name}}"
    async with gateway.transaction(sender="ACME", body=body) as transaction:
        await transaction.add([(number(n), {"name": f"N{n}"}) for n in range(3)])
    assert simulator.requests[0].body["recipients"] == [
        {"number": number(0), "fields": {"name": "N0"}},
        {"number": number(1), "fields": {"name": "N1"}},
    ]
    assert simulator.requests[-2].body["recipients"] == {
        "number": number(2),
        "fields": {"name": "N2"},
    }
    reports = await gateway.messages.recipients(transaction.message_id or "")
    assert sorted(str(report.body) for report in reports) == ["Ciao N0", "Ciao N1", "Ciao N2"]
    check(transaction.receipt, simulator)


async def test_a_recipient_without_a_needed_field_is_refused(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(sender="ACME", body="Ciao {{name}}") as transaction:
        await transaction.add([number(0), (number(1), {"name": "Anna"})])
    assert [one.reason for one in transaction.receipt.invalid] == [
        "no field 'name', which the text uses"
    ]
    check(transaction.receipt, simulator)


async def test_several_tasks_may_add(gateway: GatewayClient, simulator: Simulator) -> None:
    async def source(start: int) -> Any:
        for one in numbers(100, start):
            await asyncio.sleep(0)
            yield one

    async with gateway.transaction(**ACME, batch_size=7) as transaction:
        async with anyio.create_task_group() as group:
            for start in (0, 50, 100, 150):
                group.start_soon(transaction.add, source(start))
    assert transaction.receipt.duplicates == 150
    check(transaction.receipt, simulator, set(numbers(250)))


async def test_the_close_waits_for_an_add_that_is_running(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    started = asyncio.Event()

    async def source() -> Any:
        started.set()
        for one in numbers(30):
            await asyncio.sleep(0.001)
            yield one

    transaction = gateway.transaction(**ACME, batch_size=10)
    adding = asyncio.create_task(transaction.add(source()))
    await started.wait()
    receipt = await transaction.close()
    await adding
    assert receipt.accepted == 30
    with pytest.raises(RuntimeError, match="ended"):
        await transaction.add(number(99))
    check(receipt, simulator, set(numbers(30)))


async def test_the_blocks_own_exception_passes_and_nothing_goes_out(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with gateway.transaction(**ACME, batch_size=5) as transaction:
            await transaction.add(numbers(12))
            while transaction.message_id is None:
                await asyncio.sleep(0.001)
            _ = 1 / 0
    assert transaction.state == "left_open"
    assert transaction.receipt.open_message_ids == (transaction.message_id,)
    assert set(transaction.receipt.unsent) == set(numbers(12))
    assert not simulator.ledger
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_the_receipt_adds_up_at_any_time(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.002
    async with gateway.transaction(**ACME, batch_size=5) as transaction:

        async def source() -> Any:
            for one in numbers(60):
                await asyncio.sleep(0)
                check(transaction.receipt, simulator)
                yield one

        await transaction.add(source())
        closing = asyncio.create_task(transaction.close())
        while not closing.done():
            check_running(transaction.receipt)
            await asyncio.sleep(0)
    check(transaction.receipt, simulator, set(numbers(60)))


def check_running(receipt: Any) -> None:
    settled = receipt.accepted + len(receipt.unknown) + len(receipt.unsent)
    assert settled == receipt.total


async def test_abandon_deletes(gateway: GatewayClient, simulator: Simulator) -> None:
    transaction = gateway.transaction(**ACME, batch_size=5)
    await transaction.add(numbers(12))
    while transaction.state == "new":
        await asyncio.sleep(0.001)
    await transaction.abandon()
    assert transaction.state == "abandoned"
    assert operations(simulator)[-2:] == ["delete", "get"]
    check(transaction.receipt, simulator, set(numbers(12)))
    assert len(transaction.receipt.unsent) == 12
    with pytest.raises(RuntimeError, match="abandoned"):
        await transaction.close()
    with pytest.raises(RuntimeError):
        await transaction.abandon()


async def test_abandon_before_anything_left_sends_nothing(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(**ACME) as transaction:
        await transaction.add(numbers(3))
        await transaction.abandon()
    assert not simulator.requests
    check(transaction.receipt, simulator, set(numbers(3)))


async def test_closing_again_returns_the_same_receipt(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    transaction = gateway.transaction(**ACME)
    await transaction.add(numbers(3))
    first = await transaction.close()
    sent = len(simulator.requests)
    again = await transaction.close()
    assert (first.accepted, again.accepted) == (3, 3)
    assert len(simulator.requests) == sent


# --- when requests fail ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [Fault.status(500), Fault.reset(after_apply=True), Fault.html(200), Fault.late(0.05)],
    ids=lambda fault: fault.kind,
)
async def test_an_ambiguous_batch_is_never_repeated_and_looked_for_after_the_close(
    gateway: GatewayClient, simulator: Simulator, fault: Fault
) -> None:
    quick = gateway.with_options(timeout=0.3)
    simulator.faults.add(fault, on="append")
    transaction = quick.transaction(**ACME, batch_size=5, concurrency=1)
    await transaction.add(numbers(30))
    applied = fault.after_apply or fault.kind == "late"
    if applied:
        assert (await transaction.close()).complete
    else:
        with pytest.raises(BulkSendError) as caught:
            await transaction.close()
        assert caught.value.receipt.unsent == tuple(numbers(4, 5))
    appended = [request for request in simulator.requests if request.operation == "append"]
    assert len(appended) == len({str(request.body) for request in appended})
    assert transaction.state == "closed"
    assert "recipients" in operations(simulator)
    check(transaction.receipt, simulator, set(numbers(30)))


async def test_a_failing_batch_takes_no_other_down(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.05
    simulator.faults.add(Fault.status(422, 304), on="append")
    with pytest.raises(BulkSendError) as caught:
        async with gateway.transaction(**ACME, batch_size=5, concurrency=4) as transaction:
            await transaction.add(numbers(60))
    assert isinstance(caught.value.__cause__, InvalidRequestError)
    assert all(request.status is not None for request in simulator.requests), "all were answered"
    check(transaction.receipt, simulator)


async def test_a_lost_open_is_an_orphan_and_another_is_opened(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="open")
    async with gateway.transaction(**ACME, batch_size=5) as transaction:
        await transaction.add(numbers(12))
    assert operations(simulator).count("open") == 2
    assert len(simulator.gateway.messages) == 2
    assert transaction.receipt.retries == 1
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_an_open_that_fails_for_good_leaves_all_unsent(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(503), on="open", times=None)
    with pytest.raises(BulkSendError) as caught:
        async with gateway.transaction(**ACME, batch_size=5) as transaction:
            await transaction.add(numbers(100))
    assert isinstance(caught.value.__cause__, ServerError)
    assert transaction.state == "new"
    assert not simulator.ledger
    check(transaction.receipt, simulator)


async def test_a_batch_that_was_acknowledged_but_is_not_there_is_unsent(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.lost(), on="append")
    with pytest.raises(BulkSendError, match="4 are not on a closed message"):
        async with gateway.transaction(**ACME, batch_size=5, concurrency=1) as transaction:
            await transaction.add(numbers(30))
    assert transaction.state == "closed"
    assert transaction.receipt.unsent == tuple(numbers(4, 5))
    check(transaction.receipt, simulator, set(numbers(30)))


async def test_a_message_that_was_closed_elsewhere_is_unknown(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    with pytest.raises(BulkSendError) as caught:
        async with gateway.transaction(**ACME, batch_size=5, concurrency=1) as transaction:
            await transaction.add(numbers(8))
            while transaction.message_id is None:
                await asyncio.sleep(0.001)
            simulator.gateway.put(transaction.message_id, {"recipients": [], "transaction": False})
            await transaction.add(numbers(20, 8))
    assert isinstance(caught.value.__cause__, TransactionClosedError)
    assert transaction.state == "unknown"
    # Recipients of a message that was closed elsewhere must not be called unsent.
    assert not set(transaction.receipt.unsent) & simulator.ledger.keys()


async def test_a_message_that_was_closed_elsewhere_cannot_be_abandoned(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    transaction = gateway.transaction(**ACME, batch_size=5)
    await transaction.add(numbers(8))
    while transaction.message_id is None:
        await asyncio.sleep(0.001)
    simulator.gateway.put(transaction.message_id, {"recipients": [], "transaction": False})
    with pytest.raises(InvalidRequestError):
        await transaction.abandon()
    assert transaction.state == "unknown"
    assert not set(transaction.receipt.unsent) & simulator.ledger.keys()


# --- when the close fails ------------------------------------------------------------------


async def test_a_close_whose_answer_is_lost_is_looked_at(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="close")
    async with gateway.transaction(**ACME, batch_size=5) as transaction:
        await transaction.add(numbers(12))
    assert operations(simulator)[-2:] == ["close", "get"]
    assert transaction.state == "closed"
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_a_close_that_was_not_applied_is_made_again(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(502), on="close", times=2)
    async with gateway.transaction(**ACME, batch_size=5) as transaction:
        await transaction.add(numbers(12))
    closes = [request.body for request in simulator.requests if request.operation == "close"]
    assert len(closes) == 3
    assert closes[0] == closes[1] == closes[2]
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_a_close_that_is_applied_late_is_not_doubled(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.late(60), on="close")
    quick = gateway.with_options(timeout=0.2)
    async with quick.transaction(**ACME, batch_size=5) as transaction:
        await transaction.add(numbers(12))
    assert simulator.land_late() == 1
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_a_close_that_adds_its_recipients_but_stays_open_is_deleted_not_repeated(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    def half_a_close(request: RecordedRequest) -> Fault | None:
        if request.operation != "close":
            return None
        message_id = request.path.rsplit("/", 1)[-1]
        simulator.gateway.put(message_id, {**request.body, "transaction": True})
        return Fault.reset()

    simulator.faults.plan = half_a_close
    with pytest.raises(BulkSendError, match="deleted"):
        async with gateway.transaction(**ACME, batch_size=5) as transaction:
            await transaction.add(numbers(12))
    assert operations(simulator).count("close") == 1
    assert transaction.state == "abandoned"
    assert len(transaction.receipt.unsent) == 12
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_a_close_that_cannot_be_looked_at_is_unknown(simulator: Simulator) -> None:
    patience = type(QUICK)(base_delay=0.001, max_delay=0.01, max_elapsed=0.2)
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, retry=patience
    ) as gateway:
        simulator.faults.add(Fault.reset(after_apply=True), on="close")
        with pytest.raises(BulkSendError) as caught:
            async with gateway.transaction(**ACME, batch_size=5) as transaction:
                await transaction.add(numbers(12))
                simulator.faults.add(Fault.status(500), on="get", times=None, skip=1)
        assert transaction.state == "unknown"
        assert len(caught.value.receipt.unknown) == 12
        check(caught.value.receipt, simulator, set(numbers(12)))


async def test_no_credit_at_the_close_leaves_the_message_open(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="close")
    with pytest.raises(BulkSendError) as caught:
        async with gateway.transaction(**ACME, batch_size=5) as transaction:
            await transaction.add(numbers(12))
    assert isinstance(caught.value.__cause__, InsufficientCreditError)
    assert transaction.state == "left_open"
    assert len(transaction.receipt.unsent) == 12
    check(transaction.receipt, simulator, set(numbers(12)))


async def test_a_close_answered_with_yes_but_still_open_is_made_again(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.lost(), on="close")
    async with gateway.transaction(**ACME, batch_size=5) as transaction:
        await transaction.add(numbers(12))
    check(transaction.receipt, simulator, set(numbers(12)))


# --- cancellation ----------------------------------------------------------------------------


@pytest.mark.parametrize("native", [True, False], ids=["task.cancel", "anyio scope"])
@pytest.mark.parametrize("counts_by_batch", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55])
async def test_cancelled_anywhere_all_recipients_are_accounted_for(
    gateway: GatewayClient, simulator: Simulator, counts_by_batch: int, native: bool
) -> None:
    simulator.latency = 0.003
    transaction = gateway.transaction(**ACME, batch_size=5, concurrency=3)

    async def campaign() -> None:
        async with transaction:
            await transaction.add(numbers(40))

    async def after_some_steps() -> None:
        for _ in range(counts_by_batch):
            await asyncio.sleep(0.001)

    if native:
        task = asyncio.create_task(campaign())
        await after_some_steps()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None
    else:
        async with anyio.create_task_group() as group:
            group.start_soon(campaign)
            await after_some_steps()
            group.cancel_scope.cancel()
    check(transaction.receipt, simulator)
    assert not transaction.receipt.unknown, "the close had time to land"
    assert not tasks_of_ours()


async def test_cancelled_while_the_close_is_in_the_air_waits_for_its_answer(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    transaction = gateway.transaction(**ACME)
    await transaction.add(numbers(3))
    simulator.faults.add(Fault.drip(0.0005), on="close")
    task = asyncio.create_task(transaction.close())
    while "close" not in operations(simulator):
        await asyncio.sleep(0.001)
    task.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert transaction.state == "closed"
    assert transaction.receipt.accepted == 3
    check(transaction.receipt, simulator, set(numbers(3)))


async def test_a_close_still_in_the_air_at_the_end_of_its_time_is_unknown(
    gateway: GatewayClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_sms_async._cancellation.GRACE_PERIOD", 0.1)
    transaction = gateway.transaction(**ACME)
    await transaction.add(numbers(3))
    simulator.faults.add(Fault.hang(after_apply=True), on="close")
    task = asyncio.create_task(transaction.close())
    while "close" not in operations(simulator):
        await asyncio.sleep(0.001)
    task.cancel()
    await asyncio.wait([task])
    assert transaction.state == "unknown"
    assert len(transaction.receipt.unknown) == 3
    check(transaction.receipt, simulator, set(numbers(3)))
    assert not tasks_of_ours()
