"""The public API as users write it. Never run: mypy and pyright, both strict, must accept it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from os import PathLike
from typing import Any, assert_never, assert_type

import aiohttp
from aiohttp import web

from gateway_sms_async import (
    APIError,
    ApiKey,
    AttemptEvent,
    AuthenticationError,
    BatchEvent,
    BulkSendError,
    Callback,
    CallbackError,
    CallbackLog,
    CallbackReceiver,
    CallbackSigner,
    CloseEvent,
    DeliveryChange,
    DeliveryError,
    DeliveryPrice,
    DeliveryReport,
    DeliveryState,
    DeliveryStatus,
    DeliverySummary,
    Event,
    Fields,
    GatewayClient,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    HoldEvent,
    InvalidNumberError,
    InvalidRecipient,
    JournalPlace,
    LogEvents,
    Message,
    MessageDelivery,
    MessageOptions,
    Messages,
    MessageSummary,
    Options,
    OutcomeUnknownError,
    Progress,
    Receipt,
    Recipient,
    RecipientLike,
    RecipientReport,
    Recipients,
    RecipientsRejectedError,
    RetryEvent,
    RetryPolicy,
    Statistics,
    Stats,
    TokenSource,
    Transaction,
    TransactionClosedError,
    UnexpectedResponseError,
    __version__,
    parse_callback,
)
from gateway_sms_async.callbacks.aiohttp import callback_handler
from gateway_sms_async.callbacks.asgi import CallbackApp
from gateway_sms_async.otel import OTelEvents
from gateway_sms_async.testing import Dialect, Fault, Faults, RecordedRequest, Simulator

assert_type(__version__, str)


class Vault:
    """A token source by structural typing alone."""

    async def token(self) -> str:
        """Return a token."""
        return "token"

    async def renew(self, rejected: str) -> str:
        """Return another token."""
        return rejected + "!"


source: TokenSource = Vault()
key: TokenSource = ApiKey("me@example.com", "key")
key = ApiKey(
    email="me@example.com",
    api_key="key",
    sandbox=True,
    oauth_url="https://oauth.example",
    file="token.json",
    ttl=3600,
    name="campaigns",
)
fields: Fields = {"name": "Ada"}
likes: list[RecipientLike] = [
    "+39-3401234567",
    Recipient("+39-3401234567", fields),
    ("+39-3401234567", {"name": "Ada"}),
]
all_kinds: Recipients = likes


def numbers() -> Iterator[str]:
    """Yield recipients on demand."""
    yield "+39-3401234567"


def rows() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield recipients with fields."""
    yield "+39-3401234567", {"name": "Ada"}


async def from_database() -> AsyncIterator[tuple[str, Mapping[str, str]]]:
    """Yield recipients from async code."""
    yield "+39-3401234567", {"name": "Ada"}


async def people() -> AsyncIterator[Recipient]:
    """Yield recipients from async code."""
    yield Recipient("+39-3401234567")


def show(progress: Progress) -> None:
    """Print the progress."""
    assert_type(progress.total, int | None)
    assert_type(progress.read, int)
    assert_type(progress.accepted, int)
    assert_type(progress.rate, float)
    assert_type(progress.eta, float | None)


async def store(progress: Progress) -> None:
    """Store the progress."""
    await asyncio.sleep(progress.elapsed)


def on_event(event: Event) -> str:
    """Distinguish all event types."""
    match event:
        case AttemptEvent(operation="send", status=429):
            return "slow down"
        case AttemptEvent():
            assert_type(event.status, int | None)
            assert_type(event.duration, float | None)
            assert_type(event.waited, float)
            return event.outcome
        case HoldEvent():
            assert_type(event.seconds, float)
            return event.operation
        case RetryEvent(wait=wait, tries=tries):
            assert_type(wait, float)
            return str(tries)
        case BatchEvent():
            assert_type(event.recipients, int)
            return event.outcome
        case CloseEvent():
            assert_type(event.price, Decimal | None)
            assert_type(event.message_id, str | None)
            return event.result
        case _:
            assert_never(event)


