"""The simulator's deliveries, alike or varied, its clock, and the callbacks it makes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from aiohttp import web
from hypothesis import given, settings, strategies as st

from gateway_sms_async._simulator.callbacks import is_loopback
from gateway_sms_async._simulator.deliveries import NEVER, Timeline
from gateway_sms_async.testing import Deliveries, Gateway, RecordedCallback, Simulator

NOW = 1_700_000_000.0

shares = st.sampled_from([0.0, 0.001, 0.1, 0.25, 0.5])
deliveries = st.builds(
    Deliveries,
    spread=st.sampled_from([0.0, 1.0, 3600.0]),
    undelivered=shares,
    pending=shares,
    operator=st.sampled_from([0.0, 0.3, 1.0]),
)


def timeline(chosen: Deliveries) -> Timeline:
    return Timeline(sent_after=1.0, delivered_after=3.0, deliveries=chosen)


# --- counts, compared with each recipient -----------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(chosen=deliveries, count=st.integers(0, 2500), age=st.floats(0, 4000))
def test_counts_equal_those_of_each_recipient(chosen: Deliveries, count: int, age: float) -> None:
    made = timeline(chosen)
    each_delivery = [made.delivery(i) for i in range(count)]
    final = [delivery for delivery in each_delivery if delivery.final <= age]
    sent, delivered, error = made.counts(count, age)
    assert sent == (count if age >= 1.0 else 0)
    assert delivered == sum(delivery.failure is None for delivery in final)
    assert error == sum(delivery.failure is not None for delivery in final)
    if count:
        assert made.final_after(count) == max(delivery.final for delivery in each_delivery)
    if age >= 1.0:
        moments = [
            m
            for delivery in each_delivery
            for m in (delivery.at_operator, delivery.final)
            if m <= age
        ]
        if count:
            assert made.last_change(count, age) == max([1.0, *moments])


@settings(max_examples=30, deadline=None)
@given(chosen=deliveries)
def test_shares_of_a_thousand_are_exact_and_times_are_spread_evenly(chosen: Deliveries) -> None:
    made = timeline(chosen)
    each_delivery = [made.delivery(i) for i in range(1000)]
    assert sum(delivery.failure is not None for delivery in each_delivery) == round(
        chosen.undelivered * 1000
    )
    assert sum(delivery.final == NEVER for delivery in each_delivery) == round(
        chosen.pending * 1000
    )
    assert sum(delivery.at_operator < NEVER for delivery in each_delivery) in (
        0,
        round(chosen.operator * 1000),
    )
    known = [delivery.final for delivery in each_delivery if delivery.final < NEVER]
    assert all(3.0 <= final <= 3.0 + chosen.spread for final in known)
    assert all(
        1.0 <= delivery.at_operator < delivery.final
        for delivery in each_delivery
        if delivery.at_operator < NEVER
    )


def test_alike_is_the_default() -> None:
    made = timeline(Deliveries())
    assert all(made.delivery(i) == (NEVER, 3.0, None) for i in range(3000))


def test_a_few_are_struck_in_their_share_too() -> None:
    made = timeline(Deliveries(undelivered=0.1))
    assert [sum(made.delivery(i).failure is not None for i in range(n)) for n in (1, 10, 100)] == [
        1,
        1,
        10,
    ]
    assert len({str(made.delivery(i).failure) for i in range(0, 60, 10)}) == 6


@pytest.mark.parametrize("count", [10, 50, 200, 999])
def test_few_are_spread_evenly_too(count: int) -> None:
    made = timeline(Deliveries(spread=1000, undelivered=0.5))
    each_delivery = [made.delivery(i) for i in range(count)]
    for kind in (True, False):
        finals = sorted(
            delivery.final - 3 for delivery in each_delivery if (delivery.failure is None) is kind
        )
        gaps = [late - early for early, late in zip([0.0, *finals], [*finals, 1000.0], strict=True)]
        assert max(gaps) < 5 * 1000 / len(finals)


@pytest.mark.parametrize(
    "wrong",
    [
        {"spread": -1},
        {"spread": NEVER},
        {"undelivered": 1.1},
        {"pending": -0.1},
        {"operator": 2},
        {"undelivered": 0.6, "pending": 0.6},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Deliveries(**wrong)


# --- what the gateway shows -----------------------------------------------------------------------


class World:
    def __init__(self, count: int, **chosen: float) -> None:
        self.now = NOW
        self.gateway = Gateway(clock=lambda: self.now, deliveries=Deliveries(**chosen))
        numbers = [f"+39-340{n:07}" for n in range(count)]
        answer = self.gateway.post({"sender": "ACME", "body": "Ciao", "recipients": numbers})
        self.id = answer.body["data"][0]["id"]

    def at(self, age: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        self.now = NOW + age
        message = self.gateway.get(self.id).body["data"][0]
        recipients = self.gateway.recipients(self.id).body["data"]
        assert json.loads(json.dumps(recipients, allow_nan=False)) == recipients
        return message, recipients


@pytest.mark.parametrize("age", [0.5, 1.0, 2.0, 3.0, 10.0, 500.0, 1801.8, 3602.9, 3603.0, 9999.0])
def test_the_message_counts_what_the_list_shows(age: float) -> None:
    message, recipients = World(1234, spread=3600, undelivered=0.2, pending=0.05, operator=0.5).at(
        age
    )
    statistics = message["statistics"]
    groups = Counter(one["report"]["status"]["groupId"] for one in recipients if "report" in one)
    delivered = sum(one["state"] == "DELIVERED" for one in recipients)
    assert statistics["delivered"] == delivered
    assert statistics["error"] == groups[2] + groups[4] + groups[5]
    assert statistics["sent"] == sum(one["state"] != "QUEUED" for one in recipients)
    assert statistics["total"] == 1234
    assert message["state"] == (0 if age < 1 else 1)
    done = [
        one["timestamp_delivery"]["$date"]["$numberLong"]
        for one in recipients
        if "timestamp_delivery" in one
    ]
    assert int(message["last_update"]) >= max(map(int, done), default=0)


def test_all_final_is_state_2_even_if_some_failed() -> None:
    world = World(1000, spread=3600, undelivered=0.5)
    assert world.at(3602.9)[0]["state"] == 1
    message, recipients = world.at(3603.0)
    assert message["state"] == 2
    assert message["statistics"]["error"] == message["statistics"]["delivered"] == 500
    assert message["last_update"] == str(round((NOW + 3603) * 1000))
    reports = [one["report"] for one in recipients]
    failed = [one for one in reports if one["status"]["groupId"] != 3]
    assert {one["status"]["groupId"] for one in failed} == {2, 4, 5}
    assert {one["error"]["groupId"] for one in failed} == {0, 1, 2, 3}
    assert {one["error"]["permanent"] for one in failed} == {True, False}


def test_the_operator_has_it_before_the_phone() -> None:
    world = World(1, operator=1.0)
    shown = [world.at(age)[1][0] for age in (1.0, 2.0, 3.0)]
    assert [one["state"] for one in shown] == ["SENT", "SENT", "DELIVERED"]
    assert "report" not in shown[0]
    assert [one["report"]["status"]["name"] for one in shown[1:]] == [
        "DELIVERED_TO_OPERATOR",
        "DELIVERED_TO_HANDSET",
    ]
    assert world.at(2.0)[0]["statistics"]["delivered"] == 0
    assert world.at(2.0)[0]["last_update"] == str(round((NOW + 2) * 1000))


def test_pending_for_ever_is_never_state_2() -> None:
    world = World(3, pending=1.0, operator=1.0)
    message, recipients = world.at(10 * 365 * 86400)
    assert message["state"] == 1
    assert [one["state_description"] for one in recipients] == ["DELIVERED_TO_OPERATOR"] * 3


# --- the clock, and callbacks ---------------------------------------------------------------------


@asynccontextmanager
async def receiver(status: int = 200) -> AsyncIterator[tuple[str, list[tuple[str, str]]]]:
    """Listen for callbacks; yields the URL and the received (content type, body) pairs."""
    received: list[tuple[str, str]] = []

    async def hear(request: web.BaseRequest) -> web.Response:
        received.append((request.content_type, await request.text()))
        return web.Response(status=status, headers={"Location": "/again"})

    runner = web.ServerRunner(web.Server(hear))
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/sms?key=1", received
    finally:
        await runner.cleanup()


def send(simulator: Simulator, url: str, count: int = 2, **options: Any) -> str:
    recipients = [f"+39-340{n:07}" for n in range(count)]
    answer = simulator.gateway.post(
        {
            "sender": "ACME",
            "body": "Ciao",
            "recipients": recipients,
            "options": {"callback_url": url, **options},
        }
    )
    message_id: str = answer.body["data"][0]["id"]
    return message_id


async def test_each_change_of_state_is_reported_as_get_shows_it_when_the_clock_advances() -> None:
    async with receiver() as (url, received), Simulator(frozen=True) as simulator:
        message_id = send(simulator, url)
        await simulator.advance(0.5)
        assert not received
        await simulator.advance(0.5)
        shown = simulator.gateway.get(message_id).body["data"][0]
        assert [(kind, json.loads(body)) for kind, body in received] == [
            ("application/json", shown)
        ]
        assert shown["state"] == 1
        await simulator.advance(3600)
        shown = simulator.gateway.get(message_id).body["data"][0]
        assert json.loads(received[1][1]) == shown
        assert (shown["state"], shown["statistics"]["delivered"]) == (2, 2)
        await simulator.advance(3600)
        assert simulator.callbacks == [
            RecordedCallback(url=url, message_id=message_id, state=state, status=200)
            for state in (1, 2)
        ]


async def test_the_form_field_holds_the_json() -> None:
    async with receiver() as (url, received), Simulator(frozen=True) as simulator:
        message_id = send(simulator, url, callback_field="summary & more")
        await simulator.advance(1)
        [(kind, body)] = received
        assert kind == "application/x-www-form-urlencoded"
        fields = parse_qs(body, strict_parsing=True)
        assert fields.keys() == {"summary & more"}
        [text] = fields["summary & more"]
        assert json.loads(text)["id"] == message_id


async def test_a_large_advance_reports_all_states_in_order() -> None:
    async with (
        receiver() as (url, received),
        Simulator(frozen=True, deliveries=Deliveries(spread=3600)) as simulator,
    ):
        send(simulator, url, 1500)
        await simulator.advance(7200)
        documents = [json.loads(body) for _, body in received]
        assert [(one["state"], one["statistics"]["delivered"]) for one in documents] == [
            (1, 0),
            (2, 1500),
        ]


async def test_on_request_they_are_repeated_and_out_of_order() -> None:
    async with (
        receiver() as (url, received),
        Simulator(frozen=True, callback_times=2, callbacks_in_order=False) as simulator,
    ):
        send(simulator, url)
        await simulator.advance(1)
        assert not received
        await simulator.advance(5)
        assert [json.loads(body)["state"] for _, body in received] == [2, 2, 1, 1]


async def test_failures_are_recorded_and_raised_nowhere() -> None:
    async with receiver(500) as (url, _), receiver(307) as (moved, received):
        async with Simulator(frozen=True) as simulator:
            for each in (url, moved, "http://127.0.0.1:9/", "http://192.0.2.1/", "nonsense"):
                send(simulator, each)
            await simulator.advance(1)
            found = {one.url: (one.status, one.error) for one in simulator.callbacks}
            assert len(received) == 1
    far = (None, "not called: not an address of this machine")
    assert found == {
        url: (500, None),
        moved: (307, None),
        "http://127.0.0.1:9/": (None, "ClientConnectorError"),
        "http://192.0.2.1/": far,
        "nonsense": far,
    }


async def test_deleted_messages_are_not_reported() -> None:
    async with receiver() as (url, received), Simulator(frozen=True) as simulator:
        message_id = send(simulator, url, timestamp_send="2999-01-01")
        assert simulator.gateway.delete(message_id).status == 200
        await simulator.advance(86400 * 366 * 1000)
        assert not received
        assert not simulator.gateway.watched


async def test_with_a_running_clock_callbacks_need_no_advance() -> None:
    async with (
        receiver() as (url, received),
        Simulator(sent_after=0.02, delivered_after=0.05) as simulator,
    ):
        send(simulator, url)
        await simulator.advance(0)
        while len(received) < 2:
            await simulator.advance(0)
            await asyncio.sleep(0.005)
        assert [json.loads(body)["state"] for _, body in received] == [1, 2]


async def test_a_message_that_is_closed_later_is_reported_from_then_on() -> None:
    async with receiver() as (url, received), Simulator(frozen=True) as simulator:
        request = {"sender": "ACME", "body": "Ciao", "recipients": ["+39-340"], "transaction": True}
        answer = simulator.gateway.post(request | {"options": {"callback_url": url}})
        message_id = answer.body["data"][0]["id"]
        await simulator.advance(3600)
        assert not received
        simulator.gateway.put(message_id, {"recipients": [], "transaction": False})
        await simulator.advance(2)
        assert [json.loads(body)["state"] for _, body in received] == [1]


async def test_leaving_drops_callbacks_that_hang() -> None:
    async with Simulator(sent_after=0, delivered_after=0) as listener:
        async with Simulator(frozen=True) as simulator:
            listener.delay = lambda request: 60.0
            send(simulator, f"{listener.url}/messages/")
            simulator._ahead += 1
            simulator._start_callbacks()
            while not listener.requests:
                await asyncio.sleep(0.005)
        assert not simulator.callbacks


@pytest.mark.parametrize(("kept", "states"), [(0, []), (1, [2]), (5, [1, 1, 2, 2]), (3, [1, 2, 2])])
async def test_what_is_kept_of_callbacks_is_bounded(kept: int, states: list[int]) -> None:
    async with Simulator(frozen=True, keep_requests=kept, callback_times=2) as simulator:
        send(simulator, "http://192.0.2.1/")
        await simulator.advance(60)
        assert [one.state for one in simulator.callbacks] == states


async def test_the_clock_only_advances() -> None:
    simulator = Simulator(clock=lambda: NOW, frozen=True)
    await simulator.advance(60)
    assert simulator.now() == NOW + 60
    with pytest.raises(ValueError, match="only advances"):
        await simulator.advance(-1)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:80/x", True),
        ("http://127.9.9.9/", True),
        ("http://[::1]:80/", True),
        ("http://localhost/", True),
        ("https://127.0.0.1/", False),
        ("http://localhost.example.com/", False),
        ("http://127.0.0.1@192.0.2.1/", False),
        ("http://[::1", False),
        ("http://0.0.0.0/", False),
        ("", False),
    ],
)
def test_only_this_machine_is_called(url: str, *, local: bool) -> None:
    assert is_loopback(url) is local
