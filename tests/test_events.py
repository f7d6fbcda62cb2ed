"""Events: one for everything that happened, without secrets."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import (
    AttemptEvent,
    BatchEvent,
    BulkSendError,
    CloseEvent,
    Event,
    GatewayClient,
    GatewayError,
    GatewayTimeoutError,
    HoldEvent,
    LogEvents,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
    RetryEvent,
    RetryPolicy,
)
from gateway_sms_async._events import parse_path, safe_id
from gateway_sms_async._http.endpoint import WireStatus
from gateway_sms_async._messages.api import MessagesAPI
from gateway_sms_async.testing import Dialect, Fault, Simulator

A, B = "+39-3401234567", "+39-3401234568"
NUMBERS = [f"+39-3402{i:06}" for i in range(100)]
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
SENDING: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


@asynccontextmanager
async def listening(
    simulator: Simulator, **settings: Any
) -> AsyncIterator[tuple[GatewayClient, list[Event]]]:
    events: list[Event] = []
    settings = {"rate": None, "timeout": 5, "retry": QUICK, "on_event": events.append} | settings
    async with GatewayClient(simulator.token, base_url=simulator.url, **settings) as client:
        yield client, events


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


# Attempts


async def test_a_send_is_one_attempt_and_one_end(simulator: Simulator) -> None:
    async with listening(simulator) as (client, events):
        message = await client.messages.send(**SENDING, recipients=[A, B])
    attempt, close = events
    assert isinstance(attempt, AttemptEvent)
    assert (attempt.operation, attempt.method, attempt.url_template) == (
        "send",
        "POST",
        "/messages/",
    )
    assert (attempt.outcome, attempt.status, attempt.error, attempt.code) == (
        "done",
        201,
        None,
        None,
    )
    assert (attempt.tries, attempt.message_id) == (1, message.id)
    assert attempt.base_url == simulator.url
    assert attempt.request_bytes == int(simulator.requests[0].headers["content-length"])
    assert attempt.response_bytes > 100
    assert attempt.waited >= 0
    assert attempt.duration is not None
    assert attempt.duration > 0
    assert close == CloseEvent(
        result="closed", message_id=message.id, accepted=2, price=message.price
    )


CALLS: dict[str, tuple[Callable[[GatewayClient, str], Any], str, str]] = {
    "list": (lambda client, _: client.messages.list(), "read", "/messages/"),
    "get": (lambda client, id_: client.messages.get(id_), "read", "/messages/{id}"),
    "recipients": (
        lambda client, id_: client.messages.recipients(id_),
        "read",
        "/messages/{id}/recipients/",
    ),
    "recipient": (
        lambda client, id_: client.messages.recipient(id_, A),
        "read",
        "/messages/{id}/recipients/{number}",
    ),
    "append": (
        lambda client, id_: client.messages.update(id_, recipients=B, transaction=True),
        "append",
        "/messages/{id}",
    ),
    "close": (
        lambda client, id_: client.messages.update(id_, transaction=False),
        "close",
        "/messages/{id}",
    ),
    "update": (
        lambda client, id_: client.messages.update(id_, recipients=B),
        "update",
        "/messages/{id}",
    ),
    "delete": (lambda client, id_: client.messages.delete(id_), "delete", "/messages/{id}"),
}


@pytest.mark.parametrize("name", CALLS)
async def test_operation_and_message_of_an_attempt(name: str, simulator: Simulator) -> None:
    call, operation, template = CALLS[name]
    async with listening(simulator) as (client, events):
        opened = await client.messages.send(**SENDING, recipients=A, transaction=True)
        assert of(events, AttemptEvent)[0].operation == "open"
        events.clear()
        await call(client, opened.id)
    (attempt,) = of(events, AttemptEvent)
    assert (attempt.operation, attempt.url_template) == (operation, template)
    assert attempt.message_id == (None if name == "list" else opened.id)
    assert [one.result for one in of(events, CloseEvent)] == ["closed"] * (name == "close")


FAILURES: dict[str, tuple[Fault, str, int | None, str]] = {
    "404": (Fault.status(404, 203), "rejected", 404, "NotFoundError"),
    "402": (Fault.status(402, 201), "rejected", 402, "InsufficientCreditError"),
    "503": (Fault.status(503), "ambiguous", 503, "ServerError"),
    "reset": (Fault.reset(), "ambiguous", None, "GatewayConnectionError"),
    "hang": (Fault.hang(), "ambiguous", None, "GatewayTimeoutError"),
    "truncated": (Fault.truncate(), "ambiguous", 201, "UnexpectedResponseError"),
    "not JSON": (Fault.invalid_json(), "ambiguous", 201, "UnexpectedResponseError"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_outcome_of_an_attempt(name: str, simulator: Simulator) -> None:
    fault, outcome, status, error = FAILURES[name]
    simulator.faults.add(fault, times=None)
    timeout = 0.05 if name == "hang" else 5
    async with listening(
        simulator, timeout=timeout, retry=RetryPolicy(max_attempts=1, max_elapsed=1)
    ) as (client, events):
        with pytest.raises(GatewayError):
            await client.messages.send(**SENDING, recipients=A, transaction=True)
    (attempt,) = events
    assert isinstance(attempt, AttemptEvent)
    assert (attempt.outcome, attempt.status, attempt.error) == (outcome, status, error)
    assert attempt.code == {"404": 203, "402": 201, "503": 503}.get(name)
    assert attempt.duration is not None


async def test_a_refused_connection_is_not_sent() -> None:
    events: list[Event] = []
    async with GatewayClient(
        "token", base_url="http://127.0.0.1:9", on_event=events.append, rate=None, retry=QUICK
    ) as client:
        with pytest.raises(GatewayError):
            await client.messages.list()
    attempts = of(events, AttemptEvent)
    assert [one.tries for one in attempts] == [1, 2, 3, 4, 5]
    assert {(one.outcome, one.error, one.status) for one in attempts} == {
        ("not_sent", "GatewayConnectionError", None)
    }
    assert [type(one) for one in events] == [AttemptEvent, RetryEvent] * 4 + [AttemptEvent]


async def test_a_cancelled_call_reports_whether_it_was_on_the_wire(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.hang())
    async with listening(simulator) as (client, events):
        task = asyncio.create_task(client.messages.send(**SENDING, recipients=A))
        while not client.stats.requests:
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    (attempt,) = events
    assert isinstance(attempt, AttemptEvent)
    assert (attempt.outcome, attempt.error) == ("ambiguous", "CancelledError")


# Retries and holds


async def test_a_retry_is_reported_after_the_attempt_it_follows(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(503), times=2)
    async with listening(simulator) as (client, events):
        await client.messages.list()
    kinds = [type(one).__name__ for one in events]
    assert kinds == ["AttemptEvent", "RetryEvent", "AttemptEvent", "RetryEvent", "AttemptEvent"]
    retries = of(events, RetryEvent)
    assert [one.tries for one in retries] == [1, 2]
    assert [one.budget_left for one in retries] == [486, 472]
    assert {one.error for one in retries} == {"ServerError"}
    assert all(0 <= one.wait <= 0.01 for one in retries)
    assert [one.tries for one in of(events, AttemptEvent)] == [1, 2, 3]


async def test_a_hold_is_reported_with_the_seconds_that_the_gateway_asked_for(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.status(429, retry_after=1))
    async with listening(simulator, retry=RetryPolicy(max_elapsed=30)) as (client, events):
        await client.messages.list()
    attempt, hold, retry, again = events
    assert isinstance(attempt, AttemptEvent)
    assert (attempt.outcome, attempt.status) == ("rejected", 429)
    assert isinstance(hold, HoldEvent)
    assert hold.retry_after == 1.0
    assert 0.5 < hold.seconds <= 1.0
    assert isinstance(retry, RetryEvent)
    assert 0.5 < retry.wait <= 1.0
    assert isinstance(again, AttemptEvent)
    assert again.waited > 0.8


async def test_a_call_that_ends_in_the_queue_reports_that_nothing_was_sent(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.status(429, retry_after=600))
    impatient = RetryPolicy(base_delay=0.001, max_delay=0.002, max_elapsed=0.2)
    async with listening(simulator, retry=impatient) as (client, events):
        with pytest.raises(RateLimitError):
            await client.messages.list()
        assert [type(one) for one in events] == [AttemptEvent, HoldEvent]
        events.clear()
        with pytest.raises(RateLimitError):
            await client.messages.list()
    (attempt,) = events
    assert isinstance(attempt, AttemptEvent)
    assert (attempt.outcome, attempt.error, attempt.status) == ("not_sent", "RateLimitError", None)
    assert attempt.duration is None
    assert len(simulator.requests) == 1


async def test_the_wait_for_the_rate_counts_as_waited_not_as_duration(simulator: Simulator) -> None:
    async with listening(simulator, rate=10.0) as (client, events):
        await asyncio.gather(client.messages.list(), client.messages.list())
    first, second = of(events, AttemptEvent)
    assert first.waited < second.waited
    assert second.waited > 0.08


async def test_the_rate_also_applies_once_connected(simulator: Simulator) -> None:
    class SlowAtFirst(aiohttp.TCPConnector):
        slow = True

        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            if self.slow:
                self.slow = False
                await asyncio.sleep(0.25)
            return await super().connect(*args, **kwargs)

    async with listening(simulator, rate=5.0, connector=SlowAtFirst) as (client, events):
        await asyncio.gather(client.messages.list(), client.messages.list())
    # The second call overtook it, and used the token of the rate.
    _, slow = of(events, AttemptEvent)
    assert slow.waited > 0.05
    assert slow.duration > 0.2


async def test_a_renewed_token_is_a_retry_at_once(simulator: Simulator) -> None:
    class Vault:
        async def token(self) -> str:
            return "stale"

        async def renew(self, rejected: str) -> str:
            return simulator.token

    events: list[Event] = []
    async with GatewayClient(
        Vault(), base_url=simulator.url, rate=None, on_event=events.append
    ) as client:
        await client.messages.list()
    refused, retry, done = events
    assert isinstance(refused, AttemptEvent)
    assert (refused.status, refused.error) == (401, "AuthenticationError")
    assert isinstance(retry, RetryEvent)
    assert retry.wait == 0.0
    assert isinstance(done, AttemptEvent)
    assert done.tries == 2


# Batches and closes


async def test_a_campaign_reports_every_batch_and_every_close(simulator: Simulator) -> None:
    async with listening(simulator) as (client, events):
        receipt = await client.send_bulk(
            NUMBERS, **SENDING, batch_size=10, recipients_per_message=50
        )
    batches, closes = of(events, BatchEvent), of(events, CloseEvent)
    assert {one.outcome for one in batches} == {"acknowledged"}
    assert {one.number for one in batches} == {one.number for one in closes}
    assert {one.message_id for one in closes} == set(receipt.message_ids)
    assert {one.result for one in closes} == {"closed"}
    assert sum(one.accepted for one in closes) == receipt.accepted == 100
    assert sum(one.price for one in closes) == receipt.cost
    assert all(one.price is None or isinstance(one.price, Decimal) for one in closes)
    assert len(of(events, AttemptEvent)) == receipt.requests
    for close in closes:
        of_it = [one for one in batches if one.number == close.number]
        assert [one.batch for one in sorted(of_it, key=lambda one: one.batch)] == [
            *range(len(of_it))
        ]
        # The other recipients were sent with the close.
        assert 0 < sum(one.recipients for one in of_it) < close.accepted


async def test_a_lost_batch_is_doubtful_and_its_recipients_are_counted_at_the_close(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="append")
    async with listening(simulator) as (client, events):
        receipt = await client.send_bulk(NUMBERS, **SENDING, batch_size=20)
    assert receipt.accepted == 100
    assert "doubtful" in {one.outcome for one in of(events, BatchEvent)}
    assert sum(one.accepted for one in of(events, CloseEvent)) == 100
    assert simulator.ledger == Counter(NUMBERS)


async def test_a_refused_batch_is_unsent_and_its_message_left_open(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    async with listening(simulator) as (client, events):
        with pytest.raises(BulkSendError) as caught:
            await client.send_bulk(NUMBERS, **SENDING, batch_size=20)
    assert "unsent" in {one.outcome for one in of(events, BatchEvent)}
    (close,) = of(events, CloseEvent)
    assert close.result == "left_open"
    assert close.message_id in caught.value.receipt.open_message_ids
    assert close.accepted == 0
    assert close.unsent > 0


async def test_an_abandoned_transaction_is_reported(simulator: Simulator) -> None:
    async with listening(simulator) as (client, events):
        transaction = client.transaction(**SENDING, batch_size=10)
        await transaction.add(NUMBERS)
        await transaction.abandon()
    (close,) = of(events, CloseEvent)
    assert (close.result, close.message_id) == ("abandoned", transaction.message_id)
    assert close.unsent >= 10


async def test_a_close_that_cannot_be_known_is_unknown(simulator: Simulator) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="close", times=None)
    simulator.faults.add(Fault.status(503), on="get", times=None, skip=1)
    impatient = RetryPolicy(max_attempts=1, base_delay=0.01, max_elapsed=0.2)
    async with listening(simulator, retry=impatient) as (client, events):
        with pytest.raises(BulkSendError) as caught:
            await client.send_bulk(NUMBERS[:10], **SENDING, batch_size=5)
    (close,) = of(events, CloseEvent)
    assert close.result == "unknown"
    assert close.unknown == len(caught.value.receipt.unknown) == 10


async def test_a_send_whose_answer_is_lost(simulator: Simulator) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    async with listening(simulator) as (client, events):
        message = await client.messages.send(**SENDING, recipients=A)
        (close,) = of(events, CloseEvent)
        assert (close.result, close.message_id, close.accepted) == ("closed", message.id, 1)
        events.clear()
        simulator.faults.add(Fault.reset(), on="send")
        with pytest.raises(OutcomeUnknownError):
            await client.messages.send(**SENDING, recipients=[A, B])
    (close,) = of(events, CloseEvent)
    assert close == CloseEvent(result="unknown", message_id=None, unknown=2)


async def test_a_send_without_valid_recipients_and_a_refused_one(simulator: Simulator) -> None:
    async with listening(simulator) as (client, events):
        simulator.faults.add(Fault.status(422, 302), on="send")
        with pytest.raises(GatewayError):
            await client.messages.send(**SENDING, recipients=A)
        assert of(events, CloseEvent) == []
        simulator.gateway.unroutable.add(A)
        with pytest.raises(RecipientsRejectedError):
            await client.messages.send(**SENDING, recipients=A)
    (close,) = of(events, CloseEvent)
    assert (close.result, close.accepted, close.invalid) == ("closed", 0, 1)


async def test_one_recipient_alone_is_one_end(simulator: Simulator) -> None:
    simulator.gateway.dialect = Dialect(empty_close=False)
    async with listening(simulator) as (client, events):
        receipt = await client.send_bulk([A], **SENDING)
    assert receipt.accepted == 1
    (close,) = of(events, CloseEvent)
    assert (close.result, close.accepted) == ("closed", 1)
    assert close.message_id in receipt.message_ids


# The listener


async def test_a_listener_that_raises_changes_nothing(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Event) -> None:
        raise ArithmeticError(type(event).__name__)

    simulator.faults.add(Fault.status(503), on="GET")
    async with listening(simulator, on_event=broken) as (client, _):
        receipt = await client.send_bulk(NUMBERS, **SENDING, batch_size=10)
    assert receipt.complete
    assert simulator.ledger == Counter(NUMBERS)
    errors = [record for record in caplog.records if "on_event raised" in record.message]
    names = {record.exc_info[1].args[0] for record in errors if record.exc_info}
    assert names == {"AttemptEvent", "RetryEvent", "BatchEvent", "CloseEvent"}


async def test_what_stops_the_listener_leaves_a_batch_doubtful(simulator: Simulator) -> None:
    """The response arrived, but the listener failed: the request must not count as unsent."""

    class Stop(BaseException):
        pass

    def stopping(event: Event) -> None:
        if isinstance(event, AttemptEvent) and event.operation == "append":
            raise Stop

    async with listening(simulator, on_event=stopping) as (client, _):
        opened = await client.messages.send(**SENDING, recipients=A, transaction=True)
        wire_status = WireStatus()
        with pytest.raises(Stop):
            await MessagesAPI(client._view()).put(
                opened.id,
                b'{"recipients": ["+39-3401234568"], "transaction": true}',
                True,
                wire_status,
            )
        assert wire_status.on_wire
        assert client.stats.requests == 2


@pytest.mark.parametrize("kind", ["function", "object", "text"])
def test_a_listener_that_would_have_to_be_awaited_is_refused(kind: str) -> None:
    async def later(event: Event) -> None:
        await asyncio.sleep(0)

    class Later:
        async def __call__(self, event: Event) -> None:
            await asyncio.sleep(0)

    wrong: Any = {"function": later, "object": Later(), "text": "print"}[kind]
    with pytest.raises(TypeError, match="on_event"):
        GatewayClient("token", on_event=wrong)


async def test_views_tell_the_same_listener(simulator: Simulator) -> None:
    async with listening(simulator) as (client, events):
        await client.with_options(timeout=3).messages.list()
    assert len(events) == 1


# Paths and ids


@given(st.from_regex(r"/messages/[^/]*(/recipients/[^/]*)?", fullmatch=True))
def test_a_template_shows_nothing_of_the_path(path: str) -> None:
    template, message_id = parse_path(path)
    assert template in {
        "/messages/",
        "/messages/{id}",
        "/messages/{id}/recipients/",
        "/messages/{id}/recipients/{number}",
    }
    assert message_id is None or f"/messages/{message_id}" in path


def test_an_unknown_path_is_not_shown() -> None:
    assert parse_path("/people/+39-3401234567") == ("/", None)


@pytest.mark.parametrize(
    "odd", [None, "", "3401234567", "393401234567", "0039-340-1234567", "Ciao", "a" * 65, "a b" * 9]
)
def test_what_could_be_a_number_or_a_text_is_no_id(odd: str | None) -> None:
    assert safe_id(odd) is None
    assert safe_id("5af0c2a1d7e3b40001a2b3c4") == "5af0c2a1d7e3b40001a2b3c4"


# LogEvents


async def test_events_are_logged_with_their_fields(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway_sms_async.events")
    simulator.faults.add(Fault.status(429), on="append")
    async with listening(simulator, on_event=LogEvents()) as (client, _):
        receipt = await client.send_bulk(NUMBERS, **SENDING, batch_size=10)
        with pytest.raises(NotFoundError):
            await client.messages.get("5af0c2a1d7e3b40001a2b3c4")
    records = [one for one in caplog.records if one.name == "gateway_sms_async.events"]
    logged = [vars(one)["gateway_sms"] for one in records]
    assert {one["event"] for one in logged} == {"attempt", "hold", "retry", "batch", "close"}
    levels = {(one["event"], record.levelname) for one, record in zip(logged, records, strict=True)}
    assert levels == {
        ("attempt", "DEBUG"),
        ("attempt", "INFO"),
        ("hold", "WARNING"),
        ("retry", "INFO"),
        ("batch", "DEBUG"),
        ("close", "INFO"),
    }
    (close,) = [
        record for one, record in zip(logged, records, strict=True) if one["event"] == "close"
    ]
    assert close.getMessage() == f"message {receipt.message_ids[0]}: closed, 100 accepted"
    assert vars(close)["gateway_sms"]["price"] == str(receipt.cost)
    # Plain values, for any formatter.
    assert json.loads(json.dumps(logged)) == logged


async def test_another_logger_and_a_level_that_leaves_out(simulator: Simulator) -> None:
    caught: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            caught.append(record)

    logger = logging.getLogger("tests.events.mine")
    logger.setLevel(logging.INFO)
    keep = Keep()
    logger.addHandler(keep)
    async with listening(simulator, on_event=LogEvents(logger)) as (client, _):
        await client.messages.send(**SENDING, recipients=A)
        await client.messages.list()
    assert [record.levelname for record in caught] == ["INFO"]


LEVELS: list[tuple[Event, str, str]] = [
    (
        CloseEvent(result="unknown", message_id=None, unknown=2),
        "ERROR",
        "a message: unknown, 2 unknown",
    ),
    (CloseEvent(result="closed", message_id="a" * 24, doubled=1), "ERROR", "1 doubled"),
    (CloseEvent(result="left_open", message_id="a" * 24, unsent=3), "WARNING", "3 unsent"),
    (CloseEvent(result="abandoned", message_id="a" * 24), "INFO", "abandoned"),
    (
        BatchEvent(number=1, message_id=None, batch=2, recipients=5, outcome="doubtful"),
        "WARNING",
        "batch 2 of message 1: doubtful, 5 recipients",
    ),
    (
        BatchEvent(number=1, message_id=None, batch=2, recipients=5, outcome="unsent"),
        "INFO",
        "unsent",
    ),
]


@pytest.mark.parametrize("at", range(len(LEVELS)))
def test_level_and_text_of_each_event(at: int, caplog: pytest.LogCaptureFixture) -> None:
    event, level, text = LEVELS[at]
    caplog.set_level(logging.DEBUG, "gateway_sms_async.events")
    LogEvents()(event)
    (record,) = caplog.records
    assert record.levelname == level
    assert text in record.getMessage()


async def test_a_timeout_in_the_queue_is_a_warning(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "gateway_sms_async.events")
    simulator.faults.add(Fault.hang())
    async with listening(
        simulator,
        on_event=LogEvents(),
        concurrency=1,
        retry=RetryPolicy(max_attempts=1, max_elapsed=0.2),
    ) as (client, _):
        first = asyncio.create_task(client.messages.list())
        await asyncio.sleep(0)
        with pytest.raises(GatewayTimeoutError):
            await client.messages.list()
        with pytest.raises(GatewayTimeoutError):
            await first
    assert {record.levelname for record in caplog.records} == {"WARNING"}