def listeners() -> list[GatewayClient]:
    """Pass every kind of listener."""
    events: list[Event] = []
    return [
        GatewayClient("token", on_event=on_event),
        GatewayClient("token", on_event=events.append),
        GatewayClient("token", on_event=lambda event: len(repr(event))),
        GatewayClient("token", on_event=LogEvents()),
        GatewayClient("token", on_event=LogEvents(logging.getLogger("sms"))),
        GatewayClient("token", on_event=OTelEvents()),
    ]


async def operations(gateway: GatewayClient, telemetry: OTelEvents) -> bool:
    """Read the figures of a client."""
    telemetry.observe(gateway)
    telemetry.observe(gateway, {"account": "one"})
    stats = gateway.stats
    assert_type(stats, Stats)
    assert_type(stats.in_flight, int)
    assert_type(stats.waiting_bulk, int)
    assert_type(stats.held_for, float)
    return stats.open and stats.budget_left > 0


def settings() -> list[GatewayClient]:
    """Create clients in every way."""
    return [
        GatewayClient(),
        GatewayClient("token"),
        GatewayClient(Vault(), sandbox=True),
        GatewayClient(ApiKey("me@example.com", "key", sandbox=True), sandbox=True),
        GatewayClient(source, base_url="https://gw.example", rate=None),
        GatewayClient(
            token=None,
            rate=5,
            burst=2,
            concurrency=16,
            timeout=10,
            retry=RetryPolicy(max_attempts=1, base_delay=1, max_delay=2, max_elapsed=3),
            proxy="http://proxy.example:3128",
        ),
        GatewayClient("token", connector=aiohttp.TCPConnector(limit=8)),
        GatewayClient("token", connector=lambda: aiohttp.TCPConnector(limit=8)),
        GatewayClient("token", connector=aiohttp.TCPConnector),
    ]


async def single(gateway: GatewayClient) -> None:
    """Make the seven calls."""
    messages = gateway.messages
    assert_type(messages, Messages)
    assert_type(await messages.list(), list[MessageSummary])
    message = await messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
    assert_type(message, Message)
    await messages.send(sender="ACME", body="Ciao", recipients=Recipient("+39-3401234567"))
    await messages.send(sender="ACME", body="Ciao", recipients=["+39-3401234567"])
    await messages.send(sender="ACME", body="Ciao", recipients=("+39-1", "+39-2"))
    await messages.send(sender="ACME", body="Ciao", recipients={"+39-1", "+39-2"})
    await messages.send(sender="ACME", body="Ciao", recipients=numbers())
    await messages.send(sender="ACME", body="Ciao {{name}}", recipients=rows())
    await messages.send(sender="ACME", body="Ciao", recipients=[Recipient("+39-3401234567")])
    await messages.send(sender="ACME", body="Ciao", recipients=[("+39-3401234567", {"n": "A"})])
    await messages.send(
        sender="ACME",
        body="Ciao {{name}}",
        recipients=likes,
        priority=Decimal("1.01"),
        options=Options(
            flash=True,
            realtime=True,
            timestamp_send=date(2030, 1, 1),
            custom={"order": [1, None]},
            callback_url="https://example.com/hook",
            callback_field="payload",
        ),
        test=True,
        transaction=True,
    )
    await messages.send(
        sender="ACME", body="Ciao", recipients="+39-3401234567", priority=1, reference="order-7"
    )
    assert_type(await messages.find("order-7"), Message | None)
    assert_type(await messages.get(message.id), Message)
    assert_type(await messages.update(message.id, recipients=numbers()), Message)
    assert_type(await messages.update(message.id, transaction=False), Message)
    assert_type(await messages.update(message.id, timestamp_send=date(2030, 1, 1)), Message)
    assert_type(await messages.reschedule(message.id, date(2030, 1, 1)), Message)
    assert_type(await messages.recipients(message.id), list[RecipientReport])
    assert_type(await messages.recipient(message.id, "+39-3401234567"), RecipientReport)
    await messages.delete(message.id)


