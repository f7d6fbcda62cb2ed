"""The limiter: no window is overfull, and no call is overtaken, forgotten or charged if cancelled."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async import GatewayClient, RateLimitError, RetryPolicy
from gateway_sms_async._http.limiter import RateLimiter, Slot, TokenBucket
from gateway_sms_async.testing import Simulator

from ..support.virtual_time import VirtualLoop, run

EPS = 1e-3  # of one token: the sum of errors of floating point and of the loop's ticks

rates = st.floats(0.1, 500.0)
bursts = st.integers(1, 20)


def overfull(times: list[float], rate: float, burst: int) -> tuple[int, int] | None:
    """Return a window, from the i-th to the j-th departure, that holds more than allowed."""
    # rate * (t_j - t_i) + burst >= j - i + 1 for all i <= j: with v = t * rate - index it is
    # enough to compare each v_j with the greatest v_i so far.
    greatest, at = float("-inf"), 0
    for j, moment in enumerate(times):
        value = moment * rate - j
        if value > greatest:
            greatest, at = value, j
        if value - greatest + burst < 1 - EPS:
            return at, j
    return None


# The bucket


@settings(deadline=None)
@given(
    rates,
    bursts,
    st.lists(
        st.tuples(
            st.floats(0.0, 10.0) | st.floats(0.0, 0.01) | st.just(30.0),  # time goes by
            st.floats(0.0, 3600.0) | st.just(0.0),  # then the clock is set back
            st.integers(1, 30),  # and so many requests
        ),
        max_size=60,
    ),
    st.floats(-1e6, 1e6),
)
def test_no_window_holds_more_than_rate_times_its_length_and_the_burst(rate, burst, steps, start):
    bucket = TokenBucket(rate, burst)
    clock, really = start, 0.0
    departures = []
    for forward, back, asking in steps:
        clock += forward
        really += forward
        clock -= back
        departures += [really for _ in range(asking) if bucket.take(clock)]
    assert overfull(departures, rate, burst) is None


def test_no_window_is_overfull_in_two_hundred_thousand_arrivals():
    chance = random.Random(7)
    bucket = TokenBucket(50.0, 3)
    now, departures = 0.0, []
    for _ in range(200_000):
        now += chance.choice((0.0, 0.0, 0.001, 0.01, chance.expovariate(40), 1.0))
        if bucket.take(now):
            departures.append(now)
    assert len(departures) > 50_000
    assert overfull(departures, 50.0, 3) is None


@settings(deadline=None)
@given(rates, bursts, st.lists(st.floats(0.0, 5.0), max_size=40))
def test_the_wait_that_is_named_is_enough_and_no_longer_than_needed(rate, burst, pauses):
    bucket = TokenBucket(rate, burst)
    now = 0.0
    for pause in pauses:
        now += pause
        wait = bucket.wait(now)
        assert 0.0 <= wait <= 1.0 / rate + 1e-9
        if wait > 1e-6:
            assert not bucket.take(now + wait * 0.99)
        now += wait + 1e-9
        assert bucket.take(now)


@settings(deadline=None)
@given(rates, bursts)
def test_a_quiet_day_saves_up_the_burst_and_nothing_more(rate, burst):
    bucket = TokenBucket(rate, burst)
    taken = sum(bucket.take(86_400.0) for _ in range(burst + 5))
    assert taken == burst


@settings(deadline=None)
@given(rates, st.floats(1.0, 3600.0))
def test_a_clock_set_back_delays_no_call_by_more_than_one_token(rate, back):
    bucket = TokenBucket(rate, 2)
    assert bucket.take(5000.0)
    assert bucket.take(5000.0 - back)
    assert bucket.wait(5000.0 - back) <= 1.0 / rate + 1e-9
    assert bucket.wait(5000.0 - back + 1.01 / rate) == 0.0


# The limiter


@dataclass
class Departure:
    name: int
    urgent: bool
    asked: float
    granted: float | None = None
    departed: float | None = None
    done: float | None = None


@dataclass
class Crowd:
    """Sends calls through a limiter and records their times."""

    limiter: RateLimiter
    loop: VirtualLoop
    calls: list[Departure] = field(default_factory=list)
    grants: list[tuple[Slot, float]] = field(default_factory=list)
    holders: dict[Slot, Departure] = field(default_factory=dict)
    inside: int = 0
    most_inside: int = 0

    def __post_init__(self) -> None:
        # A task sees its slot a moment after it was granted, and much may happen in between.
        give = self.limiter._grant

        def grant() -> Slot:
            slot = give()
            self.grants.append((slot, self.loop.time()))
            return slot

        self.limiter._grant = grant

    def send(self, *, urgent: bool = False, connecting: float = 0.0, on_wire: float = 0.0):
        call = Departure(len(self.calls), urgent, self.loop.time())
        self.calls.append(call)
        return self.loop.create_task(self._go(call, connecting, on_wire))

    async def _go(self, call: Departure, connecting: float, on_wire: float) -> None:
        call.asked = self.loop.time()
        slot = await self.limiter.acquire(urgent=call.urgent)
        self.holders[slot] = call
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)
        try:
            if connecting:
                await asyncio.sleep(connecting)
            await slot.depart()
            call.departed = self.loop.time()
            if on_wire:
                await asyncio.sleep(on_wire)
            call.done = self.loop.time()
        finally:
            self.inside -= 1
            slot.release()

    @property
    def granted(self) -> list[Departure]:
        """The calls that got a slot, in the order in which the slots were granted."""
        calls = []
        for slot, at in self.grants:
            if (call := self.holders.get(slot)) is not None:
                call.granted = at
                calls.append(call)
        return calls

    @property
    def departures(self) -> list[float]:
        return sorted(call.departed for call in self.calls if call.departed is not None)

    async def join(self, *tasks: asyncio.Task[None]) -> None:
        await asyncio.gather(*tasks, return_exceptions=True)


def with_limiter(
    main: Any, *, rate: float | None = 10.0, burst: int = 1, concurrency: int = 8
) -> Crowd:
    """Run `main(crowd)` on virtual time and return the crowd."""

    async def body(loop: VirtualLoop) -> Crowd:
        crowd = Crowd(RateLimiter(rate=rate, burst=burst, concurrency=concurrency), loop)
        await main(crowd)
        return crowd

    return run(body)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def fits(limiter: RateLimiter, concurrency: int) -> bool:
    """Return whether every slot is free again: as many as allowed can be taken at once."""
    turns = []
    with suppress(TimeoutError):
        async with asyncio.timeout(1000):
            for _ in range(concurrency):
                slot = await limiter.acquire(urgent=False)
                await slot.depart()
                turns.append(slot)
    for slot in turns:
        slot.release()
    return len(turns) == concurrency


def test_turns_are_given_in_the_order_they_were_asked_for():
    async def main(crowd):
        await crowd.join(*(crowd.send(on_wire=0.3) for _ in range(60)))

    crowd = with_limiter(main)
    assert [call.name for call in crowd.granted] == list(range(60))
    assert crowd.departures == [call.departed for call in crowd.calls]


def test_interactive_requests_go_before_the_bulk_that_waits():
    async def main(crowd):
        bulk = [crowd.send() for _ in range(20)]
        await asyncio.sleep(0.45)
        urgent = [crowd.send(urgent=True) for _ in range(3)]
        await crowd.join(*bulk, *urgent)

    crowd = with_limiter(main)
    order = [call.name for call in crowd.granted]
    position = order.index(20)
    assert order[position : position + 3] == [20, 21, 22]
    assert position <= 6  # at most one bulk call had its slot already
    bulk = [name for name in order if name < 20]
    assert bulk == sorted(bulk)


@pytest.mark.parametrize("rate", [None, 10.0])
def test_never_more_in_flight_than_the_concurrency(rate):
    async def main(crowd):
        await crowd.join(*(crowd.send(on_wire=5.0) for _ in range(50)))

    crowd = with_limiter(main, rate=rate, concurrency=4)
    assert crowd.most_inside == 4
    assert len(crowd.departures) == 50


def test_without_a_rate_all_places_are_taken_at_once():
    async def main(crowd):
        await crowd.join(*(crowd.send(on_wire=1.0) for _ in range(6)))

    crowd = with_limiter(main, rate=None, concurrency=6)
    assert crowd.departures[-1] - crowd.departures[0] < EPS


@pytest.mark.parametrize("rate", [1.0, 10.0, 200.0])
def test_a_saturated_gate_lets_its_rate_through(rate):
    async def main(crowd):
        await crowd.join(*(crowd.send() for _ in range(1000)))

    crowd = with_limiter(main, rate=rate)
    span = crowd.departures[-1] - crowd.departures[0]
    assert 999 / span == pytest.approx(rate, rel=0.01)


def test_connections_that_take_time_to_open_do_not_slow_a_saturated_gate():
    """Ten per second is ten per second, also if every connection takes 50 ms to open."""

    async def main(crowd):
        await crowd.join(*(crowd.send(connecting=0.05) for _ in range(200)))

    crowd = with_limiter(main, rate=10.0)
    span = crowd.departures[-1] - crowd.departures[0]
    assert 199 / span >= 0.95 * 10.0


def test_a_connection_that_does_not_open_does_not_delay_the_other_calls():
    async def main(crowd):
        stuck = crowd.send(connecting=30.0)
        await asyncio.sleep(0.5)
        await crowd.join(crowd.send(urgent=True))
        stuck.cancel()
        await crowd.join(stuck)

    crowd = with_limiter(main, rate=10.0)
    assert crowd.calls[1].departed is not None
    assert crowd.calls[1].departed - crowd.calls[1].asked < 1.0


def test_slow_connections_save_no_tokens_up_for_a_burst():
    async def main(crowd):
        await crowd.join(*(crowd.send(connecting=3.0 if n % 10 == 0 else 0.0) for n in range(60)))

    crowd = with_limiter(main, rate=10.0)
    assert overfull(crowd.departures, 10.0, 1) is None


@pytest.mark.parametrize("burst", [1, 5])
def test_a_blocked_loop_causes_no_burst(burst):
    async def main(crowd):
        tasks = [crowd.send(on_wire=0.2) for _ in range(100)]
        await asyncio.sleep(2.0)
        crowd.loop.stall(30.0)
        await crowd.join(*tasks)

    crowd = with_limiter(main, rate=10.0, burst=burst, concurrency=50)
    assert overfull(crowd.departures, 10.0, burst) is None
    after = [moment for moment in crowd.departures if moment > 1030.0]
    in_the_next_second = [moment for moment in after if moment <= after[0] + 1.0]
    assert len(in_the_next_second) <= 10 + burst


def test_the_token_is_taken_at_the_moment_of_leaving():
    """A call that waited long for its connection departs at the rate, not beside another call."""

    async def main(crowd):
        slow = crowd.send(connecting=10.0)
        await asyncio.sleep(9.99)
        await crowd.join(slow, *(crowd.send() for _ in range(5)))

    crowd = with_limiter(main, rate=1.0)
    assert overfull(crowd.departures, 1.0, 1) is None


def test_a_cancelled_waiter_costs_the_others_no_slot_and_no_token():
    async def main(crowd):
        tasks = [crowd.send() for _ in range(50)]
        await asyncio.sleep(0.05)
        for task in tasks[1::2]:
            task.cancel()
        await crowd.join(*tasks)
        assert await fits(crowd.limiter, 8)

    crowd = with_limiter(main)
    left = [call.name for call in crowd.calls if call.departed is not None]
    assert left == list(range(0, 50, 2))
    span = crowd.departures[-1] - crowd.departures[0]
    assert span == pytest.approx(2.4, rel=0.01)


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_waiter_cancelled_in_the_moment_it_is_granted_gives_its_place_on(rate):
    async def main(crowd):
        limiter = crowd.limiter
        for _ in range(20):
            held = await limiter.acquire(urgent=False)
            await held.depart()
            await asyncio.sleep(1.0)  # there is a token: only a slot is missing
            waiters = [asyncio.ensure_future(limiter.acquire(urgent=False)) for _ in range(2)]
            await settle()
            held.release()  # the first waiter has its slot now, but its task has not run yet
            waiters[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiters[0]
            async with asyncio.timeout(5):
                slot = await waiters[1]
            slot.release()
        assert await fits(limiter, 1)

    with_limiter(main, rate=rate, concurrency=1)


def test_cancelled_before_its_first_byte_gives_everything_back():
    async def main(crowd):
        for connecting in (0.0, 0.03):
            crowd.limiter.hold(1.0)
            tasks = [crowd.send(connecting=connecting) for _ in range(30)]
            await asyncio.sleep(1.02)
            for task in tasks:
                task.cancel()
            await crowd.join(*tasks)
        assert await fits(crowd.limiter, 8)

    with_limiter(main)


def test_a_limiter_works_after_all_its_calls_are_cancelled():
    async def main(crowd):
        tasks = [crowd.send(urgent=n % 3 == 0, on_wire=1.0) for n in range(200)]
        await asyncio.sleep(0.35)
        for task in tasks:
            task.cancel()
        await crowd.join(*tasks)
        assert await fits(crowd.limiter, 8)

    with_limiter(main)


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_hold_stops_all_queued_calls(rate):
    async def main(crowd):
        tasks = [crowd.send(on_wire=0.1) for _ in range(10)]
        await asyncio.sleep(0.25)
        crowd.limiter.hold(30.0)
        assert crowd.limiter.held_for == pytest.approx(30.0, abs=EPS)
        tasks += [crowd.send(urgent=True) for _ in range(3)]
        await crowd.join(*tasks)

    crowd = with_limiter(main, rate=rate, concurrency=2)
    assert len(crowd.departures) == 13
    assert not [at for at in crowd.departures if 1000.25 + EPS < at < 1030.25 - EPS]


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_hold_stops_also_who_has_a_turn_but_has_not_left(rate):
    async def main(crowd):
        connecting = crowd.send(connecting=2.0)
        await asyncio.sleep(1.0)
        crowd.limiter.hold(60.0)
        await crowd.join(connecting)

    crowd = with_limiter(main, rate=rate)
    assert crowd.departures[0] >= 1061.0 - EPS


def test_a_hold_that_grows_while_a_call_waits_to_depart_is_waited_out():
    async def main(crowd):
        connecting = crowd.send(connecting=1.0)
        await asyncio.sleep(0.5)
        crowd.limiter.hold(10.0)
        await asyncio.sleep(5.0)
        crowd.limiter.hold(60.0)
        await crowd.join(connecting)

    assert with_limiter(main).departures[0] >= 1065.5 - EPS


def test_of_two_holds_the_later_end_counts():
    async def main(crowd):
        crowd.limiter.hold(30.0)
        crowd.limiter.hold(5.0)
        task = crowd.send()
        await asyncio.sleep(20.0)
        crowd.limiter.hold(20.0)
        await crowd.join(task)

    assert with_limiter(main).departures[0] == pytest.approx(1040.0, abs=EPS)


def test_a_hold_is_not_followed_by_a_burst():
    async def main(crowd):
        crowd.limiter.hold(30.0)
        await crowd.join(*(crowd.send() for _ in range(30)))

    assert overfull(with_limiter(main).departures, 10.0, 1) is None


def test_a_turn_that_came_to_nothing_costs_no_time_and_earns_none():
    async def main(crowd):
        for _ in range(5):
            (await crowd.limiter.acquire(urgent=False)).release()
        tasks = [crowd.send(connecting=1.0) for _ in range(5)]
        await asyncio.sleep(2.0)
        assert len(crowd.departures) == 1  # its token was given back
        assert len(crowd.granted) == 1  # and the others are queued here, not for a connection
        await crowd.join(*tasks)

    assert overfull(with_limiter(main, rate=0.1).departures, 0.1, 1) is None


def test_done_without_having_left_frees_the_next():
    async def main(crowd):
        slot = await crowd.limiter.acquire(urgent=True)
        next_one = crowd.send()
        await asyncio.sleep(5.0)
        assert crowd.calls[0].departed is None
        slot.release()
        await crowd.join(next_one)

    assert with_limiter(main, concurrency=1).departures


def test_queued_calls_wake_the_loop_only_when_one_may_depart():
    async def main(loop):
        limiter = RateLimiter(rate=0.01, burst=1, concurrency=8)
        first = await limiter.acquire(urgent=True)
        await first.depart()
        first.release()
        rounds = itertools.count()
        original = limiter._serve

        def serve():
            next(rounds)
            original()

        limiter._serve = serve
        waiting = loop.create_task(limiter.acquire(urgent=True))
        (await waiting).release()
        return next(rounds)

    assert run(main) <= 10


steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "urgent", "cancel", "hold", "stall", "rest"]),
        st.floats(0.0, 3.0) | st.floats(0.0, 0.05) | st.just(0.0),
        st.integers(0, 1_000_000),
    ),
    min_size=1,
    max_size=50,
)


@settings(max_examples=200, deadline=None)
@given(
    steps,
    st.none() | st.floats(0.5, 50.0),
    st.integers(1, 4),
    st.integers(1, 5),
)
def test_whatever_happens_no_window_is_overfull_and_every_call_is_served(
    script, rate, burst, concurrency
):
    """Sends, cancellations, holds and blocked loops in any order."""
    holds: list[tuple[float, float]] = []
    cancelled: set[int] = set()

    async def main(crowd):
        tasks: list[asyncio.Task[None]] = []
        for act, pause, number in script:
            match act:
                case "send" | "urgent":
                    connecting = (0.0, 0.0, 0.01, 2.0)[number % 4]
                    on_wire = (0.0, 0.5, 7.0)[number % 3]
                    tasks.append(
                        crowd.send(urgent=act == "urgent", connecting=connecting, on_wire=on_wire)
                    )
                case "cancel" if tasks:
                    tasks[number % len(tasks)].cancel()
                    cancelled.add(number % len(tasks))
                case "hold":
                    seconds = (0.5, 5.0, 300.0)[number % 3]
                    holds.append((crowd.loop.time(), crowd.loop.time() + seconds))
                    crowd.limiter.hold(seconds)
                case "stall":
                    crowd.loop.stall((0.1, 30.0)[number % 2])
            if act == "rest":
                await asyncio.sleep(pause)
            elif number % 5 == 0:
                await settle()
        async with asyncio.timeout(100_000):
            await crowd.join(*tasks)
        assert await fits(crowd.limiter, concurrency)

    crowd = with_limiter(main, rate=rate, burst=burst, concurrency=concurrency)
    assert crowd.most_inside <= concurrency
    if rate is not None:
        assert overfull(crowd.departures, rate, burst) is None
    for start, end in holds:
        assert not [at for at in crowd.departures if start + EPS < at < end - EPS]
    for call in crowd.calls:
        assert call.name in cancelled or call.departed is not None
    for kind in (True, False):
        order = [call.name for call in crowd.granted if call.urgent is kind]
        assert order == sorted(order)
    assert_urgent_first(crowd)


def assert_urgent_first(crowd: Crowd) -> None:
    """While an urgent call was queued, no bulk call was granted a slot."""
    for bulk in crowd.granted:
        if bulk.urgent:
            continue
        assert bulk.granted is not None
        overtaken = [
            call
            for call in crowd.calls
            if call.urgent and call.granted is not None and call.asked < bulk.granted < call.granted
        ]
        assert not overtaken


async def test_a_clients_requests_leave_no_faster_than_its_rate(simulator):
    """Over a real socket: 30 requests at 50 per second take more than half a second."""
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=50) as gateway:
        await asyncio.gather(*(gateway.messages.list() for _ in range(30)))
    moments = [request.at for request in simulator.requests]
    assert len(moments) == 30
    assert moments[-1] - moments[0] >= 28 / 50


async def test_a_short_rest_of_a_hold_is_not_called_zero_seconds(simulator: Simulator) -> None:
    async with GatewayClient(simulator.token, base_url=simulator.url) as client:
        await client.messages.list()
        assert client._core.session is not None
        client._core.session._shared.limiter.hold(0.4)
        hurried = client.with_options(retry=RetryPolicy(max_elapsed=0.2))
        with pytest.raises(RateLimitError, match="asked to wait 1 s more") as caught:
            await hurried.messages.list()
    assert caught.value.retry_after is not None
    assert 0 < caught.value.retry_after <= 0.4
