"""Events of a client, its current figures (`Stats`), and a listener that logs events (`LogEvents`).

Events and figures contain no token, phone number or text, and no query of a URL.
"""

from __future__ import annotations

import asyncio
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
    "guarded",
    "parse_path",
    "safe_id",
]

_logger = logging.getLogger("gateway_sms_async")
OperationName = Literal["read", "send", "open", "append", "close", "update", "delete"]
"""What a request does; `open`, `append` and `close` are the requests of a transaction."""

AttemptOutcome = Literal["done", "rejected", "ambiguous", "not_sent"]
BatchOutcome = Literal["acknowledged", "doubtful", "unsent"]
CloseResult = Literal["closed", "abandoned", "left_open", "unknown"]


class AttemptEvent(Struct, frozen=True, kw_only=True, gc=False):
    """One attempt of a call has ended.

    - `operation`: what the request does.
    - `method`: the HTTP method.
    - `base_url`: the address of the gateway.
    - `url_template`: the path, such as `/messages/{id}`.
    - `message_id`: the message that the request is about, None if not known.
    - `outcome`: "done"; "rejected", the gateway refused it and changed nothing; "not_sent", no byte
      was sent; "ambiguous", anything else, such as a lost response: the gateway may have applied
      the request.
    - `status`: the HTTP status, None without a response.
    - `code`: the gateway's own error code, None without one.
    - `error`: the name of the error's class, None if done; "CancelledError" if the call was
      cancelled.
    - `tries`: the number of the attempt within its call, from 1.
    - `waited`: seconds spent waiting for a token, in the queue, and for the rate or a hold.
    - `duration`: seconds from connecting to the end of the response; None if the call failed while
      still queued.
    - `request_bytes`: size of the request's body.
    - `response_bytes`: size of the response's body, decompressed.
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
    """A 429 holds back all requests of this client.

    - `operation`: the operation that was refused.
    - `seconds`: how long no request is sent, from now.
    - `retry_after`: the seconds that the gateway asked for, None if it named none.

    Of several requests in flight that get a 429, each is reported only if it makes the hold longer.
    """

    operation: OperationName
    seconds: float
    retry_after: float | None


class RetryEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A call is about to be retried.

    - `operation`: what the call does.
    - `message_id`: the message that the call is about, None if not known.
    - `wait`: seconds until the next attempt; after a 429, those of the hold.
    - `tries`: how many attempts the call has had.
    - `error`: the name of the class of the last attempt's error.
    - `budget_left`: what remains of the client's retry budget (see `Stats`).
    """

    operation: OperationName
    message_id: str | None
    wait: float
    tries: int
    error: str
    budget_left: int


class BatchEvent(Struct, frozen=True, kw_only=True, gc=False):
    """The request of one batch of a message has ended.

    - `number`: the number of the message within its campaign, from 0.
    - `message_id`: the message, None if not known.
    - `batch`: the number of the batch within the message, from 0.
    - `recipients`: how many recipients the batch has.
    - `outcome`: "acknowledged"; "doubtful", the close will show whether it is on the message;
      "unsent", it is proven not to be on the message, and may be sent later in another batch.

    Recipients that are sent with the close have no BatchEvent; the CloseEvent counts them.
    """

    number: int
    message_id: str | None
    batch: int
    recipients: int
    outcome: BatchOutcome


