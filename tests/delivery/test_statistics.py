"""Delivery figures, compared with a naive computation, for recipients of any shape."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._delivery.state import DeliveryState, is_permanent, state_of
from gateway_sms_async._delivery.statistics import (
    UNKNOWN_COUNTRY,
    DeliveryStatistics,
    failure_of,
    seconds_to_deliver,
    times_of,
)
from gateway_sms_async.models import Message

from ..support.recipients import ABSENT, UNKNOWN, added, recipient, shapes


def message(valid: int, invalid: int) -> Message:
    counts = {"valid": {"count": valid}, "invalid": {"total": invalid, "list": []}}
    document = {"id": "a", "transaction": False, "recipients": counts}
    return msgspec.json.decode(json.dumps(document), type=Message)


# Compared with a naive computation

GROUPS = {1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    group = draw(st.sampled_from(list(GROUPS)))
    sent = draw(st.integers(0, 10**6))
    document: dict[str, Any] = {
        "number": draw(st.sampled_from(["+39-3401234567", "+393401234568", "+44-7911123456", "?"])),
        "state": draw(st.sampled_from(["SENT", "DELIVERED", "QUEUED", 3])),
        "sms": draw(st.integers(1, 4)),
        "price": draw(st.sampled_from([None, 0.03, "0.06"])),
        "real_cost": draw(st.sampled_from([None, 0.05, "0.07"])),
        "timestamp_sent": str(1_700_000_000_000 + sent),
        "timestamp_delivery": str(1_700_000_000_000 + sent + draw(st.integers(-5_000, 90_000_000))),
    }
    if draw(st.booleans()):
        document["report"] = {
            "status": {"groupId": group, "groupName": GROUPS[group], "name": GROUPS[group]},
            "error": draw(st.sampled_from([ABSENT, UNKNOWN, None])),
        }
    return document


def naive_nearest_rank(values: list[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed."""
    for one in sorted(values):
        if sum(other <= one for other in values) >= share * len(values):
            return one
    return None


def naive_sum(documents: list[dict[str, Any]], name: str) -> str | None:
    amounts = [Decimal(str(one[name])) for one in documents if one[name] is not None]
    return str(sum(amounts, Decimal())) if amounts else None


def code_of(number: str) -> str:
    return number[:3] if number.startswith("+") else UNKNOWN_COUNTRY


def naive_sums(documents: list[dict[str, Any]]) -> dict[str, Any]:
    recipients = [(one, recipient(**one)) for one in documents]
    states = Counter(state_of(read) for _, read in recipients)
    waits = [
        (int(one["timestamp_delivery"]) - int(one["timestamp_sent"])) / 1000
        for one, read in recipients
        if state_of(read) is DeliveryState.DELIVERED
    ]
    waits = [wait for wait in waits if wait >= 0]
    return {
        "recipients": len(documents),
        **{state.name.lower(): states[state] for state in DeliveryState},
        "parts": sum(one["sms"] for one in documents),
        "price": naive_sum(documents, "price"),
        "real_cost": naive_sum(documents, "real_cost"),
        "charged": sum(one["real_cost"] is not None for one in documents),
        "seconds_to_deliver": {
            "p50": naive_nearest_rank(waits, 0.5),
            "p90": naive_nearest_rank(waits, 0.9),
        },
    }


@given(st.lists(documents(), max_size=30))
def test_the_sums_equal_a_naive_computation(documents: list[dict[str, Any]]) -> None:
    shown = added(*(recipient(**one) for one in documents)).to_dict()
    expected_sums = naive_sums(documents)
    assert {name: shown[name] for name in expected_sums} == expected_sums
    codes = {code_of(one["number"]) for one in documents}
    assert shown["countries"] == {
        code: naive_sums([one for one in documents if code_of(one["number"]) == code])
        for code in codes
    }
    failures = [
        read
        for one in documents
        if state_of(read := recipient(**one)).is_final
        and state_of(read) is not DeliveryState.DELIVERED
    ]
    assert sum(one["recipients"] for one in shown["failures"]) == len(failures)
    assert shown["permanent"] == sum(map(is_permanent, failures))
    assert shown["permanent"] + shown["can_be_tried_again"] == len(failures)
    json.dumps(shown, allow_nan=False)


@given(st.lists(shapes, max_size=5))
def test_no_shape_is_an_error(documents: list[dict[str, Any]]) -> None:
    statistics = added(*(recipient(**one) for one in documents))
    assert statistics.total.recipients == len(documents)
    json.dumps(statistics.to_dict(), allow_nan=False)


# Single recipients


