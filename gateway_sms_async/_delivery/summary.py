"""What is told about deliveries: one change, how far one message is, and how far several are.

The lowest room of those about deliveries: nothing but values. Users meet them, `following` makes
them.
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
"""Why a message is not complete, see `MessageDelivery`."""


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """One recipient is further on: the number as the gateway writes it, its state, all of it."""

    number: str
    state: DeliveryState
    report: RecipientReport

    def __repr__(self) -> str:
        return f"DeliveryChange({mask(self.number)!r}, {self.state})"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDelivery:
    """How far one message is.

    - `counts`: recipients by state, every state included; the sum is at least what the gateway
      counts as valid. Whom no list has told of is pending.
    - `listed`: how many recipients lists have told of.
    - `complete`: everybody is final. `unfinished` says why not, None where complete or while it
      is still followed: "timed out"; "open" (it sends nothing until it is closed); "scheduled"
      (for later than the timeout); "not found"; "no recipients"; "list incomplete" (the gateway
      does not list everybody, so not everybody's state can be known).
    - `message`: what the gateway last said about it, None when it never did.
    - `error`: why the last look failed, None when it did not.
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
    """How far several messages are: by state over all of them, and one by one.

    `complete` means that everybody on all of them is final. `requests` is what it took so far.
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
