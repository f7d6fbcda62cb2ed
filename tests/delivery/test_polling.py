"""Polling deliveries: what a list may change, when lists are read, and what the summary says.

Client and simulator use a virtual clock, so an hour takes no real time.
"""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async import (
    AuthenticationError,
    DeliveryChange,
    DeliveryState,
    DeliverySummary,
    GatewayClient,
    GatewayError,
    MessageDelivery,
    NotFoundError,
    RetryPolicy,
    ServerError,
)
from gateway_sms_async._delivery.listing import RecipientStates, key_of, pack
from gateway_sms_async._simulator.message import StoredMessage as SimulatedMessage
from gateway_sms_async.testing import Deliveries, Dialect, Fault, Simulator

from ..support.accounting import number, numbers
from ..support.virtual_time import VirtualLoop, run

PENDING, OPERATOR, DELIVERED, UNDELIVERED, EXPIRED, REJECTED = DeliveryState
HOUR = 3600.0
NO_SUCH_ID = "0" * 24

# --- what a list may change -----------------------------------------------------------------------

states = st.sampled_from(list(DeliveryState))
few = st.integers(1, 6)


@given(lists=st.lists(st.dictionaries(few, states), max_size=6), seed=st.integers())
def test_a_number_once_on_a_message_follows_the_table(
    lists: list[dict[int, DeliveryState]], seed: int
) -> None:
    recipient_states, known = RecipientStates(), dict[int, DeliveryState]()
    for listed in lists:
        entries = list(listed.items())
        random.Random(seed).shuffle(entries)
        expected: list[int] = []
        for place, (key, state) in enumerate(entries):
            if known.setdefault(key, PENDING).may_become(state):
                known[key] = state
                expected.append(place)
        assert recipient_states.advance([pack(*entry) for entry in entries]) == expected
        assert recipient_states.counts() == dict.fromkeys(DeliveryState, 0) | Counter(
            known.values()
        )
        assert len(recipient_states) == len(known)


entries = st.lists(st.tuples(st.integers(1, 3), states), max_size=8)


@settings(max_examples=200)
@given(lists=st.lists(entries, max_size=5), seed=st.integers())
def test_numbers_listed_several_times_only_move_forward_too(
    lists: list[list[tuple[int, DeliveryState]]], seed: int
) -> None:
    recipient_states = RecipientStates()
    before, most = recipient_states.counts(), Counter[int]()
    for listed in lists:
        packed = [pack(*entry) for entry in listed]
        moved = recipient_states.advance(packed)
        after = recipient_states.counts()
        for state in DeliveryState:
            if state.is_final:
                assert after[state] >= before[state]
                # Only a list makes a recipient final.
                reported = sum(listed[place][1] is state for place in moved)
                assert after[state] - before[state] == reported
        assert PENDING not in [listed[place][1] for place in moved]
        most |= Counter(key for key, _ in listed)
        assert len(recipient_states) == most.total()
        random.Random(seed).shuffle(packed)
        assert recipient_states.advance(packed) == [], "the same list again changes nothing"
        before = recipient_states.counts()
        assert before == after


def test_of_two_with_one_number_the_order_in_the_list_does_not_matter() -> None:
    recipient_states = RecipientStates()
    recipient_states.advance([pack(7, DELIVERED), pack(7, PENDING)])
    assert recipient_states.advance([pack(7, PENDING), pack(7, DELIVERED)]) == []
    assert recipient_states.advance([pack(7, PENDING)]) == []
    assert recipient_states.advance([pack(7, DELIVERED)]) == [], (
        "the one that was, the other is missing"
    )
    assert recipient_states.advance([pack(7, EXPIRED), pack(7, DELIVERED)]) == [0]
    assert recipient_states.counts()[EXPIRED] == recipient_states.counts()[DELIVERED] == 1


def test_a_missing_recipient_keeps_its_state() -> None:
    recipient_states = RecipientStates()
    recipient_states.advance([pack(1, DELIVERED), pack(2, PENDING), pack(3, OPERATOR)])
    assert recipient_states.advance([pack(2, UNDELIVERED)]) == [0]
    assert recipient_states.advance([]) == []
    assert recipient_states.counts() == {
        PENDING: 0,
        OPERATOR: 1,
        DELIVERED: 1,
        UNDELIVERED: 1,
        EXPIRED: 0,
        REJECTED: 0,
    }