def read(message: Message, summary: MessageSummary, report: RecipientReport) -> None:
    """Read every part of the responses."""
    assert_type(message.id, str)
    assert_type(message.transaction, bool)
    assert_type(message.valid, int)
    assert_type(message.invalid, int)
    assert_type(message.recipients.invalid.list, tuple[str, ...])
    assert_type(message.state, int | str | None)
    assert_type(message.body, str | None)
    assert_type(message.price, Decimal | None)
    assert_type(message.base_price, Decimal | None)
    assert_type(message.priority, Decimal | None)
    assert_type(message.timestamp, datetime | None)
    assert_type(message.last_update, datetime | None)
    assert_type(message.options, MessageOptions)
    assert_type(message.options.timestamp_send, datetime | None)
    assert_type(message.options.flash, bool | None)
    assert_type(message.options.custom, object)
    assert_type(message.statistics, Statistics)
    assert_type(message.statistics.sms_total, int | None)
    assert_type(summary.timestamp, datetime | None)
    assert_type(summary.sender, str | None)
    assert_type(report.number, str)
    assert_type(report.fields, dict[str, object])
    assert_type(report.real_cost, Decimal | None)
    assert_type(report.timestamp_delivery, datetime | None)
    assert_type(report.report, DeliveryReport | None)
    if report.report is not None:
        assert_type(report.report.done_at, datetime | None)
        assert_type(report.report.price, DeliveryPrice | None)
        assert_type(report.report.status, DeliveryStatus | None)
        assert_type(report.report.error, DeliveryError | None)
        if report.report.error is not None:
            assert_type(report.report.error.permanent, bool | None)


async def campaigns(gateway: GatewayClient) -> None:
    """Send to many recipients, from every kind of source."""
    receipt = await gateway.send_bulk(["+39-3401234567"], sender="ACME", body="Ciao")
    assert_type(receipt, Receipt)
    await gateway.send_bulk(("+39-1", "+39-2"), sender="ACME", body="Ciao")
    await gateway.send_bulk(numbers(), sender="ACME", body="Ciao", on_progress=show)
    await gateway.send_bulk(rows(), sender="ACME", body="Ciao {{name}}", on_progress=store)
    await gateway.send_bulk(from_database(), sender="ACME", body="Ciao {{name}}")
    await gateway.send_bulk(people(), sender="ACME", body="Ciao", on_progress=lambda _: None)
    await gateway.send_bulk([("+39-1", {"n": "A"})], sender="ACME", body="Ciao")
    await gateway.send_bulk([Recipient("+39-1")], sender="ACME", body="Ciao")
    await gateway.send_bulk(likes, sender="ACME", body="Ciao")
    await gateway.send_bulk(all_kinds, sender="ACME", body="Ciao")
    stop = asyncio.Event()
    await gateway.send_bulk(
        all_kinds,
        sender="ACME",
        body="Ciao",
        priority=1.5,
        options=Options(),
        test=True,
        batch_size=1000,
        concurrency=4,
        recipients_per_message=50_000,
        on_progress=show,
        stop=stop,
        total=1_000_000,
        allow_missing_fields=True,
    )
    assert_type(receipt.total, int)
    assert_type(receipt.accepted, int)
    assert_type(receipt.invalid, Sequence[InvalidRecipient])
    assert_type(receipt.invalid[0].position, int)
    assert_type(receipt.unknown, Sequence[str])
    assert_type(receipt.unsent, Sequence[str])
    assert_type(receipt.doubled, Sequence[str])
    assert_type(receipt.cost, Decimal | None)
    assert_type(receipt.complete, bool)
    assert_type(receipt.to_dict(), dict[str, object])
    assert_type(json.dumps(receipt.to_dict()), str)


async def deliveries(gateway: GatewayClient, receipt: Receipt) -> None:
    """Follow messages that were sent."""
    async for change in gateway.delivery("0" * 24, timeout=3600):
        assert_type(change, DeliveryChange)
        assert_type(change.state, DeliveryState)
        assert_type(change.report, RecipientReport)
    summary = await gateway.wait_delivered(receipt.message_ids, timeout=3600)
    assert_type(summary, DeliverySummary)
    assert_type(summary.counts, Mapping[DeliveryState, int])
    assert_type(summary.messages, Sequence[MessageDelivery])
    assert_type(summary.messages[0].message, Message | None)
    await gateway.wait_delivered("0" * 24, timeout=60, on_progress=lambda now: now.complete)