def test_no_recipients_is_no_error() -> None:
    shown = DeliveryStatistics().to_dict()
    assert shown["recipients"] == 0
    assert shown["price"] is shown["real_cost"] is shown["seconds_to_deliver"]["p50"] is None
    assert shown["countries"] == {}


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"report": {"status": {"groupId": 2}, "error": ABSENT}}, "Absent Subscriber"),
        (
            {"report": {"status": {"groupId": 2}, "error": {"name": "EC_X", "permanent": True}}},
            "EC_X",
        ),
        # If the network refused, there is no error: the status has the reason.
        (
            {
                "report": {
                    "status": {"groupId": 5, "name": "REJECTED_NETWORK"},
                    "error": {"id": 0, "name": "NO_ERROR", "description": "No Error"},
                }
            },
            "REJECTED_NETWORK",
        ),
        ({"state": "EXPIRED", "state_detail": "Too late"}, "Too late"),
        ({"state": "EXPIRED"}, "EXPIRED"),
        ({"report": {"status": {"groupId": 4}}}, "expired"),
    ],
)
def test_the_reason_is_the_most_telling_word(parts: dict[str, Any], reason: str) -> None:
    failure = failure_of(recipient(**parts))
    assert failure is not None
    assert failure.reason == reason


@pytest.mark.parametrize("state", ["DELIVERED", "QUEUED", "DELIVERED_TO_OPERATOR"])
def test_a_delivered_or_pending_recipient_has_no_failure(state: str) -> None:
    assert failure_of(recipient(state=state)) is None


@pytest.mark.parametrize(
    "description",
    [
        "No way to +39-3401234567",
        "No way to 393401234567",
        "340 123.45-67 is gone",
        "(340) 1234567",
    ],
)
def test_reasons_hold_nobodys_number(description: str) -> None:
    failure = failure_of(recipient(state="EXPIRED", state_detail=description))
    assert failure is not None
    assert "…" in failure.reason
    assert not any(part in failure.reason for part in ("34012", "1234", "12345", "4567", "340"))


def test_reasons_are_one_short_line() -> None:
    failure = failure_of(recipient(state="EXPIRED", state_detail="no\x1b[2J\nway " + "x" * 500))
    assert failure is not None
    assert failure.reason.startswith("no [2J way xxx")
    assert len(failure.reason) == 80


def test_the_time_to_deliver_is_by_one_clock_where_it_can_be() -> None:
    ours = {"timestamp_sent": "1700000000000", "timestamp_delivery": "1700000002500"}
    report = {
        "status": {"groupId": 3},
        "sentAt": "2023-11-14T23:13:20.000+0100",
        "doneAt": "2023-11-14T23:13:29.000+0100",
    }
    assert seconds_to_deliver(recipient(**ours, report=report)) == 2.5
    assert seconds_to_deliver(recipient(report=report)) == 9.0
    mixed = recipient(timestamp_sent="1700000000000", report=report | {"sentAt": None})
    assert seconds_to_deliver(mixed) == 9.0
    assert seconds_to_deliver(recipient(state="SENT", **ours)) is None
    backwards = {"timestamp_sent": "1700000002500", "timestamp_delivery": "1700000000000"}
    assert seconds_to_deliver(recipient(state="DELIVERED", **backwards)) is None


def test_an_undelivered_recipient_has_no_delivery_time() -> None:
    # `doneAt` is set also if the carrier gives up.
    done = {"sentAt": "2023-11-14T23:13:20Z", "doneAt": "2023-11-14T23:14:20Z"}
    sent, delivered = times_of(recipient(report={"status": {"groupId": 2}, **done}))
    assert sent is not None
    assert delivered is None


def test_counts_of_messages_show_unlisted_recipients() -> None:
    statistics = DeliveryStatistics()
    statistics.add_message(message(10, 2), 10)
    assert (statistics.unlisted, statistics.invalid) == (0, 2)
    statistics.add_message(message(10, 2), 12)  # a list that includes the invalid ones
    assert (statistics.unlisted, statistics.invalid) == (0, 2)
    statistics.add_message(message(10, 2), 7)
    assert (statistics.unlisted, statistics.invalid) == (3, 4)


def test_percentiles_are_seconds_that_were_taken() -> None:
    sums = added(
        *(
            recipient(
                state="DELIVERED",
                timestamp_sent="1700000000000",
                timestamp_delivery=str(1_700_000_000_000 + 1000 * seconds),
            )
            for seconds in range(1, 11)
        )
    ).total
    assert sums.seconds(0.5, 0.9, 1.0, 0.0) == [5.0, 9.0, 10.0, 1.0]
