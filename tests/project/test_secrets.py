"""Tokens, numbers and texts are canaries; nothing that is shown or logged may contain one."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import traceback
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import pytest

from gateway_sms_async import (
    BulkSendError,
    Event,
    GatewayClient,
    GatewayError,
    InvalidNumberError,
    LogEvents,
    Options,
    OutcomeUnknownError,
    Progress,
    Receipt,
    Recipient,
    RecipientsRejectedError,
    RetryPolicy,
)
from gateway_sms_async.testing import Dialect, Fault, Simulator

TOKEN = "tok-canary-9f8e7d6c"
TEXT = "Segretissimo"
NAME = "Adalgisa"
NUMBERS = [f"+39-3471{i * 7919 + 100_003:06}" for i in range(100)]
# The last ten digits are part of a number in every way of writing it.
TAILS = [number[-10:] for number in NUMBERS]
OPENED = "0123456789abcdef01234567"
IMPATIENT = RetryPolicy(max_attempts=2, base_delay=0.001, max_delay=0.002, max_elapsed=0.5)

_WRITING = re.compile(r"[-. ()\[\]/]|%2B|%2D")


def canaries_in(shown: str) -> list[str]:
    """Return the canaries that a text contains, numbers in any way of writing them."""
    digits = _WRITING.sub("", shown)
    found = [canary for canary in (TOKEN, TEXT, NAME) if canary in shown]
    return found + [tail for tail in TAILS if tail in digits]


_log_events = LogEvents()
_events = logging.getLogger("tests.events")


def show(event: Event) -> None:
    """Log each event in every form it has."""
    _log_events(event)
    _events.debug("%r %s", event, msgspec.json.encode(event).decode())


class Net(logging.Handler):
    """Collects everything that is logged, warned about or raised, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.caught: list[str] = []
        self.raised: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s %(args)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.caught.append(f"{self.format(record)} {record.args!r} {record.__dict__}")

    def add_error(self, error: BaseException) -> None:
        self.raised.append(type(error).__name__)
        self.caught += traceback.format_exception(error)
        seen: set[int] = set()
        pending: list[BaseException | None] = [error]
        while pending:
            one = pending.pop()
            if one is None or id(one) in seen:
                continue
            seen.add(id(one))
            # Attributes count only as far as repr shows them: that is how they end up in a log.
            shown = [str(one), repr(one), repr(one.args), *getattr(one, "__notes__", [])]
            self.caught += shown
            pending += [one.__cause__, one.__context__]
            if isinstance(one, BulkSendError):
                self.caught += [repr(one.receipt), str(one.receipt), one.reason]
                self.caught += map(repr, one.receipt.invalid)
            if isinstance(one, RecipientsRejectedError):
                self.caught += [repr(one.message), repr(one.message.recipients)]
            if isinstance(one, OutcomeUnknownError):
                self.caught.append(repr(one.reference))
            if isinstance(one, InvalidNumberError):
                self.caught.append(one.reason)

    def check(self) -> None:
        leaks = [(canaries_in(text), text) for text in self.caught if canaries_in(text)]
        assert leaks == []


