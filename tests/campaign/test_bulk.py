"""Campaigns against the simulator: streaming, many messages, faults, stopping, progress."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InsufficientCreditError,
    Options,
    Progress,
    RateLimitError,
    Receipt,
    Recipient,
)
from gateway_sms_async.testing import Fault, RecordedRequest, Simulator

from ..support.accounting import check, number, numbers, tasks_of_ours
from ..support.policy import QUICK
from ..support.virtual_time import on_a_real_clock

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


def operations(simulator: Simulator) -> list[str]:
    return [request.operation for request in simulator.requests]


# --- without faults ---------------------------------------------------------------------------


async def test_a_campaign_over_several_messages(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    receipt = await gateway.send_bulk(
        numbers(1_234), **ACME, batch_size=50, recipients_per_message=300
    )
    assert receipt.complete
    assert len(receipt.message_ids) == 5
    assert not receipt.open_message_ids
    assert receipt.requests == len(simulator.requests)
    assert receipt.retries == 0
    assert receipt.cost is not None
    assert receipt.cost == Decimal("0.03") * 1_234
    check(receipt, simulator, set(numbers(1_234)))


@pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 20, 21, 30, 31])
async def test_message_boundaries(gateway: GatewayClient, simulator: Simulator, count: int) -> None:
    receipt = await gateway.send_bulk(
        numbers(count), **ACME, batch_size=5, recipients_per_message=10
    )
    assert receipt.complete
    assert len(receipt.message_ids) == -(-count // 10)
    check(receipt, simulator, set(numbers(count)))


async def test_sources_of_every_kind(gateway: GatewayClient, simulator: Simulator) -> None:
    async def async_source() -> AsyncIterator[str]:
        for one in numbers(10, 30):
            await asyncio.sleep(0)
            yield one

    sources: list[Any] = [
        numbers(10),
        iter(numbers(10, 10)),
        (Recipient(one) for one in numbers(10, 20)),
        async_source(),
        {number(40), number(41)},
    ]
    for source in sources:
        assert (await gateway.send_bulk(source, **ACME, batch_size=3)).complete
    assert simulator.ledger.keys() == set(numbers(42))


async def test_no_recipients_make_no_request(gateway: GatewayClient, simulator: Simulator) -> None:
    empty = await gateway.send_bulk([], **ACME)
    refused = await gateway.send_bulk(["1", "due", None, b"3"], **ACME)  # type: ignore[list-item]
    assert empty.complete
    assert refused.complete
    assert [one.position for one in refused.invalid] == [0, 1, 2, 3]
    assert not simulator.requests


async def test_a_number_is_sent_to_once_across_messages_and_forms(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    source = [*numbers(30), "+39 340 0000003", "0039-340-000.00.29", *numbers(30)]
    receipt = await gateway.send_bulk(source, **ACME, batch_size=5, recipients_per_message=10)
    assert (receipt.accepted, receipt.duplicates) == (30, 32)
    check(receipt, simulator, set(numbers(30)))


async def test_the_first_ones_fields_win(gateway: GatewayClient, simulator: Simulator) -> None:
    source = [(number(1), {"name": "first"}), (number(1), {"name": "second"})]
    receipt = await gateway.send_bulk(source, sender="ACME", body="Ciao {{name}}")
    [report] = await gateway.messages.recipients(receipt.message_ids[0])
    assert report.body == "Ciao first"


async def test_one_dict_filled_again_for_each_recipient_is_read_in_time(
    gateway: GatewayClient,
) -> None:
    def source() -> Iterator[tuple[str, dict[str, str]]]:
        fields: dict[str, str] = {}
        for n in range(20):
            fields["name"] = f"N{n}"
            yield number(n), fields

    receipt = await gateway.send_bulk(source(), sender="ACME", body="{{name}}", batch_size=4)
    reports = await gateway.messages.recipients(receipt.message_ids[0])
    assert {report.number: report.body for report in reports} == {
        number(n): f"N{n}" for n in range(20)
    }


async def test_missing_fields_are_refused_unless_allowed(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    source: list[Any] = [(number(n), {"name": "x"} if n % 2 else {}) for n in range(10)]
    receipt = await gateway.send_bulk(source, sender="ACME", body="Ciao {{name}}")
    assert (receipt.accepted, len(receipt.invalid)) == (5, 5)
    source = [(number(n), {"name": "x"} if n % 2 else {}) for n in range(10, 20)]
    receipt = await gateway.send_bulk(
        source, sender="ACME", body="Ciao {{name}}", allow_missing_fields=True
    )
    assert receipt.accepted == 10


async def test_options_priority_and_test_reach_the_wire(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    options = Options(flash=True, custom={"campaign": 7}, callback_url="https://example.com/cb")
    await gateway.send_bulk(numbers(3), **ACME, priority=1.01, options=options, test=True)
    body = simulator.requests[0].body
    assert body["priority"] == 1.01
    assert body["test"] is True
    assert body["options"] == {
        "flash": True,
        "custom": {"campaign": 7},
        "callback_url": "https://example.com/cb",
    }
    assert not simulator.ledger, "a test sends nothing"


@pytest.mark.parametrize(
    "source",
    [number(1), b"+39", {number(1): {}}, (number(1), {"a": "b"}), Recipient(number(1)), 7, None],
    ids=repr,
)
async def test_what_is_no_source_is_a_type_error(
    gateway: GatewayClient, simulator: Simulator, source: Any
) -> None:
    with pytest.raises(TypeError):
        await gateway.send_bulk(source, **ACME)
    assert not simulator.requests


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"batch_size": 2.5},
        {"concurrency": 9},
        {"concurrency": 0},
        {"recipients_per_message": 50_001},
        {"recipients_per_message": 0},
        {"total": -1},
        {"sender": "x"},
        {"body": ""},
        {"priority": 0.5},
    ],
    ids=str,
)
async def test_wrong_settings_are_refused_before_anything_is_taken(
    gateway: GatewayClient, simulator: Simulator, wrong: dict[str, Any]
) -> None:
    source = iter(numbers(3))
    with pytest.raises((ValueError, TypeError)):
        await gateway.send_bulk(source, **{**ACME, **wrong})
    assert next(source) == number(0)
    assert not simulator.requests


# --- read ahead, and concurrency ------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "limits", "concurrency", "at_once"),
    [
        (None, {}, 3, 3),
        (None, {}, 1, 1),
        (5_000.0, {}, 3, 2),
        (5_000.0, {}, 1, 1),
        (None, {"max_recipients": 900}, 3, 1),
        (None, {"max_cost": 1_000}, 3, 1),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True])
async def test_look_ahead_is_bounded(
    simulator: Simulator,
    *,
    rate: float | None,
    limits: dict[str, Any],
    concurrency: int,
    at_once: int,
    asynchronous: bool,
) -> None:
    simulator.latency = 0.001
    taken = 0
    furthest = 0

    def settled() -> int:
        return sum(
            len(request.body["recipients"])
            for request in simulator.requests
            if request.applied and request.body
        )

    def source() -> Iterator[str]:
        nonlocal taken, furthest
        for one in numbers(800):
            taken += 1
            furthest = max(furthest, taken - settled())
            yield one

    async def async_source() -> AsyncIterator[str]:
        for one in source():
            yield one

    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=rate, burst=100, concurrency=concurrency
    ) as gateway:
        receipt = await gateway.send_bulk(
            async_source() if asynchronous else source(),
            **ACME,
            batch_size=10,
            recipients_per_message=100,
            **limits,
        )
    assert receipt.complete
    # Besides the messages that are filled: one batch for each close that is queued.
    assert furthest <= 100 * at_once + 10 * 8


async def test_never_more_requests_at_once_than_concurrency(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.latency = 0.002
    await gateway.send_bulk(
        numbers(500), **ACME, batch_size=5, concurrency=3, recipients_per_message=50
    )
    assert simulator.connections <= 3


@on_a_real_clock
async def test_an_endless_source_of_refused_numbers_does_not_stop_the_world(
    gateway: GatewayClient,
) -> None:
    def source() -> Iterator[str]:
        while True:
            yield "no number"

    stop = asyncio.Event()
    campaign = asyncio.create_task(gateway.send_bulk(source(), **ACME, stop=stop))
    await asyncio.sleep(0.02)
    stop.set()
    with pytest.raises(BulkSendError):
        await campaign


# --- faults ------------------------------------------------------------------------------------


async def test_no_credit_stops_and_leaves_the_message_open(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=10)
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(numbers(2_000), **ACME, batch_size=10, recipients_per_message=100)
    error = caught.value
    assert isinstance(error.__cause__, InsufficientCreditError)
    assert "credit" in error.reason
    assert not error.resumable
    assert error.journal is None
    assert error.receipt.open_message_ids
    assert not error.receipt.complete
    check(error.receipt, simulator)
    assert not tasks_of_ours()


async def test_a_429_holds_all_requests_and_loses_no_recipient(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(429, retry_after="0"), on="append", skip=3, times=2)
    receipt = await gateway.send_bulk(numbers(300), **ACME, batch_size=10)
    assert receipt.complete
    assert receipt.retries == 2
    check(receipt, simulator, set(numbers(300)))


async def test_a_429_that_asks_for_too_long_ends_the_campaign(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.faults.add(Fault.status(429, retry_after="86400"), on="append", skip=3, times=None)
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(numbers(300), **ACME, batch_size=10)
    assert isinstance(caught.value.__cause__, RateLimitError)
    check(caught.value.receipt, simulator)


async def test_an_error_of_the_source_is_reported_and_every_recipient_is_accounted_for(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    def source() -> Iterator[str]:
        yield from numbers(57)
        raise KeyError("a broken row")

    with pytest.raises(BulkSendError, match="KeyError") as caught:
        await gateway.send_bulk(source(), **ACME, batch_size=5, recipients_per_message=20)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.receipt.total == 57
    assert "broken row" not in str(caught.value)
    check(caught.value.receipt, simulator, set(numbers(57)))


async def test_numbers_that_the_gateway_names_invalid_are_named_with_their_place(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    simulator.gateway.unroutable = {number(1), number(3)}
    source = ["none", *((f"+39 340 000000{n}", {"name": "x"}) for n in range(5))]
    receipt = await gateway.send_bulk(source, sender="ACME", body="Ciao {{name}}")
    check(receipt, simulator, set(numbers(5)))
    assert [one.position for one in receipt.invalid] == [0, 2, 4]
    assert receipt.invalid[1].number == "+39 340 0000001"
    assert "gateway" in receipt.invalid[1].reason


class TestStopping:
    async def test_stop_lets_flights_land(
        self, gateway: GatewayClient, simulator: Simulator
    ) -> None:
        simulator.latency = 0.01
        stop = asyncio.Event()

        def source() -> Iterator[str]:
            for n, one in enumerate(numbers(5_000)):
                if n == 400:
                    stop.set()
                yield one

        with pytest.raises(BulkSendError) as caught:
            await gateway.send_bulk(
                source(), **ACME, batch_size=10, recipients_per_message=50, stop=stop
            )
        receipt = caught.value.receipt
        assert "stopped" in caught.value.reason
        assert receipt.total == 5_000, "the source is read to its end"
        assert len(simulator.ledger) < 1_000
        assert not receipt.unknown
        cut = {request.operation for request in simulator.requests if not request.status}
        assert cut <= {"get"}, "what adds or closes has landed"
        check(receipt, simulator, set(numbers(receipt.total)))
        assert not tasks_of_ours()

    async def test_stop_before_the_start_sends_nothing(
        self, gateway: GatewayClient, simulator: Simulator
    ) -> None:
        stop = asyncio.Event()
        stop.set()
        with pytest.raises(BulkSendError) as caught:
            await gateway.send_bulk(numbers(100), **ACME, stop=stop)
        check(caught.value.receipt, simulator)
        assert not simulator.ledger

    async def test_stop_does_not_wait_for_a_silent_source(
        self, gateway: GatewayClient, simulator: Simulator
    ) -> None:
        stop = asyncio.Event()

        async def source() -> AsyncIterator[str]:
            yield number(0)
            stop.set()
            await asyncio.sleep(3600)
            yield number(1)

        with pytest.raises(BulkSendError) as caught:
            await gateway.send_bulk(source(), **ACME, stop=stop)
        assert caught.value.receipt.unsent == (number(0),)
        check(caught.value.receipt, simulator, {number(0)})

    @pytest.mark.parametrize("seed", range(30))
    async def test_cancelled_anywhere(
        self, gateway: GatewayClient, simulator: Simulator, seed: int
    ) -> None:
        dice = random.Random(seed)
        simulator.latency = 0.002
        last: list[Progress] = []
        campaign = asyncio.create_task(
            gateway.send_bulk(
                numbers(300),
                **ACME,
                batch_size=dice.choice([3, 7, 20]),
                concurrency=dice.choice([1, 4, 8]),
                recipients_per_message=dice.choice([20, 60, 300]),
                on_progress=last.append,
            )
        )
        await asyncio.sleep(dice.uniform(0, 0.08))
        campaign.cancel()
        await asyncio.wait([campaign])
        assert not tasks_of_ours()
        assert max(simulator.ledger.values(), default=0) <= 1
        if campaign.cancelled() and last:
            # A cancelled caller gets nothing but the last report, so it must be correct.
            reported = last[-1]
            assert reported.accepted == len(simulator.ledger)
            assert reported.accepted + reported.unsent + reported.unknown == reported.read

    async def test_asyncio_timeout_around_a_campaign(
        self, gateway: GatewayClient, simulator: Simulator
    ) -> None:
        simulator.latency = 0.02
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await gateway.send_bulk(numbers(3_000), **ACME, batch_size=10)
        assert not tasks_of_ours()
        assert max(simulator.ledger.values(), default=0) <= 1


class TestProgress:
    async def test_counts_rise_and_end_with_the_receipt(
        self, gateway: GatewayClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("gateway_sms_async._campaign.progress._PROGRESS_EVERY", 0.0)
        reported: list[Progress] = []
        receipt = await gateway.send_bulk(
            [*numbers(500), "none", number(1)],
            **ACME,
            batch_size=10,
            recipients_per_message=100,
            on_progress=reported.append,
        )
        assert all(a.accepted <= b.accepted for a, b in itertools.pairwise(reported))
        last = reported[-1]
        assert (last.total, last.read, last.accepted) == (502, 502, receipt.accepted)
        assert (last.invalid, last.duplicates, last.unsent) == (1, 1, 0)
        assert last.eta == 0.0
        assert last.rate > 0

    async def test_at_most_four_a_second(self, gateway: GatewayClient) -> None:
        reported: list[Progress] = []
        receipt = await gateway.send_bulk(
            iter(numbers(5_000)), **ACME, batch_size=10, on_progress=reported.append
        )
        assert len(reported) <= 2 + receipt.elapsed * 4
        assert reported[-1].eta is None, "no total, no time left"

    @pytest.mark.parametrize("announced", [None, 7])
    async def test_the_total_is_the_length_of_the_source_unless_it_is_announced(
        self, gateway: GatewayClient, announced: int | None
    ) -> None:
        for source in (numbers(5), tuple(numbers(5)), dict.fromkeys(numbers(5)).keys()):
            reported: list[Progress] = []
            await gateway.send_bulk(source, **ACME, on_progress=reported.append, total=announced)
            assert {one.total for one in reported} == {announced or 5}

    async def test_an_awaitable_is_awaited_in_a_task_of_its_own(
        self, gateway: GatewayClient
    ) -> None:
        seen: list[int] = []

        async def listener(progress: Progress) -> None:
            await asyncio.sleep(0.01)
            seen.append(progress.read)

        await gateway.send_bulk(numbers(50), **ACME, on_progress=listener)
        assert seen[-1] == 50
        assert not tasks_of_ours()

    async def test_a_broken_listener_stops_nothing(
        self, gateway: GatewayClient, simulator: Simulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(progress: Progress) -> None:
            raise RuntimeError("listener")

        async def broken_later(progress: Progress) -> None:
            raise RuntimeError("listener")

        for listener, start in ((broken, 0), (broken_later, 100)):
            receipt = await gateway.send_bulk(numbers(100, start), **ACME, on_progress=listener)
            assert receipt.complete
        assert "on_progress raised" in caplog.text


# --- any schedule of faults --------------------------------------------------------------------

FAULTS = {
    "reset": Fault.reset(),
    "reset_after": Fault.reset(after_apply=True),
    "close": Fault.close(),
    "close_after": Fault.close(after_apply=True),
    "truncate": Fault.truncate(),
    "truncate_before": Fault.truncate(after_apply=False),
    "json": Fault.invalid_json(),
    "html": Fault.html(502),
    "html200": Fault.html(200, after_apply=True),
    "empty": Fault.empty(),
    "twice": Fault.double_encoded(),
    "500": Fault.status(500),
    "500_after": Fault.status(500, after_apply=True),
    "503": Fault.status(503, retry_after="0"),
    "429": Fault.status(429, retry_after="0"),
    "402": Fault.status(402, 201),
    "422": Fault.status(422, 304),
    "lost": Fault.lost(),
    "partial": Fault.partial(),
    "late": Fault.late(3600),
    "redirect": Fault.redirect("http://127.0.0.1:1/"),
}


@pytest.mark.timeout(120)  # a hundred and twenty campaigns, in which lost answers take their 0.2 s
@given(
    seed=st.integers(0, 2**32),
    share=st.sampled_from([0.0, 0.02, 0.1, 0.3]),
    count=st.integers(0, 120),
    batch_size=st.sampled_from([1, 2, 7, 20]),
    per_message=st.sampled_from([1, 5, 40, 200]),
    concurrency=st.sampled_from([1, 3, 8]),
)
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_under_any_faults_the_receipt_is_the_truth(
    *, seed: int, share: float, count: int, batch_size: int, per_message: int, concurrency: int
) -> None:
    dice = random.Random(seed)

    def plan(request: RecordedRequest) -> Fault | None:
        return FAULTS[dice.choice(list(FAULTS))] if dice.random() < share else None

    async with (
        Simulator() as simulator,
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=0.2, retry=QUICK
        ) as gateway,
    ):
        simulator.faults.plan = plan
        source = numbers(count)
        receipt: Receipt
        try:
            receipt = await gateway.send_bulk(
                source,
                **ACME,
                batch_size=batch_size,
                recipients_per_message=per_message,
                concurrency=concurrency,
            )
            assert receipt.complete
        except BulkSendError as error:
            receipt = error.receipt
            assert not receipt.complete
        simulator.land_late()
        check(receipt, simulator, set(source[: receipt.total]))
        closes = {
            (request.path, str(request.body))
            for request in simulator.requests
            if request.operation == "append"
        }
        appends = [request for request in simulator.requests if request.operation == "append"]
        assert share or len(closes) == len(appends)
