"""The states of one recipient in the gateway's words, and in those of the carrier's report.

The report has the shape of Infobip's. Status groups: 1 pending, 2 undeliverable, 3 delivered,
4 expired, 5 rejected. Error groups: 0 none, 1 handset, 2 user, 3 operator.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .responses import JSON


class CarrierReport(NamedTuple):
    """A recipient's `state` for the gateway, and the carrier's `status` and `error`."""

    state: str
    status: JSON
    error: JSON


_STATUS_GROUPS: Final = {2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}
_ERROR_GROUPS: Final = {0: "OK", 1: "HANDSET_ERRORS", 2: "USER_ERRORS", 3: "OPERATOR_ERRORS"}


def _status(group: int, number: int, name: str, description: str) -> JSON:
    return {
        "id": number,
        "groupId": group,
        "groupName": _STATUS_GROUPS[group],
        "name": name,
        "description": description,
    }


def _error(group: int, number: int, name: str, description: str, *, permanent: bool) -> JSON:
    return {
        "id": number,
        "name": name,
        "description": description,
        "groupId": group,
        "groupName": _ERROR_GROUPS[group],
        "permanent": permanent,
    }


_NO_ERROR: Final = _error(0, 0, "NO_ERROR", "No Error", permanent=False)

AT_HANDSET: Final = CarrierReport(
    "DELIVERED",
    _status(3, 5, "DELIVERED_TO_HANDSET", "Message delivered to handset"),
    _NO_ERROR,
)

AT_OPERATOR: Final = CarrierReport(
    "SENT",
    _status(3, 2, "DELIVERED_TO_OPERATOR", "Message delivered to operator"),
    _NO_ERROR,
)

FAILURES: Final = (
    CarrierReport(
        "UNDELIVERABLE",
        _status(2, 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered"),
        _error(1, 1, "EC_UNKNOWN_SUBSCRIBER", "Unknown Subscriber", permanent=True),
    ),
    CarrierReport(
        "EXPIRED",
        _status(4, 15, "EXPIRED_EXPIRED", "Message expired"),
        _error(1, 27, "EC_ABSENT_SUBSCRIBER", "Absent Subscriber", permanent=False),
    ),
    CarrierReport(
        "REJECTED",
        _status(5, 6, "REJECTED_NETWORK", "Network is forbidden"),
        _error(3, 2049, "EC_IMSI_BLACKLISTED", "IMSI blacklisted", permanent=True),
    ),
    CarrierReport(
        "UNDELIVERABLE",
        _status(2, 4, "UNDELIVERABLE_REJECTED_OPERATOR", "Message rejected by operator"),
        _error(3, 36, "EC_SM_DELIVERY_FAILURE", "Delivery failure", permanent=False),
    ),
    CarrierReport(
        "EXPIRED",
        _status(4, 20, "EXPIRED_DLR_UNKNOWN", "Message expired with unknown report"),
        _NO_ERROR,
    ),
    CarrierReport(
        "REJECTED",
        _status(5, 51, "REJECTED_DESTINATION", "Destination not allowed"),
        _error(2, 2051, "EC_NUMBER_BLACKLISTED", "Number blacklisted", permanent=True),
    ),
)
