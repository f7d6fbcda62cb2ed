"""Regressions: cancellation, stopping and unusual callers at the worst moment.

Each of these once texted a recipient that was reported unsent, lost a recipient from the receipt,
hung, or continued to send after a stop.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anyio
import pytest

from gateway_sms_async import BulkSendError, GatewayClient, Progress, Receipt, RetryPolicy
from gateway_sms_async.testing import Dialect, Fault, Simulator

from ..support.accounting import check, check_ledger, number, numbers, parts, tasks_of_ours
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


def client(simulator: Simulator, **more: Any) -> GatewayClient:
    settings: dict[str, Any] = {"rate": None, "timeout": 5, "retry": QUICK, **more}
    token = settings.pop("token", simulator.token)
    return GatewayClient(token, base_url=simulator.url, **settings)


def operations(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


async def arrival(simulator: Simulator, operation: str) -> None:
    while operation not in operations(simulator):
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("how", ["cancel", "stop", "aclose"])
async def test_one_recipient_whose_plain_send_is_in_the_air_is_not_called_unsent(how: str) -> None:
    async with Simulator(dialect=Dialect(empty_close=False)) as simulator:
        gateway = await client(simulator).open()
        simulator.faults.add(Fault.drip(0.0005), on="send")
        stop = asyncio.Event()
        told: list[Progress] = []
        campaign = asyncio.create_task(
            gateway.send_bulk([number(1)], **ACME, stop=stop, on_progress=told.append)
        )
        await arrival(simulator, "send")
        if how == "cancel":
            campaign.cancel()
        elif how == "stop":
            stop.set()
        else:
            await gateway.aclose()
        await asyncio.gather(campaign, return_exceptions=True)
        await gateway.aclose()
        assert simulator.ledger == {number(1): 1}
        assert (told[-1].accepted, told[-1].unsent) == (1, 0)


async def test_a_source_that_raises_costs_the_next_add_nothing(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    def broken() -> Iterator[str]:
        yield from ()
        raise KeyError

    transaction = gateway.transaction(**ACME, batch_size=2, concurrency=1)
    await transaction.add(numbers(2))
    with pytest.raises(KeyError):
        await transaction.add(broken())
    await transaction.add(numbers(3, 2))
    receipt = await transaction.close()
    assert receipt.accepted == 5
    assert not receipt.source_exhausted, "what the broken source held is not known"
    assert not receipt.complete
    check(transaction.receipt, simulator, set(numbers(5)))


async def test_a_source_that_was_cancelled_is_not_a_source_at_its_end(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async def source() -> AsyncIterator[str]:
        for one in numbers(10):
            yield one
        elsewhere = asyncio.ensure_future(asyncio.sleep(9))
        elsewhere.cancel()
        await elsewhere

    with pytest.raises(BulkSendError, match="cancelled") as caught:
        await gateway.send_bulk(source(), **ACME, batch_size=3)
    assert not caught.value.receipt.complete
    check(caught.value.receipt, simulator, set(numbers(10)))


@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_a_source_that_swallows_its_cancellation_sends_no_more(
    gateway: GatewayClient, simulator: Simulator, how: str
) -> None:
    stop = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for one in numbers(400):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.002)
            yield one

    campaign = asyncio.create_task(
        gateway.send_bulk(source(), **ACME, batch_size=2, recipients_per_message=4, stop=stop)
    )
    await asyncio.sleep(0.1)
    before = len(simulator.requests)
    if how == "stop":
        stop.set()
    else:
        campaign.cancel()
    [ended] = await asyncio.gather(campaign, return_exceptions=True)
    assert isinstance(ended, BulkSendError | asyncio.CancelledError)
    # One request may have been in flight at that moment.
    assert operations(simulator)[before:].count("open") <= 1
    assert not tasks_of_ours()


@pytest.mark.parametrize("how", ["abandon", "cancelled close", "exception"])
async def test_a_recipient_that_another_task_was_adding_is_counted(
    gateway: GatewayClient, simulator: Simulator, how: str
) -> None:
    go_on = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield number(10)
        await go_on.wait()
        yield number(11)

    transaction = gateway.transaction(**ACME)
    adding = asyncio.create_task(transaction.add(source()))
    await asyncio.sleep(0.01)
    await transaction.add(numbers(2))
    if how == "abandon":
        await transaction.abandon()
    elif how == "cancelled close":
        closing = asyncio.create_task(transaction.close())
        await asyncio.sleep(0.01)
        closing.cancel()
        await asyncio.wait([closing])
    else:
        with pytest.raises(ZeroDivisionError):
            async with transaction:
                raise ZeroDivisionError
    go_on.set()
    with pytest.raises(RuntimeError, match="not all recipients were added"):
        await adding
    assert transaction.receipt.total == 4
    check(transaction.receipt, simulator, {number(0), number(1), number(10), number(11)})


@pytest.mark.parametrize("call", range(1, 9))
@pytest.mark.parametrize("bulk", [True, False])
async def test_a_token_source_whose_refresh_was_cancelled_neither_hangs_nor_passes(
    simulator: Simulator, call: int, bulk: bool
) -> None:
    class Shared:
        calls = 0

        async def token(self) -> str:
            self.calls += 1
            if self.calls == call:
                refresh = asyncio.ensure_future(asyncio.sleep(9))
                refresh.cancel()
                await refresh
            return simulator.token

        async def renew(self, rejected: str) -> str:
            return rejected

    receipt: Receipt
    async with client(simulator, token=Shared()) as gateway:
        transaction = gateway.transaction(**ACME, batch_size=3)
        try:
            if bulk:
                receipt = await gateway.send_bulk(numbers(12), **ACME, batch_size=3)
            else:
                await transaction.add(numbers(12))
                receipt = await transaction.close()
            assert receipt.complete
        except BulkSendError as error:
            receipt = error.receipt
            assert "cancelled" in error.reason
    check(receipt, simulator)


async def test_cancelled_twice_in_a_row_leaves_nothing_running(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.1
    told: list[Progress] = []
    campaign = asyncio.create_task(
        gateway.send_bulk(
            numbers(300), **ACME, batch_size=5, recipients_per_message=50, on_progress=told.append
        )
    )
    await asyncio.sleep(0.05)
    campaign.cancel()
    await asyncio.sleep(0)
    campaign.cancel()
    await asyncio.wait([campaign])
    assert campaign.cancelled()
    assert not tasks_of_ours()
    assert told[-1].read == told[-1].accepted + told[-1].unsent + told[-1].unknown


@pytest.mark.parametrize("operation", ["open", "close"])
@pytest.mark.parametrize("how", ["cancel", "stop"])
async def test_what_was_refused_is_not_sent_again_after_the_stop(
    gateway: GatewayClient, simulator: Simulator, operation: str, how: str
) -> None:
    simulator.latency = 0.05
    simulator.faults.add(Fault.status(429, retry_after="0"), on=operation)
    stop = asyncio.Event()
    campaign = asyncio.create_task(gateway.send_bulk(numbers(6), **ACME, batch_size=3, stop=stop))
    await arrival(simulator, operation)
    before = len(simulator.requests)
    if how == "stop":
        stop.set()
    else:
        campaign.cancel()
    [ended] = await asyncio.gather(campaign, return_exceptions=True)
    assert isinstance(ended, BulkSendError | asyncio.CancelledError)
    # A refused close is only looked at: the refusal itself proves nothing.
    assert {one.operation for one in simulator.requests[before:]} <= {"get"}
    assert not simulator.ledger


async def test_fields_that_raise_make_their_recipient_invalid(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    class Lazy(Mapping[str, str]):
        def __getitem__(self, key: str) -> str:
            raise KeyError(key)

        def __iter__(self) -> Iterator[str]:
            return iter(("name",))

        def __len__(self) -> int:
            return 1

    source: list[Any] = [number(0), (number(1), Lazy()), number(2), number(3)]
    receipt = await gateway.send_bulk(source, **ACME)
    assert [one.reason for one in receipt.invalid] == ["its fields raised KeyError"]
    assert receipt.accepted == 3
    assert parts(receipt) == receipt.total


async def test_abandoning_while_it_closes_says_what_came_first(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    transaction = gateway.transaction(**ACME, batch_size=3)
    await transaction.add(numbers(10))
    simulator.faults.add(Fault.drip(0.0005), on="close")
    closing = asyncio.create_task(transaction.close())
    await arrival(simulator, "close")
    with pytest.raises(RuntimeError, match="ended"):
        await transaction.abandon()
    assert (await closing).complete
    assert transaction.state == "closed"
    assert "delete" not in operations(simulator)
    check(transaction.receipt, simulator, set(numbers(10)))


async def test_two_adders_that_are_interrupted_lose_no_recipient(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async def source(start: int) -> AsyncIterator[str]:
        for one in numbers(50, start):
            yield one
            await asyncio.sleep(0.001)

    simulator.latency = 0.03
    async with gateway.transaction(**ACME, batch_size=2, concurrency=1) as transaction:
        with anyio.move_on_after(0.05):
            async with anyio.create_task_group() as group:
                group.start_soon(transaction.add, source(0))
                group.start_soon(transaction.add, source(100))
    assert transaction.receipt.accepted == transaction.receipt.total
    check(transaction.receipt, simulator)


async def test_a_close_that_did_not_close_does_not_return(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.05
    transaction = gateway.transaction(**ACME, batch_size=3)
    await transaction.add(numbers(10))
    first = asyncio.create_task(transaction.close())
    second = asyncio.create_task(transaction.close())
    await asyncio.sleep(0.02)
    first.cancel()
    await asyncio.wait([first, second])
    assert isinstance(second.exception(), BulkSendError)
    with pytest.raises(BulkSendError, match="stopped") as caught:
        await transaction.close()
    check(caught.value.receipt, simulator, set(numbers(10)))


async def test_a_base_exception_from_the_source_stops_the_campaign(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    class Boom(BaseException):
        pass

    def source() -> Iterator[str]:
        yield from numbers(25)
        raise Boom

    simulator.latency = 0.02
    with pytest.raises(Boom):
        await gateway.send_bulk(source(), **ACME, batch_size=5, recipients_per_message=10)
    assert not tasks_of_ours()
    sent = len(simulator.requests)
    await asyncio.sleep(0.05)
    assert len(simulator.requests) == sent


async def test_a_small_message_whose_open_is_in_the_air_is_known_by_its_id(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.05
    transaction = gateway.transaction(**ACME)
    await transaction.add(numbers(3))
    closing = asyncio.create_task(transaction.close())
    await arrival(simulator, "open")
    closing.cancel()
    await asyncio.wait([closing])
    assert transaction.receipt.open_message_ids == tuple(simulator.gateway.messages)
    check(transaction.receipt, simulator, set(numbers(3)))


async def test_aclose_that_is_cancelled_closes_all_the_same(simulator: Simulator) -> None:
    simulator.latency = 0.2
    gateway = await client(simulator).open()
    campaign = asyncio.create_task(gateway.send_bulk(numbers(100), **ACME, batch_size=10))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(gateway.aclose())
    await asyncio.sleep(0.01)
    closing.cancel()
    await asyncio.wait([closing, campaign])
    assert isinstance(campaign.exception(), BulkSendError)
    # A connection left open would raise a ResourceWarning, which fails the test.


async def test_a_send_with_too_little_time_left_does_not_leave(simulator: Simulator) -> None:
    patience = RetryPolicy(max_elapsed=0.2)
    simulator.latency = 0.05
    async with client(simulator, rate=6, retry=patience) as gateway:
        results = await asyncio.gather(
            *(gateway.messages.send(**ACME, recipients=number(n)) for n in range(4)),
            return_exceptions=True,
        )
    failed = [one for one in results if isinstance(one, BaseException)]
    assert failed
    assert all(isinstance(one, TimeoutError) for one in failed), "not sent, and known to be so"
    assert len(simulator.ledger) == len(results) - len(failed)


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("how", ["once", "twice", "anyio"])
@pytest.mark.timeout(60)  # a campaign for every single step of the loop
async def test_cancelled_after_every_single_step(count: int, how: str) -> None:
    async with (
        Simulator(dialect=Dialect(empty_close=count != 1)) as simulator,
        client(simulator, concurrency=2) as gateway,
    ):
        for step in range(200):
            source = numbers(count, step * 20)
            transaction = gateway.transaction(**ACME, batch_size=3)
            before = len(simulator.requests)
            if await ended_before(transaction, source, step, how):
                break
            receipt = transaction.receipt
            ledger_of_all = simulator.ledger
            ledger = {one: ledger_of_all[one] for one in source if one in ledger_of_all}
            check_ledger(receipt, ledger, set(source[: receipt.total]))
            assert not receipt.unknown, "all could land"
            left_open = {
                message.id
                for message in simulator.gateway.messages.values()
                if message.is_open and set(message.numbers) & set(source)
            }
            assert left_open <= set(receipt.open_message_ids)
            assert len(simulator.requests) - before < 12
            assert not tasks_of_ours()
        else:
            pytest.fail("it never came to its end")


async def ended_before(transaction: Any, source: list[str], step: int, how: str) -> bool:
    """Run a transaction and cancel it after `steps` of the loop; return True if it had ended."""
    scopes: list[anyio.CancelScope] = []

    async def work() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            async with transaction:
                await transaction.add(source)

    task = asyncio.create_task(work())
    for _ in range(step + 1):
        await asyncio.sleep(0)
    done = task.done()
    if how == "anyio":
        scopes[0].cancel()
    else:
        task.cancel()
        if how == "twice":
            await asyncio.sleep(0)
            task.cancel()
    await asyncio.wait([task])
    return done