@pytest.mark.parametrize("written", ["+39-3401234567", "+393401234567", "00393401234567"])
def test_a_number_is_known_by_its_digits(written: str) -> None:
    assert key_of(written) == 393401234567


@pytest.mark.parametrize("odd", ["", "nobody", "+" + "9" * 5000])
def test_any_listed_number_has_a_key(odd: str) -> None:
    recipient_states = RecipientStates()
    assert recipient_states.advance([pack(key_of(odd), DELIVERED)]) == [0]


def test_a_gateway_that_masks_all_numbers_is_followed_by_counts() -> None:
    recipient_states = RecipientStates()
    for final in range(0, 20_001, 5000):
        listed = [pack(key_of("***"), DELIVERED if n < final else PENDING) for n in range(20_000)]
        assert len(recipient_states.advance(listed)) == min(final, 5000)
        assert recipient_states.counts()[DELIVERED] == final
        assert len(recipient_states) == 20_000


def test_a_recipient_takes_eight_bytes() -> None:
    listed = [pack(key_of(number(n)), PENDING) for n in range(20_000)]
    recipient_states = RecipientStates()
    tracemalloc.start()
    try:
        recipient_states.advance(listed)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 9 * len(listed)


# --- with a simulator, on a virtual clock ---------------------------------------------------------


class World:
    """A client and a simulator on one virtual clock."""

    def __init__(self, gateway: GatewayClient, simulator: Simulator, loop: VirtualLoop) -> None:
        self.gateway = gateway
        self.simulator = simulator
        self.loop = loop
        self.began = loop.time()

    @property
    def elapsed(self) -> float:
        return self.loop.time() - self.began

    @property
    def reads(self) -> tuple[int, int]:
        """How often messages and lists of recipients were read."""
        operations = Counter(one.operation for one in self.simulator.requests)
        return operations["get"], operations["recipients"]

    async def send(self, count: int = 3, first: int = 0, **more: Any) -> str:
        message = await self.gateway.messages.send(
            sender="ACME", body="Ciao", recipients=numbers(count, first), **more
        )
        return message.id


Main = Callable[[World], Coroutine[Any, Any, None]]
Live = Callable[..., None]


@pytest.fixture
def live(tmp_path: Path) -> Live:
    """Return a function that runs a test in a `World`; all settings but `rate` are the simulator's."""

    def lived(main: Main, *, rate: float | None = None, **settings: Any) -> None:
        path = str(tmp_path / "gateway")
        random.seed(1)  # the jitter of the intervals

        async def all_of_it(loop: VirtualLoop) -> None:
            async with (
                Simulator(path=path, **{"clock": loop.time, **settings}) as simulator,
                GatewayClient(
                    simulator.token,
                    base_url=simulator.url,
                    rate=rate,
                    retry=RetryPolicy(max_attempts=2, base_delay=0.01, max_delay=0.01),
                    connector=lambda: aiohttp.UnixConnector(path),
                ) as gateway,
            ):
                await main(World(gateway, simulator, loop))

        run(all_of_it)

    return lived


