"""The pace of an account, without a store: windows, holds, and a clock that is set back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from gateway_sms_async._rate.pace import LONGEST_HOLD, Pace

from ..http.test_limiter import overfull


@given(
    st.floats(0.1, 500.0),
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0.0, 10.0) | st.floats(0.0, 0.01), st.integers(1, 30))),
    st.floats(-1e6, 1e6),
)
def test_no_window_holds_more_than_the_pace_allows(rate, burst, steps, start) -> None:
    pace, arrival, now, departures = Pace(rate, burst), start, start, []
    for forward, asking in steps:
        now += forward
        for _ in range(asking):
            wait, arrival = pace.ask(arrival, now)
            if not wait:
                departures.append(now - start)
    assert overfull(departures, rate, burst) is None


@given(st.floats(0.1, 500.0), st.integers(1, 20), st.floats(0.001, 100.0))
def test_nothing_leaves_in_a_hold_and_one_after_it(rate, burst, seconds) -> None:
    pace = Pace(rate, burst)
    arrival = pace.hold(0.0, seconds)
    assert pace.ask(arrival, seconds * 0.99)[0] > 0
    moment = seconds * (1 + 1e-9)
    wait, after = pace.ask(arrival, moment)
    assert wait == 0
    assert pace.ask(after, moment)[0] > 0


@given(st.floats(0.01, 500.0), st.integers(1, 20), st.floats(1.0, 1e9))
def test_a_clock_that_was_set_back_holds_nobody(rate, burst, seconds) -> None:
    pace = Pace(rate, burst)
    longest = pace.hold(0.0, LONGEST_HOLD)
    assert pace.ask(longest, 0.0)[0] > 0
    wait, arrival = pace.ask(longest + 1 / rate + seconds, 0.0)
    assert wait == 0
    assert pace.ask(arrival, 0.0)[0] <= 1 / rate