class CloseEvent(Struct, frozen=True, kw_only=True, gc=False):
    """A message has ended: a single send, or a message of a transaction or campaign.

    - `result`: "closed", it is sent; "abandoned", it was deleted; "left_open", it is never sent by
      itself; "unknown", it is not known whether it is sent.
    - `message_id`: the message, None if not known.
    - `number`: the number of the message within its campaign, None for a single send.
    - `accepted`, `invalid`, `doubled`, `unknown`, `unsent`: numbers of recipients, as a receipt
      counts them. A campaign may send its unsent recipients with another message.
    - `price`: the gateway's price in euro, None if it names none.
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
    """The current figures of a client, shared by all its views.

    - `open`: whether the client is open.
    - `concurrency`: the most calls in flight at once.
    - `in_flight`: calls in flight.
    - `waiting_interactive`: queued calls, except those of `waiting_bulk`.
    - `waiting_bulk`: queued calls of campaigns, transactions and delivery polling.
    - `rate`: whose rate limits the requests: `own` of this client, `shared` of a `SharedRate`, or,
      while its store cannot be reached, `alone`, or `waiting` if nothing is sent until it is back.
    - `held_for`: seconds until requests are sent again after a 429, 0 if there is no hold.
    - `budget_left`: what remains of the retry budget. A retry costs 14; a call that succeeds
      returns 1, or the 14 of its retry. Below 14, calls fail without a retry.
    - `budget_capacity`: the size of the retry budget.
    - `requests`: requests sent.
    - `retries`: how many of them were retries.
    - `campaigns`: running campaigns.
    """

    open: bool = False
    concurrency: int = 0
    in_flight: int = 0
    waiting_interactive: int = 0
    waiting_bulk: int = 0
    held_for: float = 0.0
    rate: Literal["own", "shared", "alone", "waiting"] = "own"
    budget_left: int = 0
    budget_capacity: int = 0
    requests: int = 0
    retries: int = 0
    campaigns: int = 0


def check_listener(on_event: Callable[[Event], object]) -> Callable[[Event], object]:
    """Return `on_event`; raise TypeError if it is not callable, or async."""
    if not callable(on_event):
        raise TypeError("on_event must be a function that takes an event")
    if inspect.iscoroutinefunction(on_event) or inspect.iscoroutinefunction(
        getattr(on_event, "__call__", None)  # noqa: B004 - the method itself is inspected
    ):
        raise TypeError("on_event is called, not awaited: it must not be async")
    return on_event


def emitter(on_event: Callable[[Event], object]) -> Emit:
    """Return a function that calls `on_event` and logs its exceptions.

    Raises what is no Exception, such as the failure of a test.
    """

    def emit(event: Event) -> None:
        try:
            on_event(event)
        except (Exception, asyncio.CancelledError):
            # A broken listener must not make a sent request look unsent. It is called, not awaited:
            # a CancelledError in it cancels no task of the client.
            _logger.exception("on_event raised")

    return emit


def guarded(emit: Emit, failed: Callable[[BaseException], None]) -> Emit:
    """Return a function that emits, and passes what is raised to `failed`.

    For campaigns and transactions: they complete the requests in flight before they raise it.
    """

    def emit_guarded(event: Event) -> None:
        try:
            emit(event)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001
            failed(error)

    return emit_guarded


# The gateway's ids are 24 digits and letters. Shorter ones could be a phone number or a word.
_ID = re.compile(r"[A-Za-z0-9_-]{20,64}", re.ASCII)


def safe_id(message_id: str | None) -> str | None:
    """Return an id that an event may show, None if it could be anything else."""
    return message_id if message_id is not None and _ID.fullmatch(message_id) else None


def parse_path(path: str) -> tuple[str, str | None]:
    """Return the template of a request's path, and the message id in it or None."""
    match path.split("/"):
        case ["", "messages", ""]:
            return path, None
        case ["", "messages", message_id]:
            return "/messages/{id}", safe_id(message_id)
        case ["", "messages", message_id, "recipients", number]:
            template = "/messages/{id}/recipients/" + ("{number}" if number else "")
            return template, safe_id(message_id)
        case _:
            # An unknown path must not be shown, and must not stop a request.
            return "/", None


class LogEvents:
    """Logs each event as one record, to `logger` or else to "gateway_sms_async.events".

    ```python
    from gateway_sms_async import LogEvents
    from gateway_sms_async.testing import Simulator

    async with Simulator() as simulator:
        async with GatewayClient(
            simulator.token, base_url=simulator.url, on_event=LogEvents()
        ) as gateway:
            await gateway.messages.list()
    ```

    - DEBUG: attempts that are done, batches that are acknowledged.
    - INFO: messages that were closed or deleted, attempts that were rejected or cancelled,
      unsent batches, retries.
    - WARNING: holds, attempts that are ambiguous or were not sent, doubtful batches, messages left
      open.
    - ERROR: a message whose sending is not known, or that has unknown or doubled recipients.

    The attribute `gateway_sms` of the record has the event's fields, for structured formatters: a
    dict of plain values, with the kind of event in "event".
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("gateway_sms_async.events") if logger is None else logger

    def __call__(self, event: Event) -> None:
        """Log one event."""
        level = _level(event)
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", _describe(event), extra={"gateway_sms": _fields(event)})


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


def _describe(event: Event) -> str:
    match event:
        case AttemptEvent():
            text = f"{event.operation}: {event.outcome}"
            if event.status is not None:
                text += f", HTTP {event.status}"
            if event.error is not None:
                text += f", {event.error}"
            if event.duration is not None:
                text += f", {event.duration:.3f} s"
            return f"{text} (attempt {event.tries})"
        case HoldEvent():
            return f"no requests for {event.seconds:.1f} s: too many requests"
        case RetryEvent():
            return f"{event.operation}: retry in {event.wait:.1f} s, after {event.error}"
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
            parts = [
                f"{recipients} {outcome}" for outcome, recipients in counts.items() if recipients
            ]
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
