"""The vendor's examples decode without loss, odd values do no harm, and errors can be pickled."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import pickle
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

import gateway_sms_async
from gateway_sms_async import (
    AttemptEvent,
    BatchEvent,
    Callback,
    CampaignStatus,
    CloseEvent,
    CountryPreview,
    DeliveryChange,
    DeliveryReport,
    DeliveryState,
    DeliverySummary,
    GatewayClient,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    HoldEvent,
    InsufficientCreditError,
    InvalidCount,
    InvalidRecipient,
    InvalidRequestError,
    Message,
    MessageDelivery,
    MessageOptions,
    Messages,
    MessageSummary,
    NotFoundError,
    Options,
    OutcomeUnknownError,
    Preview,
    Progress,
    Receipt,
    Recipient,
    RecipientReport,
    RetryEvent,
    RetryPolicy,
    Statistics,
    Stats,
    TransactionClosedError,
    UnexpectedResponseError,
    errors,
    measure,
    models,
)
from gateway_sms_async._http.responses import _refusal, decode
from gateway_sms_async._messages import api

from .support.paths import DATA

TEXT = (DATA / "vendor_examples.json").read_text()
WIRE: dict[str, Any] = json.loads(TEXT)
# The same with every number as it is written.
EXACT: dict[str, Any] = json.loads(TEXT, parse_float=Decimal)

ID = "5d443a6e9f2725660f3db347"
NUMBER = "+39-3401234567"
QUICK = RetryPolicy(max_attempts=2, base_delay=0.001, max_delay=0.01)

# An answer must be about the message that was asked for.
IDS = {"get": "5cf7cc139f272546624d3795", "update": "5d4436469f272566771c6671"}
CALLS: dict[str, Callable[[Messages], Awaitable[Any]]] = {
    "list": lambda messages: messages.list(),
    "send": lambda messages: messages.send(
        sender="alberto", body="test invio", recipients=NUMBER, reference="r1"
    ),
    "get": lambda messages: messages.get(IDS["get"]),
    "update": lambda messages: messages.update(
        IDS["update"], recipients=[NUMBER], transaction=True
    ),
    "delete": lambda messages: messages.delete(ID),
    "recipients": lambda messages: messages.recipients(ID),
    "recipient": lambda messages: messages.recipient(ID, NUMBER),
}
DECODERS = {
    "list": api._LIST.decoder,
    "send": api.SEND.decoder,
    "get": api._GET.decoder,
    "update": api._PUT[None].decoder,
    "delete": api._DELETE.decoder,
    "recipients": api._RECIPIENTS.decoder,
    "recipient": api._RECIPIENT.decoder,
}
SUCCESSES = [
    (call, status)
    for call, documented in WIRE.items()
    for status in documented["responses"]
    if int(status) < 300
]
FAILURES = [
    (call, int(status))
    for call, documented in WIRE.items()
    for status in documented["responses"]
    if int(status) >= 400
]

TIMES = {
    "timestamp",
    "last_update",
    "timestamp_send",
    "timestamp_sent",
    "timestamp_delivery",
    "sentAt",
    "doneAt",
}
MONEY = {"priority", "base_price", "price", "real_cost", "pricePerMessage"}
SNAKE = {
    "groupId": "group_id",
    "groupName": "group_name",
    "pricePerMessage": "price_per_message",
    "messageId": "message_id",
    "doneAt": "done_at",
    "sentAt": "sent_at",
    "smsCount": "sms_count",
}
ISO_TIMES = {
    "2020-03-03T15:11:03.168+0100": datetime(2020, 3, 3, 14, 11, 3, 168_000, UTC),
    "2020-03-03T15:11:01.467+0100": datetime(2020, 3, 3, 14, 11, 1, 467_000, UTC),
}


@dataclass
class Canned:
    """A server that gives every request the same response, and records the requests."""

    status: int = 200
    body: bytes = b""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                method, target, _ = line.decode().split()
                length = 0
                while (header := await reader.readline()) not in {b"\r\n", b""}:
                    name, _, value = header.decode().partition(":")
                    if name.lower() == "content-length":
                        length = int(value)
                sent = await reader.readexactly(length)
                self.requests.append((method, target, json.loads(sent) if sent else None))
                head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n\r\n"
                writer.write(head.encode() + self.body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


@asynccontextmanager
async def canned(status: int, body: bytes) -> AsyncIterator[tuple[Canned, GatewayClient]]:
    answers = Canned(status, body)
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    answers.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        async with GatewayClient(
            "token", base_url=answers.url, rate=None, timeout=5, retry=QUICK
        ) as client:
            yield answers, client
    finally:
        server.close()
        await asyncio.sleep(0)


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def example_of(call: str, status: str | None = None) -> Any:
    """A copy of a documented success, to be changed."""
    successes = {key: one for key, one in WIRE[call]["responses"].items() if int(key) < 300}
    return copy.deepcopy(successes[status or next(iter(successes))])


def message_with(**changes: Any) -> bytes:
    envelope = example_of("get")
    envelope["data"][0].update(changes)
    return encoded(envelope)


def message_without(*path: str) -> bytes:
    envelope = example_of("get")
    place = envelope["data"][0]
    for name in path[:-1]:
        place = place[name]
    del place[path[-1]]
    return encoded(envelope)


def decode_message(body: bytes) -> Message | None:
    envelope = decode(DECODERS["get"], body)
    return None if envelope is None else api.only_message(envelope.data)


def decoded_message(**changes: Any) -> Message:
    message = decode_message(message_with(**changes))
    assert message is not None
    return message


def decoded_report(**changes: Any) -> RecipientReport:
    envelope = example_of("recipients")
    envelope["data"][0].update(changes)
    decoded = decode(DECODERS["recipients"], encoded(envelope))
    assert decoded is not None
    return decoded.data[0]


def expected_time(wire: Any) -> datetime:
    if isinstance(wire, str) and wire in ISO_TIMES:
        return ISO_TIMES[wire]
    if isinstance(wire, dict):
        wire = wire["$date"]["$numberLong"]
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(wire))


def differences(model: Any, document: dict[str, Any], where: str = "") -> list[str]:
    """Return every field of the JSON that the model does not return as expected."""
    found: list[str] = []
    for name, wire in document.items():
        place = f"{where}.{name}"
        value = getattr(model, SNAKE.get(name, name), AttributeError)
        if isinstance(value, msgspec.Struct):
            found += differences(value, wire, place)
            continue
        expected = wire
        if name in TIMES:
            expected = expected_time(wire)
            if not isinstance(value, datetime) or value.utcoffset() != timedelta(0):
                found.append(f"{place} is not an aware UTC time: {value!r}")
        elif name in MONEY:
            expected = Decimal(wire)
            if not isinstance(value, Decimal) or str(value) != str(wire):
                found.append(f"{place} is not exact: {value!r}")
        elif name == "fields":
            expected = dict(wire)
        elif name == "list":
            expected = tuple(wire)
        if value != expected:
            found.append(f"{place}: {value!r} instead of {expected!r}")
    return found


# The vendor's examples


def test_the_examples_are_all_there() -> None:
    assert set(WIRE) == set(CALLS)
    assert len(SUCCESSES) == 7
    assert len(FAILURES) == 16


@pytest.mark.parametrize(("call", "status"), SUCCESSES)
def test_a_documented_success_loses_no_field(call: str, status: str) -> None:
    documented = EXACT[call]["responses"][status]
    envelope = decode(DECODERS[call], encoded(WIRE[call]["responses"][status]))
    assert envelope is not None
    assert envelope.success is True
    assert envelope.message == documented["message"]
    if "credit" in documented:
        assert models.parse_money(envelope.credit) == Decimal(documented["credit"])
    data, wire = envelope.data, documented["data"]
    if isinstance(data, msgspec.Raw):
        data = msgspec.json.decode(data)
    if not isinstance(wire, list):
        data, wire = [data], [wire]
    assert len(data) == len(wire)
    for model, document in zip(data, wire, strict=True):
        assert differences(model, document) == []


@pytest.mark.parametrize(("call", "status"), SUCCESSES)
async def test_a_documented_success_arrives_whole_through_its_call(call: str, status: str) -> None:
    documented = EXACT[call]["responses"][status]
    async with canned(int(status), encoded(WIRE[call]["responses"][status])) as (server, client):
        answer = await CALLS[call](client.messages)
        assert len(server.requests) == 1
        method, target, _ = server.requests[0]
        assert method == WIRE[call]["method"]
        assert target == WIRE[call]["path"].format(id=IDS.get(call, ID), number=NUMBER)
        credit = documented.get("credit")
        assert client.credit == (None if credit is None else Decimal(credit))
    if call == "delete":
        assert answer is None
        return
    wire = documented["data"]
    if isinstance(wire, list) and not isinstance(answer, list):
        [wire] = wire
    if isinstance(answer, list):
        assert len(answer) == len(wire)
        for model, document in zip(answer, wire, strict=True):
            assert differences(model, document) == []
    else:
        assert differences(answer, wire) == []


@pytest.mark.parametrize(("call", "status"), FAILURES)
async def test_a_documented_failure_is_an_error_with_its_code(call: str, status: int) -> None:
    documented = WIRE[call]["responses"][str(status)]
    async with canned(status, encoded(documented)) as (server, client):
        if (call, status) == ("list", 404):
            assert await client.messages.list() == []
            return
        with pytest.raises(GatewayError) as caught:
            await CALLS[call](client.messages)
        assert len(server.requests) == 1
    error = caught.value
    kinds = {402: InsufficientCreditError, 404: NotFoundError}
    kind = TransactionClosedError if documented["error"] == 212 else InvalidRequestError
    assert type(error) is kinds.get(status, kind)
    assert isinstance(error, errors.APIError)
    assert (error.status, error.code) == (status, documented["error"])
    assert error.detail == documented["message"]
    assert documented["message"] not in str(error)


async def test_the_documented_requests_can_be_made() -> None:
    async with canned(201, encoded(example_of("send"))) as (server, client):
        await client.messages.send(
            sender="alberto", body="test invio", recipients=NUMBER, options=Options(custom="mine")
        )
    [(_, _, body)] = server.requests
    documented = copy.deepcopy(WIRE["send"]["request"])
    assert documented.pop("test") is False  # the default, left out
    assert body == documented | {"recipients": NUMBER, "options": {"custom": "mine"}}

    async with canned(200, encoded(example_of("update"))) as (server, client):
        await client.messages.update(
            IDS["update"], recipients=[NUMBER], timestamp_send=date(2093, 12, 25)
        )
    [(_, _, body)] = server.requests
    # The day of the vendor's example has passed.
    options = WIRE["update"]["request"]["options"] | {"timestamp_send": "2093-12-25"}
    assert body == WIRE["update"]["request"] | {"recipients": [NUMBER], "options": options}


# Oddities

SECONDS = datetime(2020, 3, 3, 14, 11, 3, 168_000, UTC)


@pytest.mark.parametrize(
    ("wire", "moment"),
    [
        ("1583244663168", SECONDS),
        (1583244663168, SECONDS),
        ({"$date": {"$numberLong": "1583244663168"}}, SECONDS),
        ({"$date": 1583244663168}, SECONDS),
        ({"$date": "2020-03-03T14:11:03.168Z"}, SECONDS),
        ({"$numberLong": "1583244663168"}, SECONDS),
        ("2020-03-03T15:11:03.168+0100", SECONDS),
        ("2020-03-03T14:11:03.168Z", SECONDS),
        ("2020-03-03T14:11:03.168", SECONDS),
        ("-1000", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("326152800000", datetime(1980, 5, 2, 22, 0, tzinfo=UTC)),
        (None, None),
        ("", None),
        ("-", None),
        ("--5", None),
        ("soon", None),
        ([], None),
        ({}, None),
        ({"$date": {}}, None),
        ({"$date": None}, None),
        ({"when": 5}, None),
        (10**30, None),
        ("9" * 5000, None),
        ("0001-01-01T00:00:00+23:59", None),
        (1e300, None),
        (True, None),
        ({"$date": {"$numberLong": False}}, None),
    ],
)
def test_a_time_in_any_form_is_read_and_garbage_is_none(wire: Any, moment: datetime | None) -> None:
    message = decoded_message(timestamp=wire, last_update=wire, options={"timestamp_send": wire})
    assert message.timestamp == moment
    assert message.last_update == moment
    assert message.options.timestamp_send == moment
    report = decoded_report(timestamp_sent=wire, timestamp_delivery=wire, report={"sentAt": wire})
    assert report.timestamp_sent == moment
    assert report.timestamp_delivery == moment
    assert report.report is not None
    assert report.report.sent_at == moment
    assert report.report.done_at is None


@pytest.mark.parametrize(
    ("wire", "amount"),
    [
        (b'"91.00299999999986"', "91.00299999999986"),
        (b"90.20949999999985", "90.20949999999985"),
        (b"0.10000000000000000000000000001", "0.10000000000000000000000000001"),
        (b"1.00", "1.00"),
        (b"12", "12"),
        (b"-3.5", "-3.5"),
        (b'" 4.20 "', "4.20"),
        (b"null", None),
        (b'""', None),
        (b'"a lot"', None),
        (b'"NaN"', None),
        (b'"Infinity"', None),
        (b"true", None),
        (b"[]", None),
        (b"{}", None),
    ],
)
def test_money_is_exact_and_garbage_is_none(wire: bytes, amount: str | None) -> None:
    envelope = encoded(example_of("get")).replace(b'"90.97149999999986"', wire)
    decoded = decode(DECODERS["get"], envelope.replace(b'"price": 0.036', b'"price": ' + wire))
    assert decoded is not None
    expected = None if amount is None else Decimal(amount)
    assert models.parse_money(decoded.credit) == expected
    price = api.only_message(decoded.data).price
    assert price == expected
    assert str(price) == str(amount)


@pytest.mark.parametrize("odd", [[], None, "none", 7, {}])
def test_odd_extras_of_a_message_read_as_empty(odd: Any) -> None:
    message = decoded_message(options=odd, statistics=odd)
    assert message.options == MessageOptions()
    assert message.options.custom is msgspec.UNSET
    assert message.statistics == Statistics()
    assert message.valid == 1


def test_one_odd_option_does_not_hide_the_others() -> None:
    # `find` looks for the reference in `custom`: a flag written as 0 must not hide it.
    options = decoded_message(options={"flash": 0, "realtime": "no", "custom": "ref"}).options
    assert options.custom == "ref"


def test_one_odd_count_does_not_hide_the_others() -> None:
    statistics = decoded_message(statistics={"error": "0", "sent": 5, "delivered": 4}).statistics
    assert (statistics.sent, statistics.delivered) == (5, 4)


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        ([], {}),
        (None, {}),
        ({}, {}),
        ({"name": "Ada"}, {"name": "Ada"}),
        ({"name": None}, {"name": None}),
        ("x", {}),
        ([{"name": "Ada"}], {}),
    ],
)
def test_fields_of_a_recipient_in_any_form(wire: Any, expected: dict[str, Any]) -> None:
    assert decoded_report(fields=wire).fields == expected


@pytest.mark.parametrize("odd", [None, [], "x", 3])
def test_a_report_that_is_none_or_odd_is_none(odd: Any) -> None:
    assert decoded_report(report=odd).report is None


def test_a_report_with_nothing_in_it_is_a_report() -> None:
    report = decoded_report(report={"status": None, "error": {}, "new": {"deep": [1]}}).report
    assert report is not None
    assert report.status is None
    assert report.error is not None
    assert report.error.permanent is None
    assert report.sent_at is None


def test_unknown_fields_are_ignored_everywhere() -> None:
    envelope = example_of("get")
    envelope["more"] = {"deep": [1, 2]}
    for place in (
        envelope["data"][0],
        envelope["data"][0]["recipients"],
        envelope["data"][0]["recipients"]["valid"],
        envelope["data"][0]["recipients"]["invalid"],
        envelope["data"][0]["options"],
        envelope["data"][0]["statistics"],
    ):
        place["unheard"] = [{"of": None}]
    message = decode_message(encoded(envelope))
    assert message is not None
    assert differences(message, EXACT["get"]["responses"]["200"]["data"][0]) == []


@pytest.mark.parametrize("state", [0, 2, 99, -1, "EXPIRED", "", None])
def test_an_unknown_state_of_a_message_is_kept(state: Any) -> None:
    assert decoded_message(state=state).state == state


@pytest.mark.parametrize("state", ["DELIVERED", "SHREDDED", "", None, 7])
def test_an_unknown_state_of_a_recipient_is_kept(state: Any) -> None:
    assert decoded_report(state=state).state in {state, str(state)}


def test_an_odd_extra_of_one_recipient_does_not_hide_the_list() -> None:
    # Decisions by the list of recipients depend on `number` only.
    envelope = example_of("recipients")
    odd = envelope["data"][0] | {"sms": "1", "i": "0", "remaining_chr": 147.0}
    envelope["data"] = [envelope["data"][0], odd]
    decoded = decode(DECODERS["recipients"], encoded(envelope))
    assert decoded is not None
    assert [one.number for one in decoded.data] == ["+39-3xxxxx5018"] * 2


def test_custom_tells_null_from_absent_and_keeps_anything() -> None:
    assert decoded_message(options={}).options.custom is msgspec.UNSET
    assert decoded_message(options={"custom": None}).options.custom is None
    for custom in ("text", 5, 1.5, True, [], {}, [1, {"a": [None]}], {"n": {"m": "o"}}):
        assert decoded_message(options={"custom": custom}).options.custom == custom


@pytest.mark.parametrize("named", [None, [], {}, "x", [1, None, {}]])
def test_an_invalid_list_of_any_shape_leaves_the_total(named: Any) -> None:
    counts = {"valid": {"count": 3}, "invalid": {"total": 2, "list": named}}
    message = decoded_message(recipients=counts)
    assert (message.valid, message.invalid) == (3, 2)
    assert message.recipients.invalid.list == ()


def test_an_invalid_list_is_kept_as_the_gateway_writes_it() -> None:
    written = ["+39340", " +39-1 ", "né"]
    counts = {"valid": {"count": 0}, "invalid": {"total": 4, "list": [*written, 5]}}
    assert decoded_message(recipients=counts).recipients.invalid.list == tuple(written)


# Strict where texts depend on it

UNDECODABLE = {
    "no transaction": message_without("transaction"),
    "no id": message_without("id"),
    "no recipients": message_without("recipients"),
    "no valid": message_without("recipients", "valid"),
    "no count": message_without("recipients", "valid", "count"),
    "no invalid": message_without("recipients", "invalid"),
    "no total": message_without("recipients", "invalid", "total"),
    "transaction null": message_with(transaction=None),
    "transaction 0": message_with(transaction=0),
    "transaction text": message_with(transaction="false"),
    "id null": message_with(id=None),
    "id number": message_with(id=5),
    "recipients list": message_with(recipients=["+39-340"]),
    **{
        f"count {count!r}": message_with(
            recipients={"valid": {"count": count}, "invalid": {"total": 0}}
        )
        for count in ("1", 1.0, None, True, [])
    },
    **{
        f"total {total!r}": message_with(
            recipients={"valid": {"count": 1}, "invalid": {"total": total}}
        )
        for total in ("0", 0.0, None, False)
    },
    "two messages": encoded({"data": example_of("get")["data"] * 2, "success": True}),
    "no message": encoded({"data": [], "success": True}),
    "data null": encoded({"data": None, "success": True}),
    "no data": encoded({"success": True}),
    "no success": encoded({"data": example_of("get")["data"]}),
    "success text": encoded({"data": example_of("get")["data"], "success": "true"}),
    "success 1": encoded({"data": example_of("get")["data"], "success": 1}),
}


@pytest.mark.parametrize("body", UNDECODABLE.values(), ids=UNDECODABLE.keys())
def test_what_matters_never_gets_a_default(body: bytes) -> None:
    assert decode(DECODERS["get"], body) is None


async def test_an_undecodable_answer_is_unexpected_when_read_and_unknown_when_sent() -> None:
    async with canned(200, UNDECODABLE["no count"]) as (server, client):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.messages.get(ID)
        assert caught.value.status == 200
        with pytest.raises(OutcomeUnknownError) as lost:
            await CALLS["update"](client.messages)
        assert isinstance(lost.value.__cause__, UnexpectedResponseError)
        assert [method for method, _, _ in server.requests].count("PUT") == 1


async def test_a_yes_that_says_no_is_no_success() -> None:
    body = encoded(example_of("get") | {"success": False})
    async with canned(200, body) as (_, client):
        with pytest.raises(UnexpectedResponseError):
            await client.messages.get(ID)


@pytest.mark.parametrize(
    "said", ["text", None, 5, ["a list"], {"recipients": ["wrong"]}, "absent"], ids=repr
)
async def test_a_no_in_the_gateways_words_is_a_no_whatever_its_message(said: Any) -> None:
    refusal = {"success": False, "error": 201, "data": None, "message": said}
    if said == "absent":
        del refusal["message"]
    async with canned(402, encoded(refusal)) as (server, client):
        with pytest.raises(InsufficientCreditError) as caught:
            await CALLS["send"](client.messages)
        assert caught.value.code == 201
        assert len(server.requests) == 1


# Fuzz

DEEP = 100_000
EVIL: dict[str, bytes] = {
    "nothing": b"",
    "blanks": b" \r\n",
    "html": b"<html>502 Bad Gateway</html>",
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep, unfinished": b"[" * DEEP,
    "deep in data": b'{"success":true,"data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep in an ignored field": b'{"zz":'
    + b"[" * DEEP
    + b"]" * DEEP
    + b',"success":true,"data":1}',
    "deep in credit": b'{"credit":' + b"[" * DEEP + b"]" * DEEP + b',"success":true,"data":1}',
    "deep, encoded twice": json.dumps("[" * DEEP).encode(),
    "latin-1": '{"success":true,"data":"Società"}'.encode("latin-1"),
    "latin-1 name": '{"Società":1,"success":true,"data":7}'.encode("latin-1"),
    "half a character": b'{"success":true,"data":"\xe2\x82"}',
    "lone surrogate": b'{"success":true,"data":"\\ud800"}',
    "lone surrogate, encoded twice": b'"\\ud800"',
    "utf-16": '{"success":true,"data":7}'.encode("utf-16"),
    "huge number": b'{"success":true,"data":' + b"9" * 10_000 + b"}",
    "huge exponent": b'{"success":true,"data":1e99999}',
    "huge error": b'{"success":false,"error":' + b"9" * 10_000 + b"}",
    "byte order mark": b"\xef\xbb\xbf" + encoded({"success": True, "data": 7}),
    "trailing html": encoded({"success": True, "data": 7}) + b"<html>",
    "two documents": encoded({"success": True, "data": 7}) * 2,
    "duplicate keys": b'{"success":false,"data":1,"data":7,"success":true}',
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "text": b'"text"',
    "text in text": json.dumps(json.dumps(json.dumps({"success": True, "data": 7}))).encode(),
    "nul": b"\0",
    "cut": encoded(example_of("get"))[:-9],
}
PLACES = sorted(DECODERS)


def look_at_everything(thing: Any) -> None:
    """Read every property and the repr, as a user or a log would."""
    repr(thing)
    if isinstance(thing, list | tuple):
        for one in thing:
            look_at_everything(one)
    if isinstance(thing, msgspec.Struct):
        for name in dir(type(thing)):
            if not name.startswith("_") and not callable(getattr(type(thing), name)):
                look_at_everything(getattr(thing, name))


def decode_and_look(body: bytes) -> None:
    for call in PLACES:
        envelope = decode(DECODERS[call], body)
        if envelope is not None:
            models.parse_money(envelope.credit)
            look_at_everything(envelope.data)
    refusal = decode(_refusal, body)
    if refusal is not None:
        repr(refusal)


@pytest.mark.parametrize("body", EVIL.values(), ids=EVIL.keys())
def test_evil_bodies_decode_to_nothing_or_to_something_readable(body: bytes) -> None:
    decode_and_look(body)


@settings(max_examples=300, deadline=None)
@given(st.binary())
def test_any_bytes_decode_to_nothing_or_to_something_readable(body: bytes) -> None:
    decode_and_look(body)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["1", "0.5", "1564411330117", "2020-03-03T15:11:03.168+0100", "NaN", "1e9"]),
    lambda inside: (
        st.lists(inside, max_size=4)
        | st.dictionaries(st.text(max_size=8) | st.sampled_from(["$date", "$numberLong"]), inside)
    ),
    max_leaves=12,
)


def places_of(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = (
        list(document.items())
        if isinstance(document, dict)
        else list(enumerate(document))
        if isinstance(document, list)
        else []
    )
    return [path, *(place for key, one in inside for place in places_of(one, (*path, key)))]


def replaced(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = replaced(document[path[0]], path[1:], value)
    return changed


MUTABLE = [
    (call, path)
    for call, status in SUCCESSES
    for path in places_of(WIRE[call]["responses"][status])
]


@settings(max_examples=500, deadline=None)
@given(where=st.sampled_from(MUTABLE), value=JSON)
@example(where=("get", ("data", 0, "price")), value="1e999999999")
@example(where=("get", ("data", 0, "id")), value="../../x")
def test_a_documented_answer_with_one_odd_part_is_nothing_or_readable(
    where: tuple[str, tuple[Any, ...]], value: Any
) -> None:
    call, path = where
    decode_and_look(encoded(replaced(example_of(call), path, value)))


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_as_an_extra_part_never_raises(value: Any) -> None:
    raw = msgspec.Raw(encoded(value))
    moment = models.parse_time(raw)
    assert moment is None or moment.utcoffset() == timedelta(0)
    amount = models.parse_money(raw)
    assert amount is None or amount.is_finite()
    message = decoded_message()
    look_at_everything(
        msgspec.structs.replace(message, wire_options=raw, wire_statistics=raw, wire_priority=raw)
    )
    look_at_everything(
        msgspec.structs.replace(decoded_report(), wire_fields=raw, wire_report=raw, wire_price=raw)
    )


async def test_evil_bodies_reach_the_caller_as_typed_errors_only() -> None:
    async with canned(200, b"") as (server, client):
        patient = client.with_options(retry=RetryPolicy(max_attempts=1))
        for name, body in EVIL.items():
            for status in (200, 402, 503):
                server.status, server.body = status, body
                for call, make in CALLS.items():
                    server.requests.clear()
                    try:
                        await make(patient.messages)
                    except GatewayError as error:
                        text = repr(error) + str(error)
                        assert "Società" not in text, (name, status, call)
                    methods = [method for method, _, _ in server.requests]
                    assert methods.count("POST") == (call == "send"), (name, status, call)
                    assert methods.count("PUT") == (call == "update"), (name, status, call)


# What is shown

CANARY_NUMBERS = ("+39-3401234567", "+393401234567", "393401234567", "3401234567", "340 123 4567")
CANARY_TEXT = "canary-text"


def canary_message() -> Message:
    counts = {"valid": {"count": 0}, "invalid": {"total": 1, "list": [CANARY_NUMBERS[0]]}}
    return decoded_message(
        sender=CANARY_NUMBERS[2],
        body=CANARY_TEXT,
        recipients=counts,
        options={"custom": CANARY_TEXT, "callback_url": "https://x.example/" + CANARY_TEXT},
    )


def canary_report() -> RecipientReport:
    return decoded_report(
        number=CANARY_NUMBERS[0],
        body=CANARY_TEXT,
        fields={"name": CANARY_TEXT},
        report={"to": CANARY_NUMBERS[2], "price": {"pricePerMessage": 1}},
    )


def _summary() -> MessageSummary:
    return msgspec.convert({"id": ID, "sender": CANARY_NUMBERS[2]}, MessageSummary)


def _delivery() -> DeliveryReport:
    report = canary_report().report
    assert report is not None
    assert report.to == CANARY_NUMBERS[2]
    return report


def _followed() -> MessageDelivery:
    return MessageDelivery(
        message_id=ID,
        counts={DeliveryState.DELIVERED: 1},
        message=canary_message(),
    )


SHOWN: dict[str, Callable[[], object]] = {
    "Callback": lambda: Callback(
        message_id="5af0c2a1d7e3b40001a2b3c4",
        number=CANARY_NUMBERS[0],
        state="DELIVERED",
        delivery=DeliveryState.DELIVERED,
        statistics=canary_message().statistics,
        last_update=datetime(2030, 1, 1, tzinfo=UTC),
        reference=CANARY_TEXT,
    ),
    "CampaignStatus": CampaignStatus,
    "DeliveryChange": lambda: DeliveryChange(
        CANARY_NUMBERS[0], DeliveryState.DELIVERED, canary_report()
    ),
    "DeliverySummary": lambda: DeliverySummary(
        counts={DeliveryState.DELIVERED: 1}, messages=[_followed()], complete=True
    ),
    "MessageDelivery": _followed,
    "Message": canary_message,
    "MessageSummary": _summary,
    "MessageOptions": lambda: canary_message().options,
    "RecipientCounts": lambda: canary_message().recipients,
    "InvalidCount": lambda: canary_message().recipients.invalid,
    "ValidCount": lambda: canary_message().recipients.valid,
    "Statistics": lambda: canary_message().statistics,
    "RecipientReport": canary_report,
    "DeliveryReport": _delivery,
    "DeliveryPrice": lambda: _delivery().price,
    "DeliveryStatus": lambda: decoded_report().report.status,
    "DeliveryError": lambda: decoded_report().report.error,
    "Options": lambda: Options(custom=CANARY_TEXT, callback_url="https://x.example/" + CANARY_TEXT),
    "Recipient": lambda: Recipient(CANARY_NUMBERS[1], {"name": CANARY_TEXT}),
    "InvalidRecipient": lambda: InvalidRecipient(CANARY_NUMBERS[4], "too long", 3),
    "Receipt": lambda: Receipt(
        total=3,
        unsent=(CANARY_NUMBERS[0],),
        unknown=(CANARY_NUMBERS[1],),
        doubled=(CANARY_NUMBERS[2],),
        invalid=(InvalidRecipient(CANARY_NUMBERS[4], "too long", 3),),
    ),
    "Progress": Progress,
    "Preview": lambda: Preview(
        total=1, invalid=(InvalidRecipient(CANARY_NUMBERS[4], "too long", 3),)
    ),
    "CountryPreview": CountryPreview,
    "TextSize": lambda: measure(CANARY_TEXT),
    "RetryPolicy": RetryPolicy,
    "AttemptEvent": lambda: AttemptEvent(
        operation="read",
        method="GET",
        base_url="https://gw.example",
        url_template="/messages/{id}/recipients/{number}",
        message_id=ID,
        outcome="rejected",
        status=404,
        code=203,
        error="NotFoundError",
        tries=1,
        waited=0.0,
        duration=0.1,
        request_bytes=0,
        response_bytes=100,
    ),
    "HoldEvent": lambda: HoldEvent(operation="send", seconds=1.0, retry_after=None),
    "RetryEvent": lambda: RetryEvent(
        operation="send", message_id=None, wait=1.0, tries=1, error="ServerError", budget_left=486
    ),
    "BatchEvent": lambda: BatchEvent(
        number=0, message_id=ID, batch=0, recipients=500, outcome="acknowledged"
    ),
    "CloseEvent": lambda: CloseEvent(result="closed", message_id=ID, price=Decimal("0.03")),
    "Stats": Stats,
    "GatewayClient": lambda: GatewayClient("canary-text"),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_the_repr_shows_no_number_and_no_text(kind: str) -> None:
    thing = SHOWN[kind]()
    assert type(thing).__name__ == kind
    for canary in (*CANARY_NUMBERS, CANARY_TEXT):
        assert canary not in repr(thing)
        assert canary not in f"{thing} {[thing]} {(thing,)!r}"


def test_every_public_data_type_is_looked_at() -> None:
    data = {
        name
        for name in gateway_sms_async.__all__
        if isinstance(kind := getattr(gateway_sms_async, name), type)
        and (issubclass(kind, msgspec.Struct) or hasattr(kind, "__dataclass_fields__"))
    }
    assert data <= set(SHOWN)


def test_invalid_count_as_users_would_see_it_in_a_message() -> None:
    counted = InvalidCount(total=1, wire_list=msgspec.Raw(b'["+39-3401234567"]'))
    assert repr(counted) == "InvalidCount(total=1)"
    assert counted.list == ("+39-3401234567",)


# Options and dates


def test_a_datetime_is_no_date() -> None:
    with pytest.raises(TypeError, match="date"):
        Options(timestamp_send=datetime(2030, 1, 1, 12, 0, tzinfo=UTC))
    with pytest.raises(TypeError, match="date"):
        Options(timestamp_send="2030-01-01")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://x.example/", "https://", "//x.example", "javascript:alert(1)", 5]
)
def test_a_callback_that_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        Options(callback_url=url)


def test_a_callback_field_needs_an_address() -> None:
    with pytest.raises(ValueError, match="callback_url"):
        Options(callback_field="payload")


# Errors can be pickled

VALUES: dict[str, Any] = {
    "status": 422,
    "code": 212,
    "retry_after": 1.5,
    "detail": "in words",
    "reference": "ref-1",
    "receipt": Receipt(
        total=2,
        accepted=1,
        invalid=(InvalidRecipient("+39 1", "too short", 1),),
        cost=Decimal("0.03"),
    ),
    "reason": "stopped",
    "resumable": True,
    "journal": Path("campaign.db"),
    "number": "+39 1",
}


def made(kind: type[Exception]) -> Exception:
    parameters = [
        one for one in inspect.signature(kind).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    values = {one.name: VALUES[one.name] for one in parameters if one.name != "message"}
    if "message" in {one.name for one in parameters}:
        values["message"] = canary_message()
    return kind("what happened", **values)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Message):
        return (
            one.id == other.id
            and one.valid == other.valid
            and one.transaction == other.transaction
            and one.body == other.body
            and one.recipients.invalid.list == other.recipients.invalid.list
            and one.price == other.price
            and one.timestamp == other.timestamp
            and one.options.custom == other.options.custom
        )
    return bool(one == other)


COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{
        f"pickle {protocol}": lambda thing, protocol=protocol: pickle.loads(
            pickle.dumps(thing, protocol)
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_travels_with_its_attributes(name: str, how: str) -> None:
    error = made(getattr(errors, name))
    error.add_note("a note")
    again = COPIES[how](error)
    assert type(again) is type(error)
    assert str(again) == str(error) == "what happened"
    assert again.args == ("what happened",)
    assert set(again.__dict__) == set(error.__dict__)
    assert all(same(value, again.__dict__[name]) for name, value in error.__dict__.items())
    assert again.__notes__ == ["a note"]
    twice = COPIES[how](again)
    assert str(twice) == "what happened"


def test_every_class_in_errors_is_public_and_known() -> None:
    classes = {
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and one.__module__ == errors.__name__
    }
    assert classes == set(errors.__all__)
    assert classes <= set(gateway_sms_async.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_says_its_message_and_no_attribute_of_its_own(name: str) -> None:
    error = made(getattr(errors, name))
    assert str(error) == "what happened"
    assert repr(error) == f"{name}('what happened')"
    assert isinstance(error, GatewayError) or name == "InvalidNumberError"


def test_errors_are_also_what_python_calls_them() -> None:
    assert issubclass(GatewayConnectionError, ConnectionError)
    assert issubclass(GatewayTimeoutError, TimeoutError)
    assert issubclass(errors.InvalidNumberError, ValueError)
    assert not issubclass(errors.ServerError, TimeoutError)
    assert issubclass(TransactionClosedError, InvalidRequestError)


def without_addresses(thing: object) -> str:
    return re.sub(" at 0x[0-9a-f]+", "", repr(thing))


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", [kind for kind in SHOWN if kind != "GatewayClient"])
def test_answers_and_receipts_travel_too(kind: str, how: str) -> None:
    thing = SHOWN[kind]()
    again = COPIES[how](thing)
    assert type(again) is type(thing)
    assert without_addresses(again) == without_addresses(thing)
    assert same(thing, again) or isinstance(thing, msgspec.Struct)


@pytest.mark.parametrize("module", [errors, models], ids=lambda module: module.__name__)
def test_completion_offers_public_names_only(module: Any) -> None:
    assert [name for name in dir(module) if not name.startswith("__")] == sorted(module.__all__)
