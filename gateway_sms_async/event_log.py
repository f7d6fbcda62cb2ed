"""Events as log records, for `GatewayClient(on_event=LogEvents())`.

Users enter. Nothing has to be masked: the events hold no token, number or text to begin with.
"""

from __future__ import annotations

import logging
from typing import assert_never

from msgspec.structs import asdict

from .events import AttemptEvent, BatchEvent, CloseEvent, Event, HoldEvent, RetryEvent

__all__ = ["LogEvents"]


class LogEvents:
    """Writes each event to `logger` ("gateway_sms_async.events" if None) as one record.

    DEBUG: what went well on the way. INFO: messages that closed or were deleted, attempts that
    were rejected or cut off, retries. WARNING: holds, attempts whose outcome is not known or
    that did not get out, doubtful batches, messages left open. ERROR: a message of which it is not
    known whether it goes out, or to whom it goes twice.

    The fields of the event are in the record's attribute `gateway_sms`, a dict of plain values for
    a structured formatter, with the kind of event in "event".
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("gateway_sms_async.events") if logger is None else logger

    def __call__(self, event: Event) -> None:
        """Write one event."""
        level = _level(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", _said(event), extra={"gateway_sms": _fields(event)})


def _level(event: Event) -> int:
    match event:
        case AttemptEvent(outcome="done") | BatchEvent(outcome="acknowledged"):
            return logging.DEBUG
        case (
            AttemptEvent(outcome="rejected")
            | AttemptEvent(error="CancelledError")
            | BatchEvent(outcome="unsent")
            | RetryEvent()
            | CloseEvent(result="closed" | "abandoned", unknown=0, doubled=0)
        ):
            return logging.INFO
        case (
            AttemptEvent()
            | BatchEvent()
            | HoldEvent()
            | CloseEvent(result="left_open", unknown=0, doubled=0)
        ):
            return logging.WARNING
        case CloseEvent():
            return logging.ERROR
        case _:
            assert_never(event)


def _said(event: Event) -> str:
    match event:
        case AttemptEvent():
            told = f"{event.operation}: {event.outcome}"
            if event.status is not None:
                told += f", HTTP {event.status}"
            if event.error is not None:
                told += f", {event.error}"
            if event.duration is not None:
                told += f", {event.duration:.3f} s"
            return f"{told} (attempt {event.tries})"
        case HoldEvent():
            return f"nothing leaves for {event.seconds:.1f} s: too many requests"
        case RetryEvent():
            return f"{event.operation}: again in {event.wait:.1f} s, after {event.error}"
        case BatchEvent():
            return (
                f"batch {event.batch} of message {event.number}: {event.outcome}, "
                f"{event.recipients} recipients"
            )
        case CloseEvent():
            counts = {
                "accepted": event.accepted,
                "invalid": event.invalid,
                "doubled": event.doubled,
                "unknown": event.unknown,
                "unsent": event.unsent,
            }
            parts = [f"{people} {fate}" for fate, people in counts.items() if people]
            name = "a message" if event.message_id is None else f"message {event.message_id}"
            return f"{name}: {event.result}" + "".join(f", {part}" for part in parts)
        case _:
            assert_never(event)


def _fields(event: Event) -> dict[str, object]:
    kind = type(event).__name__.removesuffix("Event").lower()
    fields: dict[str, object] = {"event": kind, **asdict(event)}
    if isinstance(event, CloseEvent) and event.price is not None:
        fields["price"] = str(event.price)
    return fields
