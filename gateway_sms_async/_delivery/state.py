"""How far a text has come to one recipient, out of the gateway's words for it.

Whoever follows deliveries enters, users too. Nothing but values.

Words and numbers: the vendor's "Gateway SMS" page, schemas Recipient_Object and Report.
"""

from __future__ import annotations

from enum import Enum

from ..models import DeliveryReport, RecipientReport

__all__ = ["DeliveryState", "is_permanent", "says_delivered", "state_of"]

_AT_OPERATOR = "DELIVERED_TO_OPERATOR"


_AT_OPERATOR_ID = 2


_INVALID = "INVALID"


class DeliveryState(Enum):
    """How far a text has come to one recipient. It only ever moves forward, to one final state."""

    PENDING = "pending"
    """On its way, or in words that are not known."""
    AT_OPERATOR = "at_operator"
    """Handed to the operator of the recipient; not yet on the phone."""
    DELIVERED = "delivered"
    """On the phone."""
    UNDELIVERED = "undelivered"
    """Could not be delivered."""
    EXPIRED = "expired"
    """Not delivered in the time that it had."""
    REJECTED = "rejected"
    """Not taken by the network."""

    @property
    def is_final(self) -> bool:
        """Whether nothing follows it."""
        return self not in {DeliveryState.PENDING, DeliveryState.AT_OPERATOR}

    def may_become(self, other: DeliveryState) -> bool:
        """Whether `other` is further on: what is repeated or comes late is not."""
        return not self.is_final and other not in {self, DeliveryState.PENDING}


_OF_GROUP = {
    1: DeliveryState.PENDING,
    2: DeliveryState.UNDELIVERED,
    3: DeliveryState.DELIVERED,
    4: DeliveryState.EXPIRED,
    5: DeliveryState.REJECTED,
}


_OF_WORD = {
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
    """Return how far the text has come: by the carrier's report, else by the gateway's words."""
    if (of_report := _by_report(recipient.report)) is not None:
        return of_report
    return _by_words(recipient)


def says_delivered(recipient: RecipientReport) -> bool:
    """Whether the gateway's own words say delivered, whatever the carrier's report says."""
    return _by_words(recipient) is DeliveryState.DELIVERED


def _by_words(recipient: RecipientReport) -> DeliveryState:
    if _AT_OPERATOR in {recipient.state, recipient.state_description}:
        return DeliveryState.AT_OPERATOR
    for word in (recipient.state, recipient.state_description):
        if isinstance(word, str) and word in _OF_WORD:
            return _OF_WORD[word]
    return DeliveryState.PENDING


def is_permanent(recipient: RecipientReport) -> bool:
    """Whether trying this recipient again cannot help, as far as the carrier says.

    A number that never came to a carrier, being invalid to the gateway, is no better the next time.
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
    if status.group_id in _OF_GROUP:
        return _OF_GROUP[status.group_id]
    return _OF_WORD.get(status.name or "") or _OF_WORD.get(status.group_name or "")