@pytest.fixture
def net() -> Iterator[Net]:
    """Set every logger to DEBUG, and keep every warning."""
    net = Net()
    root = logging.getLogger()
    loggers = [root, *(logging.getLogger(name) for name in list(root.manager.loggerDict))]
    levels = [(logger, logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.disabled = False
    root.addHandler(net)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            yield net
        net.caught += [f"{one.message} {one.source!r}" for one in warned]
        net.check()
    finally:
        root.removeHandler(net)
        for logger, level, disabled in levels:
            logger.setLevel(level)
            logger.disabled = disabled


@contextmanager
def loudest() -> Iterator[None]:
    """Turn on asyncio's debug mode, which logs every callback with its arguments."""
    loop = asyncio.get_running_loop()
    before = loop.get_debug(), loop.slow_callback_duration
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    try:
        yield
    finally:
        loop.set_debug(before[0])
        loop.slow_callback_duration = before[1]


def personalised() -> list[tuple[str, dict[str, str]]]:
    return [(number, {"name": NAME}) for number in NUMBERS[:30]]


SENDING: dict[str, Any] = {"sender": "ACME", "body": TEXT}
Make = Callable[[GatewayClient], Awaitable[Any]]


async def in_a_transaction(client: GatewayClient) -> Receipt:
    async with client.transaction(
        sender="ACME", body=TEXT + " {{name}}", batch_size=10
    ) as transaction:
        await transaction.add(personalised())
        repr(transaction)
    return transaction.receipt


def in_bulk(client: GatewayClient) -> Awaitable[Receipt]:
    return client.send_bulk(NUMBERS, **SENDING, batch_size=20, recipients_per_message=50)


CALLS: dict[str, Make] = {
    "send": lambda client: client.messages.send(**SENDING, recipients=NUMBERS[0]),
    "send personalised": lambda client: client.messages.send(
        sender="ACME",
        body=TEXT + " {{name}}",
        recipients=personalised(),
        options=Options(custom=NUMBERS[1], callback_url="https://x.example/" + TEXT),
    ),
    "open": lambda client: client.messages.send(**SENDING, recipients=NUMBERS[0], transaction=True),
    "update": lambda client: client.messages.update(OPENED, recipients=NUMBERS),
    "delete": lambda client: client.messages.delete(OPENED),
    "get": lambda client: client.messages.get(OPENED),
    "list": lambda client: client.messages.list(),
    "find": lambda client: client.messages.find(TEXT),
    "recipients": lambda client: client.messages.recipients(OPENED),
    "recipient": lambda client: client.messages.recipient(OPENED, NUMBERS[0]),
    "transaction": in_a_transaction,
    "bulk": in_bulk,
}


@asynccontextmanager
async def at_work(**settings: Any) -> AsyncIterator[tuple[Simulator, GatewayClient]]:
    async with (
        Simulator(token=TOKEN, **settings) as simulator,
        GatewayClient(
            TOKEN, base_url=simulator.url, rate=None, retry=IMPATIENT, on_event=show
        ) as client,
    ):
        yield simulator, client


async def run_all(client: GatewayClient, net: Net) -> None:
    for make in CALLS.values():
        try:
            answer = await make(client)
        except GatewayError as error:
            net.add_error(error)
        else:
            net.caught += [repr(answer), str(answer)]
    net.caught += [repr(client), repr(client.messages), str(client)]


@pytest.mark.parametrize("loud", [False, True])
async def test_successful_calls_show_nothing(net: Net, loud: bool) -> None:
    async with Simulator(token=TOKEN, sent_after=0, delivered_after=0) as simulator:
        with loudest() if loud else warnings.catch_warnings():
            async with GatewayClient(
                TOKEN, base_url=simulator.url, rate=None, on_event=show
            ) as client:
                shown: list[Progress] = []
                receipt = await client.send_bulk(
                    [*NUMBERS, *NUMBERS[:5], f"{TAILS[0]}x"], **SENDING, on_progress=shown.append
                )
                assert receipt.accepted == 100
                sent = await client.messages.send(
                    sender="ACME", body=TEXT + " {{name}}", recipients=personalised()
                )
                reports = await client.messages.recipients(sent.id)
                assert len(reports) == 30
                net.caught += [repr(reports), repr(sent), repr(receipt), repr(receipt.invalid)]
                net.caught += [repr(shown), repr([one.report for one in reports])]
                await in_a_transaction(client)
                await run_all(client, net)
    if loud:
        assert any("asyncio" in text for text in net.caught)


FAULTS: dict[str, Fault] = {
    "401": Fault.status(401),
    "402": Fault.status(402, 201),
    "403": Fault.status(403),
    "404": Fault.status(404, 203),
    "413": Fault.status(413, 308),
    "422": Fault.status(422, 302),
    "422 closed": Fault.status(422, 212),
    "429": Fault.status(429),
    "500": Fault.status(500),
    "500 applied": Fault.status(500, after_apply=True),
    "503 in plain": Fault.status(503, envelope=False),
    "reset": Fault.reset(),
    "reset applied": Fault.reset(after_apply=True),
    "close": Fault.close(),
    "hang": Fault.hang(),
    "truncated": Fault.truncate(),
    "not JSON": Fault.invalid_json(),
    "empty": Fault.empty(),
    "html": Fault.html(200),
    "redirect": Fault.redirect("https://evil.example/" + TAILS[0]),
    "encoded twice": Fault.double_encoded(),
    "lost": Fault.lost(),
    "partial": Fault.partial(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_failures_show_nothing(fault: Fault, net: Net) -> None:
    async with Simulator(token=TOKEN) as simulator:
        simulator.faults.add(fault, times=None)
        async with GatewayClient(
            TOKEN,
            base_url=simulator.url,
            rate=None,
            timeout=0.02 if fault.kind == "hang" else 5,
            retry=IMPATIENT,
            on_event=show,
        ) as client:
            with loudest():
                await run_all(client, net)
    assert net.raised or fault.kind in {"double_encoded", "partial", "lost"}


@pytest.mark.parametrize("call", CALLS)
async def test_a_wait_that_is_too_long_shows_nothing(call: str, net: Net) -> None:
    # A client for each call: the wait that the gateway asks for would hold all others on the same one.
    async with Simulator(token=TOKEN) as simulator:
        simulator.faults.add(Fault.status(429, retry_after=600), times=None)
        async with GatewayClient(
            TOKEN, base_url=simulator.url, rate=None, retry=IMPATIENT, on_event=show
        ) as client:
            with pytest.raises(GatewayError) as caught:
                await CALLS[call](client)
    net.add_error(caught.value)


async def test_a_refused_connection_shows_nothing(net: Net) -> None:
    async with GatewayClient(
        TOKEN, base_url="http://127.0.0.1:9", rate=None, retry=IMPATIENT, on_event=show
    ) as client:
        await run_all(client, net)
    assert len(net.raised) >= len(CALLS)


async def test_a_gateway_that_refuses_all_recipients_shows_nothing(net: Net) -> None:
    async with at_work(dialect=Dialect(object_lists=False)) as (_simulator, client):
        await run_all(client, net)
    assert "RecipientsRejectedError" in net.raised


async def test_no_credit_shows_nothing(net: Net) -> None:
    async with at_work(credit=0) as (_simulator, client):
        await run_all(client, net)
    assert "InsufficientCreditError" in net.raised


# A gateway that quotes back what it was sent


def quoting_message(valid: int, invalid: int) -> dict[str, Any]:
    return {
        "id": OPENED,
        "transaction": True,
        "sender": "ACME",
        "body": TEXT,
        "recipients": {
            "valid": {"count": valid},
            "invalid": {"total": invalid, "list": [*NUMBERS, NUMBERS[0][1:], 5]},
        },
        "options": {"custom": NUMBERS, "callback_url": "https://x.example/" + TEXT},
    }


SAID = f"cannot send {TEXT} to {NUMBERS[0]} for {TOKEN}"
QUOTING: dict[str, tuple[int, bytes]] = {
    "a refusal": (422, json.dumps({"success": False, "error": 304, "message": SAID}).encode()),
    "no credit": (402, json.dumps({"success": False, "error": 201, "message": SAID}).encode()),
    "a refusal of the token": (
        401,
        json.dumps({"success": False, "error": 401, "message": SAID}).encode(),
    ),
    "too many requests": (429, SAID.encode()),
    "a failure": (500, json.dumps({"success": False, "error": 1, "message": SAID}).encode()),
    "a page": (502, f"<html>{SAID}</html>".encode()),
    "a page with 200": (200, f"<html>{SAID}</html>".encode()),
    "text": (200, json.dumps(SAID).encode()),
    "twice": (200, json.dumps(json.dumps({"data": SAID, "success": True})).encode()),
    "an enum's error": (
        200,
        json.dumps({"success": NUMBERS[0], "data": [], "error": TEXT, "credit": SAID}).encode(),
    ),
    "another shape": (
        200,
        json.dumps({"success": True, "data": [{"id": "no id", NUMBERS[0]: SAID}]}).encode(),
    ),
    "numbers for counts": (
        200,
        json.dumps(
            {
                "success": True,
                "data": [quoting_message(1, 0) | {"recipients": {"valid": {"count": NUMBERS[0]}}}],
            }
        ).encode(),
    ),
    "all invalid": (
        201,
        json.dumps({"success": True, "data": [quoting_message(0, 100)]}).encode(),
    ),
    "some invalid": (
        201,
        json.dumps({"success": True, "data": [quoting_message(70, 30)]}).encode(),
    ),
    "bad UTF-8": (200, SAID.encode() + b"\xff"),
    "a lone surrogate": (200, f'{{"success":true,"data":"{SAID}\\ud800"}}'.encode()),
    "deep": (200, b'{"success":true,"data":' + b"[" * 5000 + json.dumps(SAID).encode()),
    "nonsense in the head": (200, b""),
}


@asynccontextmanager
async def answering(status: int, body: bytes, extra: bytes = b"") -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readline():
                length = 0
                while (header := await reader.readline()) not in {b"\r\n", b""}:
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                await reader.readexactly(length)
                writer.write(
                    b"HTTP/1.1 %d %s\r\nContent-Length: %d\r\n%s\r\n"
                    % (status, SAID.encode(), len(body), extra)
                )
                writer.write(body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("quoting", QUOTING)
async def test_what_the_gateway_quotes_is_not_shown(quoting: str, net: Net) -> None:
    status, body = QUOTING[quoting]
    extra = b""
    if quoting == "nonsense in the head":
        extra = f"X-Said {SAID}\r\nContent-Length: {TAILS[0]}\r\n".encode()
    if status == 429:
        extra = f"Retry-After: {NUMBERS[0]}\r\n".encode()
    async with (
        answering(status, body, extra) as url,
        GatewayClient(TOKEN, base_url=url, rate=None, retry=IMPATIENT, on_event=show) as client,
    ):
        await run_all(client, net)
    assert net.raised


async def test_the_words_of_the_gateway_are_only_in_an_attribute() -> None:
    async with (
        answering(*QUOTING["a refusal"]) as url,
        GatewayClient(TOKEN, base_url=url, rate=None, retry=IMPATIENT, on_event=show) as client,
    ):
        with pytest.raises(GatewayError) as caught:
            await client.messages.get(OPENED)
    assert getattr(caught.value, "detail", None) == SAID
    assert canaries_in(str(caught.value) + repr(caught.value)) == []


# Mistakes of the caller

MISTAKES: dict[str, Make] = {
    "a national number": lambda client: client.messages.send(**SENDING, recipients=TAILS[0]),
    "a number with words": lambda client: client.messages.send(
        **SENDING, recipients=[NUMBERS[0] + " " + TEXT]
    ),
    "a number that is one too long": lambda client: client.messages.send(
        **SENDING, recipients=NUMBERS[0] + "999999999"
    ),
    "a number with a line break": lambda client: client.messages.recipient(
        OPENED, NUMBERS[0] + "\r\nX: 1"
    ),
    "a missing field": lambda client: client.messages.send(
        sender="ACME", body=TEXT + " {{name}}", recipients=NUMBERS
    ),
    "fields of another kind": lambda client: client.messages.send(
        **SENDING, recipients=[(NUMBERS[0], NAME)]
    ),
    "a lone surrogate in the text": lambda client: client.messages.send(
        sender="ACME", body=TEXT + "\ud800", recipients=NUMBERS[0]
    ),
    "a lone surrogate in a field": lambda client: client.messages.send(
        **SENDING, recipients=[(NUMBERS[0], {"name": NAME + "\ud800"})]
    ),
    "a lone surrogate in custom": lambda client: client.messages.send(
        **SENDING, recipients=NUMBERS[0], options=Options(custom=TEXT + "\ud800")
    ),
    "a sender too long": lambda client: client.messages.send(
        sender=TEXT, body="x", recipients=NUMBERS[0]
    ),
    "an id that is a number": lambda client: client.messages.get(NUMBERS[0]),
    "a reference with a line break": lambda client: client.messages.send(
        **SENDING, recipients=NUMBERS[0], reference=TEXT + "\n"
    ),
    "a bare tuple": lambda client: client.send_bulk(
        (NUMBERS[0], {"name": NAME}),  # type: ignore[arg-type]
        **SENDING,
    ),
    "one number for bulk": lambda client: client.send_bulk(NUMBERS[0], **SENDING),
    "a mapping": lambda client: client.send_bulk({NUMBERS[0]: NAME}, **SENDING),
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
async def test_mistakes_show_nothing(mistake: Make, net: Net) -> None:
    async with at_work() as (simulator, client):
        with pytest.raises((ValueError, TypeError)) as caught:
            await mistake(client)
    # The traceback shows source lines of this file, which contain no canary.
    net.add_error(caught.value)
    assert not simulator.requests


async def test_refused_recipients_are_named_in_the_receipt_and_nowhere_else(net: Net) -> None:
    refused: list[Any] = [
        TAILS[0],
        NUMBERS[1] + "x",
        (NUMBERS[2], {"name": 5}),
        (NUMBERS[3], {5: NAME}),
        (NUMBERS[4], NAME),
        (NUMBERS[5], {"other": NAME}),
        Recipient(TAILS[6]),
        5,
        None,
        NUMBERS[7].encode(),
    ]
    async with at_work() as (_simulator, client):
        receipt = await client.send_bulk(
            [*refused, *personalised()[10:]], sender="ACME", body=TEXT + " {{name}}"
        )
    assert len(receipt.invalid) == len(refused)
    assert receipt.invalid[0].number == TAILS[0]
    assert NUMBERS[1] in receipt.to_dict()["invalid"][1]["number"]
    net.caught += [repr(receipt), repr(receipt.invalid)]
    net.caught += [one.reason for one in receipt.invalid]


async def test_one_text_that_cannot_be_encoded_does_not_stop_a_campaign(net: Net) -> None:
    async with at_work() as (_simulator, client):
        recipients = [*personalised(), (NUMBERS[50], {"name": NAME + "\ud800"})]
        try:
            receipt = await client.send_bulk(recipients, sender="ACME", body=TEXT + " {{name}}")
        except BulkSendError as error:
            net.add_error(error)
            pytest.fail(f"one recipient stopped the campaign: {type(error.__cause__)}")
    assert receipt.accepted == 30
    assert [one.position for one in receipt.invalid] == [30]


async def test_a_failing_source_and_listener_show_nothing(net: Net) -> None:
    def broken() -> Iterator[str]:
        yield from NUMBERS[:50]
        raise LookupError("the file ended early")

    def listener(progress: Progress) -> None:
        raise ArithmeticError(f"division by {progress.unknown}")

    async with at_work() as (_simulator, client):
        with pytest.raises(BulkSendError) as caught:
            await client.send_bulk(broken(), **SENDING, batch_size=10, on_progress=listener)
    net.add_error(caught.value)
    assert any("on_progress raised" in text for text in net.caught)


async def test_cancelling_and_closing_show_nothing(net: Net) -> None:
    async with Simulator(token=TOKEN, latency=0.01) as simulator:
        client = await GatewayClient(TOKEN, base_url=simulator.url, rate=None, on_event=show).open()
        with loudest():
            cancelled = asyncio.create_task(in_bulk(client))  # type: ignore[arg-type]
            closed = asyncio.create_task(in_bulk(client))  # type: ignore[arg-type]
            await asyncio.sleep(0.015)
            cancelled.cancel()
            await asyncio.gather(cancelled, return_exceptions=True)
            await client.aclose()
            for error in await asyncio.gather(cancelled, closed, return_exceptions=True):
                if isinstance(error, BaseException):
                    net.add_error(error)
    assert "CancelledError" in net.raised


def test_the_net_catches_each_kind_of_leak() -> None:
    for leak in (
        f"Bearer {TOKEN}",
        NUMBERS[3],
        NUMBERS[3].replace("-", ""),
        f"(347) 1{NUMBERS[3][-6:-3]} {NUMBERS[3][-3:]}",
        TEXT,
        f"%2B39-{TAILS[4]}",
    ):
        assert canaries_in(leak)
    assert not canaries_in("+39…3456 and a token")
    net = Net()
    try:
        try:
            raise LookupError(NUMBERS[0])
        except LookupError:
            raise GatewayError("in words") from None
    except GatewayError as error:
        net.add_error(error)
    with pytest.raises(AssertionError):
        net.check()
