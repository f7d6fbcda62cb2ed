"""Waits and budget as plain functions: `Retry-After`, jitter, budget, policy."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async import RetryPolicy
from gateway_sms_async._http.retry import (
    TABLE,
    Action,
    AttemptResult,
    Operation,
    RetryBudget,
    backoff_delay,
    parse_retry_after,
)

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
STAMP = NOW.timestamp()


# Retry-After


@pytest.mark.parametrize("text", ["0", "1", "7", "120", "0007", " 30 ", "9999999999"])
def test_whole_seconds_are_read_as_they_stand(text):
    assert parse_retry_after(text, now=STAMP) == float(int(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "inf",
        "Infinity",
        "nan",
        "-5",
        "+5",
        "5.5",
        "1e9",
        "0x10",
        "1_000",
        "5s",
        "5, 5",
        "\N{ARABIC-INDIC DIGIT FIVE}",
        "\N{FULLWIDTH DIGIT FIVE}",
        "²",
        "99999999999",
        "9" * 5000,
        "soon",
        "null",
        "\x00",
        "\udcff",
        "Fri, 99 Nov 2026 12:00:00 GMT",
        "Fri, 20 Nov 2026 99:99:99 GMT",
        "Fri, 20 Foo 2026 12:00:00 GMT",
        "20 Nov",
        "Fri, 20 Nov 99999 12:00:00 GMT",
        "Fri, 20 Nov 2026 12:00:00 +9999999999",
    ],
)
def test_garbage_is_as_good_as_no_header(text):
    assert parse_retry_after(text, now=STAMP) is None


def test_no_header_is_none():
    assert parse_retry_after(None, now=STAMP) is None


def test_a_date_is_read_as_the_seconds_until_then():
    text = format_datetime(NOW + timedelta(seconds=90), usegmt=True)
    assert parse_retry_after(text, now=STAMP) == 90.0


@pytest.mark.parametrize(
    "text", ["Friday, 20-Nov-26 12:01:30 GMT", "Fri, 20 Nov 2026 13:01:30 +0100"]
)
def test_other_ways_to_write_a_date_are_understood(text):
    assert parse_retry_after(text, now=STAMP) == 90.0


@pytest.mark.parametrize("text", ["Fri, 20 Nov 2026 11:59:59 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_date_that_is_over_is_no_wait_at_all(text):
    assert parse_retry_after(text, now=STAMP) == 0.0


def test_the_end_of_time_is_a_finite_number_of_seconds():
    wait = parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now=STAMP)
    assert wait is not None
    assert math.isfinite(wait)
    assert wait > 2e11


DIGITS = "".join(chr(first + n) for first in (0x30, 0x660, 0xFF10) for n in range(10))


@settings(max_examples=300, deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"\A[+-]?[0-9]{0,12}(\.[0-9]*)?(e[0-9]+)?\Z")
    | st.builds(
        "{}{} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Fri, ", "", "Friday, ", "Vendredi, "]),
        st.integers(-1, 40),
        st.sampled_from(["Nov", "Jan", "Feb", "Foo", "11"]),
        st.integers(-1, 100_000),
        st.integers(-1, 70),
        st.integers(-1, 70),
        st.integers(-1, 70),
        st.sampled_from(["GMT", "+0000", "-0000", "+9999", "-2400", "EST", "Z", "", "+99999999"]),
    )
    | st.text(alphabet=DIGITS + " ,:+-GMTNovFri", max_size=40),
    st.floats(0, 1e11),
)
def test_whatever_stands_there_the_answer_is_none_or_a_finite_wait(text, now):
    wait = parse_retry_after(text, now=now)
    assert wait is None or (math.isfinite(wait) and wait >= 0.0)


# Backoff


@settings(deadline=None)
@given(
    st.floats(1e-6, 100.0),
    st.floats(1e-6, 1000.0),
    st.integers(1, 1000),
    st.none() | st.floats(0.0, 400.0),
    st.floats(0.01, 1.0),
)
def test_a_delay_stays_between_its_least_share_and_its_ceiling(base, most, tries, floor, least):
    policy = RetryPolicy(base_delay=base, max_delay=most, max_attempts=5000)
    ceiling = min(most, base * 2.0 ** (tries - 1))
    delay = backoff_delay(policy, tries, floor=floor, fixed_share=least)
    assert delay > 0.0
    assert delay >= (floor or 0.0)
    assert delay >= least * ceiling * (1 - 1e-9)
    assert delay <= max(ceiling * (1 + 1e-9), floor or 0.0)


@settings(deadline=None)
@given(st.integers(1, 60))
def test_full_jitter_may_come_out_anywhere_below_the_ceiling(tries):
    policy = RetryPolicy(base_delay=0.5, max_delay=20.0)
    ceiling = min(20.0, 0.5 * 2.0 ** (tries - 1))
    delays = [backoff_delay(policy, tries, floor=None, fixed_share=0.0) for _ in range(300)]
    assert min(delays) < 0.25 * ceiling
    assert max(delays) > 0.75 * ceiling
    assert all(0.0 <= delay <= ceiling for delay in delays)


def test_what_the_gateway_asks_for_is_a_floor_and_never_shrinks():
    policy = RetryPolicy(base_delay=0.5, max_delay=20.0)
    delays = [backoff_delay(policy, 1, floor=30.0, fixed_share=0.5) for _ in range(200)]
    assert set(delays) == {30.0}


@pytest.mark.parametrize("tries", [1024, 1025, 10**6])
def test_a_call_that_was_tried_a_thousand_times_still_has_a_delay(tries):
    """`max_attempts` has no upper bound, 2.0 ** 1024 is an OverflowError."""
    policy = RetryPolicy(max_attempts=10**7)
    assert backoff_delay(policy, tries, floor=None, fixed_share=1.0) == policy.max_delay


# The budget


def test_a_full_budget_pays_for_thirty_five_retries():
    budget = RetryBudget()
    paid = 0
    while budget.take():
        paid += 1
    assert paid == 500 // 14 == 35
    assert not budget.take()


def test_a_success_at_once_gives_one_back_and_a_retried_one_what_its_last_retry_took():
    budget = RetryBudget()
    while budget.take():
        pass
    left = budget.left
    budget.succeeded(retried=False)
    assert budget.left == left + 1
    budget.succeeded(retried=True)
    assert budget.left == left + 15


@settings(deadline=None)
@given(st.lists(st.sampled_from(["take", "clean", "retried"]), max_size=400))
def test_the_budget_is_never_overdrawn_and_never_overflows(events):
    budget = RetryBudget()
    for event in events:
        if event == "take":
            before = budget.left
            assert budget.take() is (before >= budget.COST)
        else:
            budget.succeeded(retried=event == "retried")
        assert 0 <= budget.left <= budget.CAPACITY


def test_in_a_steady_state_one_retry_in_fifteen_calls_is_paid_for():
    """One clean success gives 1 back: 14 of them pay for one retry that fails."""
    budget = RetryBudget()
    while budget.take():
        pass
    budget.left = 0
    for _ in range(14):
        assert not budget.take()
        budget.succeeded(retried=False)
    assert budget.take()
    assert not budget.take()


# The policy


@pytest.mark.parametrize("name", ["base_delay", "max_delay", "max_elapsed"])
@pytest.mark.parametrize("value", [0, 0.0, -1.0, math.inf, -math.inf, math.nan])
def test_a_time_of_the_policy_is_positive_and_finite(name, value):
    with pytest.raises(ValueError, match=name):
        RetryPolicy(**{name: value})


@pytest.mark.parametrize("value", [0, -1])
def test_there_is_at_least_one_attempt(value):
    with pytest.raises(ValueError, match="max_attempts"):
        RetryPolicy(max_attempts=value)


def test_the_policy_has_its_documented_defaults_and_cannot_be_changed():
    policy = RetryPolicy()
    assert (policy.max_attempts, policy.base_delay, policy.max_delay, policy.max_elapsed) == (
        5,
        0.5,
        20.0,
        120.0,
    )
    with pytest.raises(AttributeError):
        policy.max_attempts = 9
    with pytest.raises(TypeError):
        RetryPolicy(3)


# The table as data; its effect on the wire is tested in test_retry_table


def test_only_reading_and_an_open_that_never_sends_are_repeated_when_in_doubt():
    repeated = {
        operation
        for operation in Operation
        if TABLE[operation][AttemptResult.AMBIGUOUS] is Action.REPEAT
    }
    assert repeated == {Operation.READ, Operation.OPEN}


def test_every_outcome_but_done_has_an_action_in_every_row():
    failures = set(AttemptResult) - {AttemptResult.DONE}
    assert all(set(row) == failures for row in TABLE.values())
    assert set(TABLE) == set(Operation)
