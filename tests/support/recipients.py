"""Recipients as the gateway reports them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from gateway_sms_async._delivery.statistics import (
    DeliveryStatistics,
)
from gateway_sms_async.models import RecipientReport

ANNA = "+39-3401234567"


ABSENT = {
    "id": 27,
    "name": "EC_ABSENT_SUBSCRIBER",
    "description": "Absent Subscriber",
    "groupId": 1,
    "permanent": False,
}


UNKNOWN = ABSENT | {"name": "EC_UNKNOWN_SUBSCRIBER", "description": "Unknown", "permanent": True}


def recipient(number: str = ANNA, **parts: Any) -> RecipientReport:
    return msgspec.json.decode(json.dumps({"number": number, **parts}), type=RecipientReport)


def added(*recipients: RecipientReport) -> DeliveryStatistics:
    statistics = DeliveryStatistics()
    for one in recipients:
        statistics.add(one)
    return statistics


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda parts: (
        st.lists(parts, max_size=3) | st.dictionaries(st.text(max_size=8), parts, max_size=3)
    ),
    max_leaves=5,
)
words = st.none() | st.text(max_size=20)

shapes = st.fixed_dictionaries(
    {"number": st.text(max_size=20)},
    optional={
        "state": words | st.integers(-(2**60), 2**60),
        "state_description": words,
        "state_detail": words,
        "report": anything
        | st.fixed_dictionaries(
            {},
            optional={
                "status": anything
                | st.fixed_dictionaries({"groupId": st.integers(0, 6), "name": words}),
                "error": anything
                | st.fixed_dictionaries({"name": words, "permanent": st.booleans() | st.none()}),
                "sentAt": anything,
                "doneAt": anything,
            },
        ),
        "price": anything,
        "real_cost": anything,
        "sms": anything,
        "fields": anything,
        "timestamp_sent": anything | st.just("0001-01-01T00:00:00+23:00"),
        "timestamp_delivery": anything | st.just("9999-12-31T23:59:59-23:00"),
    },
)
