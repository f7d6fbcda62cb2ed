"""The events of one message that is filled in several requests: a batch landed, it came to its end.

The transaction builder enters, where somebody listens.
"""

from __future__ import annotations

from .events import BatchEvent, BatchOutcome, CloseEvent, CloseResult, shown_id
from .protocol import Given, MessageOnWire, Standing, State
from .settle import Fate

__all__ = ["batch_event", "close_event"]

_OUTCOMES: dict[Standing, BatchOutcome] = {
    Standing.WAITING: "unsent",
    Standing.FLYING: "doubtful",
    Standing.DOUBTFUL: "doubtful",
    Standing.ACKNOWLEDGED: "acknowledged",
}

_RESULTS: dict[State, CloseResult] = {
    "closed": "closed",
    "abandoned": "abandoned",
    "left_open": "left_open",
}


def batch_event(message: MessageOnWire, given: Given) -> BatchEvent:
    """Return what to tell of a batch that has landed."""
    return BatchEvent(
        number=message.number,
        message_id=shown_id(message.message_id),
        batch=given.number,
        recipients=len(given.batch),
        outcome=_OUTCOMES[given.standing],
    )


def close_event(message: MessageOnWire) -> CloseEvent:
    """Return what to tell of a message that goes no further."""
    people = dict.fromkeys(Fate, 0)
    for _, fates in message.fates_on_it():
        for fate in Fate:
            people[fate] += fates.count(fate)
    return CloseEvent(
        result=_RESULTS.get(message.state, "unknown"),
        message_id=shown_id(message.message_id),
        number=message.number,
        accepted=people[Fate.ACCEPTED],
        invalid=people[Fate.INVALID],
        doubled=people[Fate.DOUBLED],
        unknown=people[Fate.UNKNOWN],
        unsent=people[Fate.UNSENT],
        price=message.price,
    )
