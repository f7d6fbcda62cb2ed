"""The delivery state of one recipient, from the gateway's words for it.

The words and numbers are those of the vendor's "Gateway SMS" page, schemas Recipient_Object and
Report.
"""

from __future__ import annotations

from enum import Enum

from ..models import DeliveryReport, RecipientReport

__all__ = ["DeliveryState", "is_permanent", "says_delivered", "state_of"]

_AT_OPERATOR = "DELIVERED_TO_OPERATOR"
_AT_OPERATOR_ID = 2
_INVALID = "INVALID"


class DeliveryState(Enum):
    """The delivery state of one recipient. It only advances, to one final state."""

    PENDING = "pending"
    """In transit, or the gateway's words are unknown."""
    AT_OPERATOR = "at_operator"
    """Accepted by the recipient's operator; not yet on the phone."""
    DELIVERED = "delivered"
    """Delivered to the phone."""
    UNDELIVERED = "undelivered"
    """Could not be delivered."""
    EXPIRED = "expired"
    """Not delivered within its validity period."""
    REJECTED = "rejected"
    """Rejected by the network."""

    @property
    def is_final(self) -> bool:
        """Whether no other state can follow."""
        return self not in {DeliveryState.PENDING, DeliveryState.AT_OPERATOR}

    def may_become(self, other: DeliveryState) -> bool:
        """Whether `other` may follow this state; False for a repeated or an earlier one."""
        return not self.is_final and other not in {self, DeliveryState.PENDING}


_BY_GROUP = {
    1: DeliveryState.PENDING,
    2: DeliveryState.UNDELIVERED,
    3: DeliveryState.DELIVERED,
    4: DeliveryState.EXPIRED,
    5: DeliveryState.REJECTED,
}

_BY_WORD = {
    "DELIVERED": DeliveryState.DELIVERED,
    "DELIVERED_TO_HANDSET": DeliveryState.DELIVERED,
    _AT_OPERATOR: DeliveryState.AT_OPERATOR,
    "UNDELIVERABLE": DeliveryState.UNDELIVERED,
    "UNDELIVERED": DeliveryState.UNDELIVERED,
    "EXPIRED": DeliveryState.EXPIRED,
    "REJECTED": DeliveryState.REJECTED,
    _INVALID: DeliveryState.REJECTED,
}


def state_of(recipient: RecipientReport) -> DeliveryState:
    """Return the state of a recipient: from the carrier's report, else the gateway's words."""
    if (reported := _by_report(recipient.report)) is not None:
        return reported
    return _by_words(recipient)


def says_delivered(recipient: RecipientReport) -> bool:
    """Whether the gateway's own words say delivered, regardless of the carrier's report."""
    return _by_words(recipient) is DeliveryState.DELIVERED


def _by_words(recipient: RecipientReport) -> DeliveryState:
    if _AT_OPERATOR in {recipient.state, recipient.state_description}:
        return DeliveryState.AT_OPERATOR
    for word in (recipient.state, recipient.state_description):
        if isinstance(word, str) and word in _BY_WORD:
            return _BY_WORD[word]
    return DeliveryState.PENDING


def is_permanent(recipient: RecipientReport) -> bool:
    """Whether the carrier reports that another attempt cannot succeed.

    True also for a number that the gateway calls invalid: it never reaches a carrier.
    """
    report = recipient.report
    if report is None:
        return _INVALID in {recipient.state, recipient.state_description}
    return report.error is not None and report.error.permanent is True


def _by_report(report: DeliveryReport | None) -> DeliveryState | None:
    if report is None or report.status is None:
        return None
    status = report.status
    if status.name == _AT_OPERATOR or (not status.name and status.id == _AT_OPERATOR_ID):
        return DeliveryState.AT_OPERATOR
    if status.group_id in _BY_GROUP:
        return _BY_GROUP[status.group_id]
    return _BY_WORD.get(status.name or "") or _BY_WORD.get(status.group_name or "")