def test_it_waits_until_all_are_final_and_reads_one_list(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(100)
        seen: list[DeliverySummary] = []
        found = await world.gateway.wait_delivered(message_id, timeout=60, on_progress=seen.append)
        assert found.complete
        assert found.counts == dict.fromkeys(DeliveryState, 0) | {DELIVERED: 100}
        [message] = found.messages
        assert (message.message_id, message.listed, message.unfinished) == (message_id, 100, None)
        assert message.message is not None
        assert message.message.statistics.delivered == 100
        assert 3 <= world.elapsed < 6
        polls, lists = world.reads
        assert lists == 1
        assert found.requests == polls + lists
        assert len(seen) == polls
        assert seen[-1] == found
        assert seen[0].counts[PENDING] == 100
        assert not seen[0].complete

    live(main)


def test_a_receipts_messages_are_followed_for_an_hour_with_few_lists(live: Live) -> None:
    async def main(world: World) -> None:
        receipt = await world.gateway.send_bulk(
            numbers(5000), sender="ACME", body="Ciao", recipients_per_message=1000
        )
        before = world.reads
        found = await world.gateway.wait_delivered(receipt.message_ids, timeout=2 * HOUR)
        assert found.complete
        assert sum(found.counts.values()) == 5000
        assert found.counts[DELIVERED] == 4500
        assert found.counts[UNDELIVERED] + found.counts[EXPIRED] + found.counts[REJECTED] == 500
        assert [one.message_id for one in found.messages] == list(receipt.message_ids)
        assert HOUR < world.elapsed < HOUR + 75
        polls, lists = (now - then for now, then in zip(world.reads, before, strict=True))
        # Polls are at most a minute apart, one second at first; lists are read rarely.
        assert 5 * 60 < polls < 5 * 90
        assert 5 <= lists <= 5 * 6

    live(main, deliveries=Deliveries(spread=HOUR, undelivered=0.1, operator=0.5))


def test_at_the_timeout_the_summary_has_the_last_known_states(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(1000)
        found = await world.gateway.wait_delivered([message_id], timeout=HOUR / 2)
        assert HOUR / 2 * 0.95 < world.elapsed <= HOUR / 2 + 1
        assert not found.complete
        [message] = found.messages
        assert message.unfinished == "timed out"
        assert found.counts[PENDING] == message.counts[PENDING]
        assert 480 < found.counts[PENDING] < 520
        assert found.counts[DELIVERED] == 1000 - found.counts[PENDING]
        assert message.listed == 1000

    live(main, deliveries=Deliveries(spread=HOUR))


def test_a_recipient_that_stays_pending_is_polled_until_the_timeout(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert (found.complete, found.counts[PENDING], found.counts[DELIVERED]) == (False, 1, 9)
        assert world.elapsed <= HOUR + 1

    live(main, deliveries=Deliveries(pending=0.1))


def test_messages_that_cannot_complete_end_at_once_and_the_others_are_polled(
    live: Live,
) -> None:
    async def main(world: World) -> None:
        post = world.simulator.gateway.post
        basis = {"sender": "ACME", "body": "Ciao"}

        def made(**more: Any) -> str:
            found: str = post(basis | more).body["data"][0]["id"]
            return found

        ids = {
            "open": made(recipients=numbers(2), transaction=True),
            "scheduled": made(recipients=numbers(2), options={"timestamp_send": "2999-01-01"}),
            "no recipients": made(recipients=["nobody"]),
            "not found": NO_SUCH_ID,
            None: await world.send(2),
        }
        found = await world.gateway.wait_delivered([*ids.values(), "odd"], timeout=HOUR)
        reported = {one.unfinished: one for one in found.messages[:-1]}
        assert {why: one.message_id for why, one in reported.items()} == ids
        assert found.messages[-1].unfinished == "not found", "406 says so too"
        assert not found.complete
        assert reported[None].complete
        assert sum(one.complete for one in found.messages) == 1
        assert isinstance(reported["not found"].error, NotFoundError)
        assert reported["not found"].message is None
        assert reported["open"].counts[PENDING] == 2
        assert world.elapsed < 10
        assert world.reads[1] == 1

    live(main)


@pytest.mark.parametrize("why", ["open", "scheduled", "no recipients"])
def test_the_iterator_raises_what_cannot_be_followed(live: Live, why: str) -> None:
    more: dict[str, dict[str, Any]] = {
        "open": {"transaction": True},
        "scheduled": {"options": {"timestamp_send": "2999-01-01"}},
        "no recipients": {"recipients": ["nobody"]},
    }

    async def main(world: World) -> None:
        request = {"sender": "ACME", "body": "Ciao", "recipients": numbers(1)} | more[why]
        message_id = world.simulator.gateway.post(request).body["data"][0]["id"]
        with pytest.raises(GatewayError, match=message_id):
            await anext(world.gateway.delivery(message_id, timeout=60))
        with pytest.raises(NotFoundError):
            await anext(world.gateway.delivery(NO_SUCH_ID))

    live(main)


def test_a_message_for_a_later_day_is_followed_when_the_timeout_allows_it(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(2)
        await world.gateway.wait_delivered(message_id, timeout=60)
        later = {"recipients": numbers(1), "options": {"timestamp_send": "1970-01-03"}}
        answer = world.simulator.gateway.post({"sender": "ACME", "body": "Ciao"} | later)
        found = await world.gateway.wait_delivered(
            answer.body["data"][0]["id"], timeout=4 * 24 * HOUR
        )
        assert found.complete
        assert world.elapsed > 24 * HOUR
        assert world.reads[0] < 3 * 24 * 60

    live(main)


def test_a_gateway_whose_clock_is_ahead_has_scheduled_nothing(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(2)
        found = await world.gateway.wait_delivered(message_id, timeout=30)
        assert found.messages[0].unfinished == "timed out"

    live(main, clock=lambda: 5e9)


# --- changes --------------------------------------------------------------------------------------


def test_each_change_is_yielded_once_in_order_until_all_are_final(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(200)
        reported: dict[str, list[DeliveryState]] = {}
        times: list[float] = []
        async for change in world.gateway.delivery(message_id):
            assert change.state is not PENDING
            assert change.report.number == change.number
            reported.setdefault(change.number, []).append(change.state)
            times.append(world.elapsed)
        assert set(reported) == set(numbers(200))
        for path in reported.values():
            assert path[-1].is_final
            assert path[:-1] in ([], [OPERATOR])
        last = Counter(path[-1] for path in reported.values())
        assert last[DELIVERED] == 180
        assert sum(len(path) == 2 for path in reported.values()) > 30
        # Spread over the hour: one poll a minute, with its list.
        assert len(set(times)) > 50
        polls, lists = world.reads
        assert 60 < polls < 90
        assert lists <= polls

    live(main, deliveries=Deliveries(spread=HOUR, undelivered=0.1, operator=0.5))


def test_long_lists_are_read_at_a_bounded_pace(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(3000)
        async for _ in world.gateway.delivery(message_id, timeout=600):
            pass
        # 3 MB at 100 kB/s: at most every half minute. The last list is read before the timeout.
        assert 10 <= world.reads[1] <= 21
        assert 580 < world.elapsed <= 601

    live(main, deliveries=Deliveries(spread=HOUR))


def test_a_list_that_goes_back_changes_nothing(live: Live) -> None:
    now = [1000.0]

    async def main(world: World) -> None:
        message_id = await world.send(20)
        now[0] = 1500.0
        reported: list[DeliveryChange] = []
        before: list[int] = []

        async def turn_the_clock() -> None:
            for then in (1200.0, 3000.0):
                await asyncio.sleep(300)
                before.append(len(reported))
                now[0] = then

        turning = asyncio.create_task(turn_the_clock())
        async for change in world.gateway.delivery(message_id, timeout=HOUR):
            reported.append(change)  # noqa: PERF401 - it is read in the meantime
        await turning
        assert before[0] == before[1] < 20, "no change of the older list was reported"
        assert len(reported) == len({one.number for one in reported}) == 20
        assert {one.state for one in reported} == {DELIVERED}

    live(main, clock=lambda: now[0], deliveries=Deliveries(spread=1000))


def test_a_change_and_a_summary_show_no_number_in_their_repr(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(1)
        change = await anext(world.gateway.delivery(message_id))
        found = await world.gateway.wait_delivered(message_id, timeout=60)
        for shown in (repr(change), repr(found)):
            assert number(0)[4:] not in shown
            assert "Ciao" not in shown
        assert found.to_dict() == {
            "counts": {state.value: int(state is DELIVERED) for state in DeliveryState},
            "messages": [
                {
                    "message_id": message_id,
                    "counts": {state.value: int(state is DELIVERED) for state in DeliveryState},
                    "listed": 1,
                    "complete": True,
                    "unfinished": None,
                    "error": None,
                }
            ],
            "complete": True,
            "requests": found.requests,
        }

    live(main)


# --- lists that are not what they should be -------------------------------------------------------


def test_a_truncated_list_never_completes_a_message(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(50)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        [message] = found.messages
        assert (message.complete, message.unfinished, message.listed) == (
            False,
            "list incomplete",
            40,
        )
        assert found.counts == dict.fromkeys(DeliveryState, 0) | {DELIVERED: 40, PENDING: 10}
        assert 3 <= world.reads[1] <= 20
        assert 120 < world.elapsed < 240
        with pytest.raises(GatewayError, match="does not list all"):
            async for _ in world.gateway.delivery(message_id):
                pass

    live(main, dialect=Dialect(list_limit=40))


@pytest.mark.parametrize("late", [0.0, 600.0])
def test_repeated_entries_do_not_hide_missing_recipients(
    live: Live, monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    # As many entries as recipients, but for a while one entry repeats another.
    listed = SimulatedMessage.listed

    async def main(world: World) -> None:
        def repeating(self: SimulatedMessage, now: float) -> list[int]:
            places = list(listed(self, now))
            missing = not late or now < world.began + late
            return [*places[:9], places[0]] if missing else places

        monkeypatch.setattr(SimulatedMessage, "listed", repeating)
        message_id = await world.send(10)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        [message] = found.messages
        if late and message.complete:
            assert world.elapsed >= late
            return
        assert (message.complete, message.unfinished, message.listed) == (
            False,
            "list incomplete",
            9,
        )

    live(main)


def test_a_list_that_grows_after_the_close_is_waited_for(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(50)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert found.complete
        assert found.counts[DELIVERED] == 50

    live(main, dialect=Dialect(list_grows=120))


@pytest.mark.parametrize("named", [None, 0])
@pytest.mark.parametrize("rewritten", [False, True])
def test_invalid_entries_of_a_list_are_not_recipients(
    live: Live, named: int | None, *, rewritten: bool
) -> None:
    async def main(world: World) -> None:
        world.simulator.gateway.unroutable = {number(1), number(2)}
        message_id = await world.send(10)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert found.complete
        assert found.counts == dict.fromkeys(DeliveryState, 0) | {DELIVERED: 8}

    live(
        main,
        dialect=Dialect(list_invalid=True, invalid_named=named, rewrite_numbers=rewritten),
    )


def test_a_recipient_that_becomes_invalid_later_is_rejected(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = SimulatedMessage.recipient_document

    def judged(self: SimulatedMessage, i: int, now: float) -> dict[str, Any]:
        shown = document(self, i, now)
        if i == 4:
            shown = {**shown, "state": "INVALID", "state_description": "", "report": []}
        return shown

    monkeypatch.setattr(SimulatedMessage, "recipient_document", judged)

    async def main(world: World) -> None:
        message_id = await world.send(10)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert found.complete
        assert found.counts == dict.fromkeys(DeliveryState, 0) | {DELIVERED: 9, REJECTED: 1}

    live(main)


@pytest.mark.parametrize("marked", [True, False])
def test_invalid_entries_do_not_hide_truncated_recipients(
    live: Live, monkeypatch: pytest.MonkeyPatch, *, marked: bool
) -> None:
    # As many entries as valid recipients, but the invalid ones come first, and may look like any
    # other rejected recipient.
    document = SimulatedMessage.recipient_document

    def reversed_(self: SimulatedMessage, i: int, now: float) -> dict[str, Any]:
        shown = document(self, 9 - i, now)
        if shown["state"] == "INVALID" and not marked:
            return shown | {"state": "REJECTED"}
        return shown

    monkeypatch.setattr(SimulatedMessage, "recipient_document", reversed_)

    async def main(world: World) -> None:
        world.simulator.gateway.unroutable = {number(1), number(2)}
        message_id = await world.send(10)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert not found.complete
        assert found.counts[DELIVERED] == (6 if marked else 7)

    live(
        main,
        dialect=Dialect(list_invalid=True, list_limit=8 if marked else 9, invalid_named=1),
    )


def recipient_states_still(monkeypatch: pytest.MonkeyPatch) -> None:
    document = SimulatedMessage.document

    def frozen(self: SimulatedMessage, now: float) -> dict[str, Any]:
        return document(self, self.created_at)

    monkeypatch.setattr(SimulatedMessage, "document", frozen)


def test_statistics_that_stand_still_are_not_relied_on(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipient_states_still(monkeypatch)

    async def main(world: World) -> None:
        message_id = await world.send(50)
        found = await world.gateway.wait_delivered(message_id, timeout=2 * HOUR)
        assert found.complete
        assert found.counts[DELIVERED] == 50
        assert 1000 < world.elapsed < 1100

    live(main, deliveries=Deliveries(spread=1000))


def test_statistics_that_stand_still_because_nothing_moves_cost_few_lists(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(50)
        found = await world.gateway.wait_delivered(message_id, timeout=24 * HOUR)
        assert found.counts[PENDING] == 50
        polls, lists = world.reads
        assert lists <= 12
        assert polls < 24 * 75

    live(main, deliveries=Deliveries(pending=1.0))


def test_a_gateway_that_counts_the_operators_as_delivered_is_not_believed(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = SimulatedMessage.document

    def hasty(self: SimulatedMessage, now: float) -> dict[str, Any]:
        shown = document(self, now)
        shown["statistics"]["delivered"] = shown["statistics"]["sent"]
        return shown

    monkeypatch.setattr(SimulatedMessage, "document", hasty)

    async def main(world: World) -> None:
        message_id = await world.send(50)
        found = await world.gateway.wait_delivered(message_id, timeout=2 * HOUR)
        assert found.complete
        assert found.counts[DELIVERED] == 50
        assert 1000 < world.elapsed < 1070
        polls, lists = world.reads
        assert lists <= polls < 60

    live(main, deliveries=Deliveries(spread=1000, operator=1.0))


# --- faults ---------------------------------------------------------------------------------------


def test_failed_polls_are_retried(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        world.simulator.faults.add(Fault.status(503), on="get", times=6)
        world.simulator.faults.add(Fault.status(503), on="recipients", times=3)
        seen: list[DeliverySummary] = []
        found = await world.gateway.wait_delivered(message_id, timeout=60, on_progress=seen.append)
        assert found.complete
        assert found.messages[0].error is None
        failed = [one.messages[0].error for one in seen if one.messages[0].error is not None]
        assert len(failed) >= 3
        assert all(isinstance(error, ServerError) for error in failed)

    live(main)


def test_a_refused_list_is_requested_again_at_the_next_poll(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(3000)
        await asyncio.sleep(5)
        world.simulator.faults.add(Fault.status(503), on="recipients", times=4)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert found.complete
        assert world.elapsed < 10

    live(main)


def test_a_long_list_that_broke_off_is_not(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(3000)
        await asyncio.sleep(5)
        world.simulator.faults.add(Fault.truncate(), on="recipients", times=4)
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        assert found.complete
        assert 5 + 2 * 30 < world.elapsed < 90

    live(main)


def test_a_gateway_that_stays_down_is_reported_at_the_timeout(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        world.simulator.faults.add(Fault.status(503), on="get", times=10_000)
        found = await world.gateway.wait_delivered(message_id, timeout=60)
        [message] = found.messages
        assert message.unfinished == "timed out"
        assert isinstance(message.error, ServerError)
        assert message.to_dict()["error"] == str(message.error)
        assert world.elapsed <= 61

    live(main)


def test_a_request_that_hangs_does_not_outlast_the_timeout(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        world.simulator.faults.add(Fault.hang(), on="get", times=100)
        found = await world.gateway.wait_delivered(message_id, timeout=10)
        assert found.messages[0].unfinished == "timed out"
        assert world.elapsed < 10.1

    live(main)


def test_a_token_that_is_refused_ends_it(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        world.simulator.tokens.clear()
        with pytest.raises(AuthenticationError):
            await world.gateway.wait_delivered(message_id, timeout=60)
        with pytest.raises(AuthenticationError):
            await anext(world.gateway.delivery(message_id))

    live(main)


def test_a_message_that_is_deleted_meanwhile_is_not_found(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)

        async def delete() -> None:
            await asyncio.sleep(30)
            del world.simulator.gateway._messages[message_id]

        deleting = asyncio.create_task(delete())
        found = await world.gateway.wait_delivered(message_id, timeout=HOUR)
        await deleting
        assert found.messages[0].unfinished == "not found"
        assert world.elapsed < 60

    live(main, deliveries=Deliveries(pending=1.0))


@pytest.mark.parametrize("seconds", [0.0, 1.5, 3.2, 100.0])
def test_cancelling_leaves_nothing_behind(live: Live, seconds: float) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(100)
        world.simulator.delay = lambda request: 0.3
        waiting = asyncio.create_task(world.gateway.wait_delivered(message_id, timeout=HOUR))
        following = asyncio.create_task(anext(world.gateway.delivery(message_id)))
        await asyncio.sleep(seconds)
        for task in (waiting, following):
            task.cancel()
        await asyncio.gather(waiting, following, return_exceptions=True)
        assert waiting.cancelled()
        world.simulator.delay = None
        assert (await world.gateway.messages.get(message_id)).id == message_id
        assert len(asyncio.all_tasks()) < 5

    live(main, deliveries=Deliveries(pending=1.0))


def test_leaving_the_iterator_early_is_fine(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(100)
        async for _ in world.gateway.delivery(message_id):
            break
        assert (await world.gateway.messages.get(message_id)).state == 2

    live(main)


def test_others_go_first(live: Live) -> None:
    async def main(world: World) -> None:
        ids = [await world.send(1, n) for n in range(30)]
        waiting = asyncio.create_task(world.gateway.wait_delivered(ids, timeout=HOUR))
        for _ in range(20):
            await asyncio.sleep(3)
            began = world.elapsed
            await world.gateway.messages.get(ids[0])
            assert world.elapsed - began < 2.1
        assert (await waiting).complete

    live(main, rate=1)


def test_progress_may_be_awaited_and_may_end_it(live: Live) -> None:
    async def main(world: World) -> None:
        message_id = await world.send(10)
        seen: list[bool] = []

        async def store(summary: DeliverySummary) -> None:
            await asyncio.sleep(0.1)
            seen.append(summary.complete)

        await world.gateway.wait_delivered(message_id, timeout=60, on_progress=store)
        assert seen[-1]

        def stop(summary: DeliverySummary) -> None:
            raise KeyError

        with pytest.raises(KeyError):
            await world.gateway.wait_delivered(message_id, timeout=60, on_progress=stop)

    live(main)


# --- refused arguments ------------------------------------------------------------------------------


def test_nothing_to_wait_for_is_complete_at_once(live: Live) -> None:
    async def main(world: World) -> None:
        found = await world.gateway.wait_delivered([], timeout=60)
        assert (found.complete, list(found.messages), found.requests) == (True, [], 0)
        message_id = await world.send(1)
        twice = await world.gateway.wait_delivered([message_id] * 2, timeout=60)
        assert [one.message_id for one in twice.messages] == [message_id]

    live(main)


async def test_what_is_no_id_and_no_timeout_is_refused_before_any_request(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    with pytest.raises(ValueError, match="id"):
        await gateway.wait_delivered(["a/b"], timeout=1)
    with pytest.raises(ValueError, match="id"):
        gateway.delivery("../x")
    for wrong in (0, -1, float("inf")):
        with pytest.raises(ValueError, match="timeout"):
            await gateway.wait_delivered([NO_SUCH_ID], timeout=wrong)
        with pytest.raises(ValueError, match="timeout"):
            gateway.delivery(NO_SUCH_ID, timeout=wrong)
    assert not simulator.requests


async def test_a_closed_client_says_so(simulator: Simulator) -> None:
    gateway = GatewayClient(simulator.token, base_url=simulator.url)
    with pytest.raises(RuntimeError, match="not open"):
        gateway.delivery(NO_SUCH_ID)


def test_a_message_delivery_is_a_value() -> None:
    one = MessageDelivery(message_id=NO_SUCH_ID, counts={})
    assert one == MessageDelivery(message_id=NO_SUCH_ID, counts={})
    with pytest.raises(AttributeError):
        one.complete = True  # type: ignore[misc]