async def transactions(gateway: GatewayClient) -> Receipt:
    """Fill one message step by step."""
    async with gateway.transaction(sender="ACME", body="Ciao {{name}}") as transaction:
        assert_type(transaction, Transaction)
        await transaction.add("+39-3401234567")
        await transaction.add(Recipient("+39-3401234567", {"name": "Ada"}))
        await transaction.add(["+39-1", "+39-2"])
        await transaction.add([("+39-1", {"name": "Ada"})])
        await transaction.add(numbers())
        await transaction.add(rows())
        await transaction.add(from_database())
        await transaction.add(people())
        assert_type(transaction.message_id, str | None)
        if transaction.state == "open":
            assert_type(transaction.receipt, Receipt)
    other = gateway.transaction(
        sender="ACME", body="Ciao", batch_size=100, concurrency=2, options=Options(flash=True)
    )
    await other.abandon()
    return await transaction.close()


async def callbacks(gateway: GatewayClient, app: web.Application) -> None:
    """Receive callbacks."""
    signer = CallbackSigner("0123456789abcdef", lifetime=3600)
    url = signer.url("https://example.com/callbacks", reference="order-7")
    assert_type(signer.verify(url), str | None)
    assert_type(Options(callback_url=url, callback_field="payload"), Options)
    receiver = CallbackReceiver(signer=signer, field="payload", size=100, timeout=5)
    app.router.add_post("/callbacks", callback_handler(receiver))
    as_asgi: Callable[[Any, Any, Any], Awaitable[None]] = CallbackApp(receiver)
    del as_asgi
    log = CallbackLog(10_000)
    async for callback in receiver:
        assert_type(callback, Callback)
        assert_type(callback.key, tuple[str, str | None, int | str | None])
        assert_type(callback.delivery, DeliveryState | None)
        assert_type(callback.last_update, datetime | None)
        assert_type(callback.statistics, Statistics | None)
        if log.accept(callback):
            assert_type(await gateway.confirm(callback), Message | None)
    try:
        assert_type(parse_callback(b"{}", "application/json", field=None), Callback)
    except CallbackError as error:
        as_gateways: GatewayError = error
        raise as_gateways from None


async def failures(gateway: GatewayClient) -> str | None:
    """Catch the errors, the most specific ones first."""
    try:
        await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
    except InvalidNumberError as error:
        assert_type(error.number, str)
        return error.reason
    except RecipientsRejectedError as error:
        assert_type(error.message, Message)
    except OutcomeUnknownError as error:
        return error.reference
    except TransactionClosedError as error:
        assert_type(error.status, int)
    except AuthenticationError as error:
        assert_type(error.code, int | None)
    except APIError as error:
        assert_type(error.retry_after, float | None)
        return error.detail
    except UnexpectedResponseError as error:
        assert_type(error.status, int)
    except BulkSendError as error:
        assert_type(error.receipt, Receipt)
        assert_type(error.reason, str)
        assert_type(error.resumable, bool)
        assert_type(error.journal, str | PathLike[str] | JournalPlace | None)
    except (GatewayConnectionError, GatewayTimeoutError) as error:
        as_python: OSError = error
        return str(as_python)
    except GatewayError as error:
        return str(error)
    return None


async def life() -> None:
    """Open and close, with and without a block."""
    async with GatewayClient("token") as gateway:
        assert_type(gateway, GatewayClient)
        assert_type(gateway.credit, Decimal | None)
        assert_type(gateway.base_url, str)
        patient = gateway.with_options(timeout=60, retry=RetryPolicy(max_attempts=10))
        assert_type(patient, GatewayClient)
        await single(patient)
    gateway = await GatewayClient("token").open()
    assert_type(gateway, GatewayClient)
    await gateway.aclose()


async def tests_of_users() -> None:
    """Inject faults into the simulator."""
    async with Simulator(credit="10.00", dialect=Dialect(merge_repeats=True)) as simulator:
        assert_type(simulator.url, str)
        assert_type(simulator.token, str)
        assert_type(simulator.ledger, Counter[str])
        assert_type(simulator.faults, Faults)
        assert_type(simulator.requests, list[RecordedRequest])
        simulator.faults.add(Fault.reset(after_apply=True), on="send", times=2)
        simulator.faults.plan = lambda request: (
            Fault.status(503) if request.operation == "append" else None
        )
        async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
            await campaigns(gateway)
            await deliveries(gateway, Receipt())
            await transactions(gateway)
            await failures(gateway)
