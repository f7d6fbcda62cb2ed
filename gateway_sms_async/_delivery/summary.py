"""The delivery of messages as values: one change, one message, several messages.

`polling` creates them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .._recipients.numbers import mask
from ..errors import GatewayError
from ..models import Message, RecipientReport
from .state import DeliveryState

__all__ = ["DeliveryChange", "DeliverySummary", "MessageDelivery", "Unfinished"]

Unfinished = Literal[
    "timed out", "open", "scheduled", "not found", "no recipients", "list incomplete"
]
"""Why a message is not complete; see `MessageDelivery`."""


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """The state of one recipient advanced.

    - `number`: as the gateway writes it.
    - `state`: the new state.
    - `report`: the recipient's entry in the gateway's list.
    """

    number: str
    state: DeliveryState
    report: RecipientReport

    def __repr__(self) -> str:
        return f"DeliveryChange({mask(self.number)!r}, {self.state})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivery:
    """The delivery of one message.

    - `message_id`: the message.
    - `counts`: recipients by state, every state included. The sum is at least the gateway's count
      of valid recipients: recipients that no list has shown yet count as pending.
    - `listed`: how many recipients the lists have shown.
    - `complete`: all recipients are final.
    - `unfinished`: why polling ended before that; None if it is complete or still polled. One of
      "timed out"; "open" (it sends nothing until it is closed); "scheduled" (for after the
      timeout); "not found"; "no recipients"; "list incomplete" (the gateway does not list all
      recipients, so their states cannot be known).
    - `message`: the gateway's last response about it, None if there was none.
    - `error`: why the last poll failed, None if it succeeded.
    """

    message_id: str
    counts: Mapping[DeliveryState, int]
    listed: int = 0
    complete: bool = False
    unfinished: Unfinished | None = None
    message: Message | None = None
    error: GatewayError | None = None

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON; states by their values."""
        return {
            "message_id": self.message_id,
            "counts": {state.value: count for state, count in self.counts.items()},
            "listed": self.listed,
            "complete": self.complete,
            "unfinished": self.unfinished,
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverySummary:
    """The delivery of several messages.

    - `counts`: recipients of all messages by state.
    - `messages`: each message.
    - `complete`: all recipients of all messages are final.
    - `requests`: how many requests it took so far.
    """

    counts: Mapping[DeliveryState, int]
    messages: Sequence[MessageDelivery]
    complete: bool
    requests: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON; states by their values."""
        return {
            "counts": {state.value: count for state, count in self.counts.items()},
            "messages": [one.to_dict() for one in self.messages],
            "complete": self.complete,
            "requests": self.requests,
        }
