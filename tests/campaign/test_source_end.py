"""After a campaign has ended early: which recipients of its source the receipt names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    Progress,
    Receipt,
    Recipients,
    read_journal,
)
from gateway_sms_async._campaign.backlog import read_rest
from gateway_sms_async._recipients.batches import Batcher
from gateway_sms_async._recipients.source import Source
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, number, numbers
from ..support.policy import QUICK
from ..support.virtual_time import on_a_real_clock

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}

MANY = 30_000


async def stopped(gateway: GatewayClient, source: Recipients, **keywords: Any) -> Receipt:
    """Run a campaign that ends early, and return its receipt."""
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(source, **ACME, **keywords)
    return caught.value.receipt


def no_credit(simulator: Simulator) -> dict[str, Any]:
    simulator.faults.add(Fault.status(402, 201))
    return {}


def limit(simulator: Simulator) -> dict[str, Any]:
    return {"max_recipients": 10}


def fault(simulator: Simulator) -> dict[str, Any]:
    simulator.faults.add(Fault.status(401), times=1_000)
    return {}


def stop_at_once(simulator: Simulator) -> dict[str, Any]:
    stop = asyncio.Event()
    stop.set()
    return {"stop": stop}


Why = Callable[[Simulator], dict[str, Any]]
WHY = pytest.mark.parametrize("why", [no_credit, limit, fault, stop_at_once])


def generator() -> Iterator[str]:
    yield from numbers(MANY)


@WHY
@pytest.mark.parametrize(
    "make",
    [
        lambda: numbers(MANY),
        lambda: tuple(numbers(MANY)),
        lambda: dict.fromkeys(numbers(MANY)).keys(),
        lambda: set(numbers(MANY)),
        generator,
    ],
    ids=["list", "tuple", "keys", "set", "generator"],
)
async def test_what_can_be_read_at_once_is_named(
    gateway: GatewayClient, simulator: Simulator, why: Why, make: Callable[[], Recipients]
) -> None:
    receipt = await stopped(gateway, make(), **why(simulator))
    assert receipt.source_exhausted
    assert not receipt.complete
    assert receipt.total == MANY
    check(receipt, simulator, set(numbers(MANY)))


@WHY
async def test_what_is_read_late_is_validated_like_the_rest(
    gateway: GatewayClient, simulator: Simulator, why: Why
) -> None:
    people = numbers(MANY)
    source = [*people, "no number", people[0], people[-1], 7]
    receipt = await stopped(gateway, source, exclude=people[-10:-5], **why(simulator))
    assert receipt.source_exhausted
    assert [one.position for one in receipt.invalid] == [MANY, MANY + 3]
    assert (receipt.duplicates, receipt.excluded) == (2, 5)
    assert receipt.outcomes[-1].reason == receipt.invalid[-1].reason
    check(receipt, simulator, set(people) - set(people[-10:-5]))


async def test_whoever_sends_the_unsent_again_reaches_all_of_a_list(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    first = await stopped(gateway, numbers(MANY), **no_credit(simulator))
    assert first.source_exhausted
    second = await gateway.send_bulk(first.unsent, **ACME)
    assert second.complete
    assert dict(simulator.ledger) == dict.fromkeys(numbers(MANY), 1)


@WHY
async def test_an_async_source_is_not_read_further(
    gateway: GatewayClient, simulator: Simulator, why: Why
) -> None:
    async def source() -> AsyncIterator[str]:
        for one in numbers(MANY):
            yield one
            await asyncio.sleep(0)

    receipt = await stopped(gateway, source(), **why(simulator))
    assert not receipt.source_exhausted
    assert receipt.total < MANY
    check(receipt, simulator, set(numbers(receipt.total)))


@pytest.mark.parametrize("error", [KeyError, GeneratorExit, asyncio.CancelledError])
async def test_a_source_that_raises_is_not_at_its_end(
    gateway: GatewayClient, simulator: Simulator, error: type[BaseException]
) -> None:
    def source() -> Iterator[str]:
        yield from numbers(10)
        raise error

    if error is GeneratorExit:
        # No Exception: it reaches the caller, without a receipt.
        with pytest.raises(GeneratorExit):
            await gateway.send_bulk(source(), **ACME)
        return
    receipt = await stopped(gateway, source())
    assert not receipt.source_exhausted
    assert not receipt.complete
    check(receipt, simulator, set(numbers(10)))


async def test_a_source_that_raises_after_the_stop_does_not_hide_the_reason(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    def source() -> Iterator[str]:
        yield from numbers(10)
        raise KeyError

    with pytest.raises(BulkSendError, match="stopped on request") as caught:
        await gateway.send_bulk(source(), **ACME, **stop_at_once(simulator))
    receipt = caught.value.receipt
    assert not receipt.source_exhausted
    assert receipt.unsent == tuple(numbers(10))


async def test_a_journal_that_was_not_written_in_full_names_all_the_same(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    people = numbers(MANY)

    def source() -> Iterator[str]:
        for n, one in enumerate(people):
            if n == 100:
                stop.set()
            yield one

    receipt = await stopped(gateway, source(), stop=stop, journal=tmp_path / "campaign.db")
    assert receipt.source_exhausted
    assert not receipt.complete
    check(receipt, simulator, set(people))
    journals = list(tmp_path.iterdir())  # noqa: ASYNC240
    assert not journals, "it cannot be resumed, so no journal is left"


async def test_a_journal_holds_the_whole_source(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
) -> None:
    async def source() -> AsyncIterator[str]:
        for one in numbers(100):
            yield one

    journal = tmp_path / "campaign.db"
    receipt = await stopped(gateway, source(), journal=journal, **no_credit(simulator))
    assert receipt.source_exhausted
    assert receipt.total == 100
    assert (await read_journal(journal)).source_exhausted
    assert (await gateway.resume_bulk(journal)).source_exhausted
    assert (await read_journal(journal)).to_dict()["source_exhausted"] is True


async def test_a_cancelled_campaign_reads_nothing_more(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    read = 0
    last: list[Progress] = []

    def source() -> Iterator[str]:
        nonlocal read
        while True:
            yield number(read)
            read += 1

    simulator.latency = 0.05
    campaign = asyncio.create_task(
        gateway.send_bulk(source(), **ACME, recipients_per_message=50, on_progress=last.append)
    )
    while not simulator.requests:
        await asyncio.sleep(0.001)
    campaign.cancel()
    with pytest.raises(asyncio.CancelledError):
        await campaign
    assert last[-1].read >= read


# --- reading the rest ------------------------------------------------------------------------------


def batcher() -> Batcher:
    return Batcher((), allow_missing_fields=False)


async def rest(source: Source, deadline: float, into: Batcher) -> int:
    return sum([len(batch) async for batch in read_rest(source, into, deadline)])


@on_a_real_clock
async def test_a_source_without_a_length_is_read_until_the_deadline() -> None:
    def endless() -> Iterator[str]:
        n = 0
        while True:
            time.sleep(0.001)
            yield number(n)
            n += 1

    source, into = Source(endless()), batcher()
    clock = asyncio.get_running_loop().time
    assert await rest(source, clock() + 1, into) == into.total > 0
    assert not source.exhausted
    assert await rest(source, clock() - 1, into) == 0


@on_a_real_clock
async def test_a_slow_source_is_not_read_far_beyond_the_deadline() -> None:
    def slow() -> Iterator[str]:
        for n in range(10_000):
            time.sleep(0.02)
            yield number(n)

    source, into = Source(slow()), batcher()
    await rest(source, asyncio.get_running_loop().time() + 0.1, into)
    # In slices of a thousand it would have been read for 20 seconds.
    assert 0 < into.total < 100


async def test_the_deadline_is_not_for_a_source_that_has_a_length() -> None:
    source, into = Source(numbers(5_000)), batcher()
    assert await rest(source, 0.0, into) == 5_000
    assert source.exhausted


async def test_other_tasks_get_turns_while_a_long_list_is_read() -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.create_task(other())
    await rest(Source(numbers(100_000)), 0.0, batcher())
    task.cancel()
    assert turns >= 50


# --- transactions ----------------------------------------------------------------------------------


async def test_a_transaction_says_that_a_list_was_not_taken_to_its_end(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append")
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, retry=QUICK
    ) as gateway:
        transaction = gateway.transaction(**ACME, batch_size=10, concurrency=1)
        with pytest.raises(BulkSendError, match="not all recipients were taken") as caught:
            await transaction.add(numbers(1_000))
        receipt = caught.value.receipt
        assert receipt.total < 1_000
        assert not receipt.source_exhausted
        check(receipt, simulator, set(numbers(receipt.total)))


async def test_a_transaction_whose_lists_were_taken_to_their_ends_is_exhausted(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    async with gateway.transaction(**ACME, batch_size=10) as transaction:
        await transaction.add(numbers(25))
        assert transaction.receipt.source_exhausted
        await transaction.add(number(30))
    assert transaction.receipt.source_exhausted
    assert transaction.receipt.complete
