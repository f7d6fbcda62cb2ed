"""`max_cost` and `max_recipients`: prices that cannot be used, what is paid for beyond, and a resume."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import BulkSendError, GatewayClient, LimitReachedError, Receipt, RetryPolicy
from gateway_sms_async._simulator.message import StoredMessage as Stored
from gateway_sms_async._transaction.spending import SpendingLimit
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from ..support.accounting import check, numbers
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
PRICE = Decimal("0.03")


@asynccontextmanager
async def pair(**simulated: Any) -> AsyncIterator[tuple[Simulator, GatewayClient]]:
    async with (
        Simulator(price=PRICE, **simulated) as simulator,
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway,
    ):
        yield simulator, gateway


async def send(
    gateway: GatewayClient, count: int, **settings: Any
) -> tuple[Receipt, BulkSendError | None]:
    try:
        return await gateway.send_bulk(numbers(count), **ACME, **settings), None
    except BulkSendError as error:
        return error.receipt, error


def name_price(monkeypatch: pytest.MonkeyPatch, price: float | str, closed: bool = False) -> None:
    """Make the gateway name this price of a message, or of a closed message only."""
    document = Stored.document

    def shown(self: Stored, now: float) -> dict[str, Any]:
        named = {} if closed and self.is_open else {"price": price}
        return document(self, now) | named

    monkeypatch.setattr(Stored, "document", shown)


# --- prices that cannot be used --------------------------------------------------------------------


@pytest.mark.parametrize("price", [0, -1, "0.00", "-3", "NaN", "-Infinity", "1e99999", "free"])
async def test_a_price_that_cannot_be_used_cannot_keep_max_cost(
    monkeypatch: pytest.MonkeyPatch, price: float | str
) -> None:
    name_price(monkeypatch, price)
    async with pair() as (simulator, gateway):
        receipt, error = await send(gateway, 40, max_cost=1, recipients_per_message=20)
        assert error is not None
        assert isinstance(error.__cause__, LimitReachedError)
        assert "price" in error.reason
        assert "without max_cost" in error.reason
        assert not simulator.ledger
        assert "close" not in {request.operation for request in simulator.requests}
        check(receipt, simulator, set(numbers(40)))
        _, error = await send(gateway, 40)
        assert error is None, "without a ceiling no price is needed"


async def test_a_message_of_refused_recipients_needs_no_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = Stored.document

    def shown(self: Stored, now: float) -> dict[str, Any]:
        named = document(self, now)
        return named | ({} if named["recipients"]["valid"]["count"] else {"price": 0})

    monkeypatch.setattr(Stored, "document", shown)
    async with pair() as (simulator, gateway):
        simulator.gateway.unroutable = set(numbers(1))
        receipt, error = await send(gateway, 3, max_cost="0.06", recipients_per_message=1)
        assert error is None
        assert receipt.accepted == 2


@pytest.mark.parametrize("price", [0, -5, "none"])
async def test_a_price_that_is_gone_after_the_close_frees_nothing(
    monkeypatch: pytest.MonkeyPatch, price: float | str
) -> None:
    name_price(monkeypatch, price, closed=True)
    async with pair() as (simulator, gateway):
        receipt, error = await send(gateway, 100, max_cost="0.60", recipients_per_message=10)
        assert error is not None
        assert receipt.accepted == 20
        check(receipt, simulator, set(numbers(100)))


async def test_where_no_price_is_named_a_resume_without_the_ceiling_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name_price(monkeypatch, 0)
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        _, error = await send(gateway, 40, max_cost=1, journal=journal)
        assert error is not None
        assert "max_cost=inf" in error.reason
        assert (await gateway.resume_bulk(journal, max_cost=math.inf)).accepted == 40
        assert set(simulator.ledger.values()) == {1}


# --- what a ceiling leaves open --------------------------------------------------------------------


@pytest.mark.parametrize("latency", [0, 0.01])
@pytest.mark.parametrize("ceiling", [{"max_recipients": 300}, {"max_cost": 9}], ids=str)
async def test_nothing_is_paid_for_beyond_a_ceiling(
    ceiling: dict[str, Any], latency: float
) -> None:
    async with pair(dialect=Dialect(charge_at="put"), latency=latency) as (simulator, gateway):
        before = simulator.gateway.credit
        receipt, error = await send(
            gateway, 1_000, recipients_per_message=99, batch_size=10, **ceiling
        )
        assert error is not None
        assert isinstance(error.__cause__, LimitReachedError)
        assert receipt.accepted == 300
        assert before - simulator.gateway.credit == 300 * PRICE
        assert not receipt.open_message_ids
        check(receipt, simulator, set(numbers(1_000)))


@pytest.mark.parametrize("latency", [0, 0.01])
async def test_at_most_one_message_is_filled_before_a_price_is_known(latency: float) -> None:
    async with pair(dialect=Dialect(charge_at="put"), latency=latency) as (simulator, gateway):
        receipt, _ = await send(
            gateway, 1_000, recipients_per_message=99, batch_size=10, max_cost=1
        )
        assert receipt.accepted == 0
        assert len(simulator.gateway.messages) == 1
        check(receipt, simulator, set(numbers(1_000)))


async def test_recipients_that_the_gateway_refuses_leave_their_place_to_others() -> None:
    async with pair() as (simulator, gateway):
        simulator.gateway.unroutable = set(numbers(30, start=30))
        receipt, error = await send(gateway, 100, recipients_per_message=20, max_recipients=50)
        assert error is not None
        assert receipt.accepted == 50
        assert len(receipt.invalid) == 30
        check(receipt, simulator, set(numbers(100)))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("careful", [False, True])
async def test_a_ceiling_is_reached_exactly_whatever_the_messages(size: int, careful: bool) -> None:
    async with pair() as (simulator, gateway):
        receipt, error = await send(
            gateway,
            30,
            recipients_per_message=size,
            batch_size=2,
            careful=careful,
            max_recipients=17,
        )
        assert error is not None
        assert receipt.accepted == 17
        check(receipt, simulator, set(numbers(30)))


@pytest.mark.parametrize("ceiling", [{"max_recipients": 30}, {"max_cost": "0.90"}], ids=str)
async def test_a_source_that_ends_at_the_ceiling_is_complete(ceiling: dict[str, Any]) -> None:
    async with pair() as (simulator, gateway):
        receipt, error = await send(gateway, 30, recipients_per_message=10, **ceiling)
        assert error is None
        assert receipt.complete
        check(receipt, simulator, set(numbers(30)))


def test_room_counts_what_is_held_and_what_was_reserved_once() -> None:
    spending = SpendingLimit(max_recipients=100, max_cost=Decimal(3))
    assert spending.is_near(1, {}, 0), "no price is known"
    spending.reserve(0, 10, Decimal("0.30"), 10, 0)
    assert spending.room({}, 0) == 80
    assert spending.room({0: 25}, 0) == 75
    assert spending.room({0: 25, 1: 70}, 0) == 5
    assert spending.room({0: 25, 1: 90}, 0) == 0
    assert spending.room({}, 30) == 50, "orphans may have been paid for"
    spending.ended(0, 18, Decimal("0.54"))
    assert spending.room({}, 0) == 82
    assert not spending.is_near(82, {}, 0)
    assert spending.is_near(83, {}, 0)


def test_without_limits_nothing_is_near() -> None:
    assert not SpendingLimit(max_recipients=None, max_cost=None).is_near(50_000, {0: 50_000}, 9)


def test_what_is_unknown_counts_with_an_estimate() -> None:
    spending = SpendingLimit(max_recipients=None, max_cost=Decimal(3))
    spending.ended(0, 10, Decimal("0.30"))
    spending.ended(1, 10, None)
    assert spending.room({}, 0) == 80


# --- a higher ceiling at resume ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "higher", "highest"),
    [
        ({"max_recipients": 45}, {"max_recipients": 50}, {"max_recipients": 60}),
        ({"max_cost": "1.35"}, {"max_cost": 1.5}, {"max_cost": Decimal("1.80")}),
        ({"max_cost": "1.35"}, {"max_cost": 1.5}, {"max_cost": "inf"}),
        ({"max_cost": "1.35", "max_recipients": 90}, {"max_cost": 1.5}, {"max_cost": 9}),
    ],
    ids=str,
)
async def test_a_higher_ceiling_lets_the_campaign_go_on(
    tmp_path: Path, first: dict[str, Any], higher: dict[str, Any], highest: dict[str, Any]
) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        receipt, error = await send(
            gateway, 60, recipients_per_message=20, journal=journal, **first
        )
        assert error is not None
        assert error.resumable
        assert receipt.accepted == 45
        name = next(iter(higher))
        assert f"higher {name}" in error.reason
        with pytest.raises(BulkSendError) as caught:
            await gateway.resume_bulk(journal, **higher)
        assert caught.value.resumable
        assert caught.value.receipt.accepted == 50, "earlier runs count"
        with pytest.raises(BulkSendError) as caught:
            await gateway.resume_bulk(journal)
        assert caught.value.receipt.accepted == 50, "the ceiling of the start holds again"
        receipt = await gateway.resume_bulk(journal, **highest)
        assert receipt.complete
        check(receipt, simulator, set(numbers(60)))


async def test_a_lower_ceiling_than_what_was_sent_stops_again(tmp_path: Path) -> None:
    journal = tmp_path / "campaign.db"
    async with pair() as (simulator, gateway):
        await send(gateway, 60, recipients_per_message=20, journal=journal, max_recipients=45)
        requests = len(simulator.requests)
        for lower in ({"max_recipients": 10}, {"max_cost": "0.10"}):
            with pytest.raises(BulkSendError) as caught:
                await gateway.resume_bulk(journal, **lower)
            assert isinstance(caught.value.__cause__, LimitReachedError)
            assert caught.value.receipt.accepted == 45
            assert caught.value.resumable
        assert len(simulator.requests) == requests, "nothing was opened"


@pytest.mark.parametrize(
    ("ceiling", "error"),
    [
        ({"max_recipients": 0}, ValueError),
        ({"max_recipients": 1.5}, TypeError),
        ({"max_cost": 0}, ValueError),
        ({"max_cost": "-inf"}, ValueError),
        ({"max_cost": "much"}, ValueError),
        ({"max_cost": math.nan}, ValueError),
    ],
    ids=str,
)
async def test_a_ceiling_that_cannot_be_used_is_refused_before_the_journal_is_opened(
    gateway: GatewayClient, tmp_path: Path, ceiling: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await gateway.resume_bulk(tmp_path / "none.db", **ceiling)


# --- messages of earlier runs that stay unknown --------------------------------------------------


@pytest.mark.parametrize("limited_before", [False, True])
async def test_recipients_that_stay_unknown_count_towards_the_cost(
    tmp_path: Path, limited_before: bool
) -> None:
    journal = tmp_path / "campaign.db"
    unknown: list[str] = []

    def unreadable(request: RecordedRequest) -> Fault | None:
        message_id = request.path.strip("/").split("/")[-1]
        if request.operation == "close" and not unknown:
            unknown.append(message_id)
            return Fault.reset(after_apply=True)
        is_it = any(one in request.path for one in unknown)
        return Fault.status(503) if is_it and request.operation in {"get", "recipients"} else None

    retry = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)
    async with (
        Simulator(price=PRICE) as simulator,
        GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=retry) as gateway,
    ):
        simulator.faults.plan = unreadable
        before = {"max_cost": "0.70"} if limited_before else {}
        receipt, error = await send(
            gateway,
            60,
            recipients_per_message=20,
            batch_size=10,
            concurrency=1,
            journal=journal,
            **before,
        )
        assert error is not None
        assert len(receipt.unknown) == 20
        with pytest.raises(BulkSendError) as caught:
            await gateway.resume_bulk(journal, max_cost="0.70")
        assert len(caught.value.receipt.unknown) == 20
        assert isinstance(caught.value.__cause__, LimitReachedError)
        assert len(simulator.ledger) * PRICE <= Decimal("0.70")
        check(caught.value.receipt, simulator, set(numbers(60)))
