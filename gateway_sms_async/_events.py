"""What a client tells whoever operates it: an event for each thing that happened, and how it stands.

Users enter by `GatewayClient(on_event=...)` and `gateway.stats`. No token, no number, no text and no
query of an address is in any of them. Imports nothing of ours.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Literal, assert_never

from msgspec import Struct
from msgspec.structs import asdict

__all__ = [
    "AttemptEvent",
    "BatchEvent",
    "CloseEvent",
    "Emit",
    "Event",
    "HoldEvent",
    "LogEvents",
    "OperationName",
    "RetryEvent",
    "Stats",
    "check_listener",
    "emitter",
    "parse_path",
    "safe_id",
]

_logger = logging.getLogger("gateway_sms_async")


OperationName = Literal["read", "send", "open", "append", "close", "update", "delete"]
"""The requests by what they do: `open`, `append` and `close` are those of a transaction."""


AttemptOutcome = Literal["done", "rejected", "ambiguous", "not_sent"]


BatchOutcome = Literal["acknowledged", "doubtful", "unsent"]


CloseResult = Literal["closed", "abandoned", "left_open", "unknown"]


class AttemptEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One attempt of a call has ended. All times in seconds.

    - `operation`, `method`, `url_template` (such as `/messages/{id}`), `base_url`: what was asked,
      and where. `message_id`: which message it is about, None where that is not known.
    - `outcome`: "done"; "rejected", a complete no; "not_sent", no byte has left; "ambiguous",
      everything else, such as an answer that was lost. Only "done" has changed anything, and
      "ambiguous" may have.
    - `status`, `code`: the HTTP status and the gateway's own number of the error, None without.
    - `error`: the name of the error's class, None when done. A call that was cancelled says
      "CancelledError".
    - `tries`: which attempt of its call this was, from 1.
    - `waited`: for a token, in line, and for the rate or a hold.
    - `duration`: for the connection, the request and its whole answer; None when it did not come to
      that, because the call ended in line.
    - `request_bytes`, `response_bytes`: of the bodies, the second once unpacked.
    """

    operation: OperationName
    method: str
    base_url: str
    url_template: str
    message_id: str | None
    outcome: AttemptOutcome
    status: int | None
    code: int | None
    error: str | None
    tries: int
    waited: float
    duration: float | None
    request_bytes: int
    response_bytes: int


class HoldEvent(Struct, frozen=True, kw_only=True, gc=False):
    """After a 429 nothing of this client leaves for `seconds`, from now on.

    `retry_after` is what the gateway asked for, None when it did not say; `operation` what was
    turned away. Answers of requests that were under way together tell of a hold only where they
    make it longer.
    """

    operation: OperationName
    seconds: float
    retry_after: float | None


class RetryEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A call is going to be tried again after `wait` seconds.

    After a 429 the wait is that of the hold. `tries` is how many attempts it has had, `error`
    the name of the class of what the last one ended with; `budget_left` is what is left of
    the client's budget (see `Stats`).
    """

    operation: OperationName
    message_id: str | None
    wait: float
    tries: int
    error: str
    budget_left: int


class BatchEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A batch of a message that is filled in several requests has landed.

    - `number`: of the message within its campaign, from 0; `batch`: of the batch within it.
    - `recipients`: how many it holds.
    - `outcome`: "acknowledged"; "doubtful", whether it is on the message will be seen at its close;
      "unsent", it is proven not to be on it, and may go out later in another batch.

    The recipients that come with the close are told of by the CloseEvent alone.
    """

    number: int
    message_id: str | None
    batch: int
    recipients: int
    outcome: BatchOutcome


class CloseEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A message has come to its end: a single one, or one of a transaction or campaign.

    - `result`: "closed", it goes out; "abandoned", deleted; "left_open", it never goes out by
      itself; "unknown", whether it goes out is not known.
    - `accepted`, `invalid`, `doubled`, `unknown`, `unsent`: recipients, as a receipt counts them.
      The unsent ones of a campaign may be given another message.
    - `price`: what the gateway says that it costs, in euro, None when it does not say.
    - `number`: of the message within its campaign, None for a single one.
    """

    result: CloseResult
    message_id: str | None
    number: int | None = None
    accepted: int = 0
    invalid: int = 0
    doubled: int = 0
    unknown: int = 0
    unsent: int = 0
    price: Decimal | None = None


Event = AttemptEvent | HoldEvent | RetryEvent | BatchEvent | CloseEvent


Emit = Callable[[Event], None]


class Stats(Struct, frozen=True, kw_only=True, gc=False):
    """How a client stands at this moment; all of its views share these figures.

    - `open`: it was opened and is not closed.
    - `in_flight`: calls whose turn has come, out of `concurrency` at once; `waiting_interactive` and
      `waiting_bulk`: calls that wait in line.
    - `held_for`: seconds that nothing leaves because the gateway asked to wait, else 0.
    - `budget_left` of `budget_capacity`: what retries may still take. One takes 14; a call that
      succeeds gives back 1, a retried one its 14. At less than 14 calls fail without a retry.
    - `requests`, `retries`: requests that have left, and how many of them were repeats.
    - `campaigns`: campaigns under way.
    """

    open: bool = False
    concurrency: int = 0
    in_flight: int = 0
    waiting_interactive: int = 0
    waiting_bulk: int = 0
    held_for: float = 0.0
    budget_left: int = 0
    budget_capacity: int = 0
    requests: int = 0
    retries: int = 0
    campaigns: int = 0


def check_listener(on_event: Callable[[Event], object]) -> Callable[[Event], object]:
    """Refuse what cannot be called with an event, or would only return a coroutine."""
    if not callable(on_event):
        raise TypeError("on_event must be a function that takes an event")
    if inspect.iscoroutinefunction(on_event) or inspect.iscoroutinefunction(
        getattr(on_event, "__call__", None)  # noqa: B004 - the method itself is looked at
    ):
        raise TypeError("on_event is called, not awaited: it must not be async")
    return on_event


def emitter(on_event: Callable[[Event], object]) -> Emit:
    """Return what calls `on_event`, whose mistakes change nothing."""

    def emit(event: Event) -> None:
        try:
            on_event(event)
        except Exception:
            # A broken listener must not make a request that was sent look as if it was not.
            _logger.exception("on_event raised")

    return emit


# The gateway's ids are 24 digits and letters. Shorter ones could be a phone number or a word.
_ID = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)


def safe_id(message_id: str | None) -> str | None:
    """Return an id as an event may show it: None when it could be anything else."""
    return message_id if message_id is not None and _ID.fullmatch(message_id) else None


def parse_path(path: str) -> tuple[str, str | None]:
    """Return the template of a request's path, and the id of the message that stands in it."""
    match path.split("/"):
        case ["", "messages", ""]:
            return path, None
        case ["", "messages", message_id]:
            return "/messages/{id}", safe_id(message_id)
        case ["", "messages", message_id, "recipients", number]:
            template = "/messages/{id}/recipients/" + ("{number}" if number else "")
            return template, safe_id(message_id)
        case _:
            # Whatever it will be, it must not be shown, nor stop a request.
            return "/", None


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
