"""The seven calls against the simulator: requests, responses, and calls that are refused before."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings, strategies as st

from gateway_sms_async import (
    APIError,
    AuthenticationError,
    GatewayClient,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    InsufficientCreditError,
    InvalidNumberError,
    InvalidRequestError,
    Message,
    Messages,
    NotFoundError,
    Options,
    OutcomeUnknownError,
    RateLimitError,
    Recipient,
    RecipientsRejectedError,
    RetryPolicy,
    ServerError,
    TransactionClosedError,
    UnexpectedResponseError,
)
from gateway_sms_async._messages.draft import Draft
from gateway_sms_async._recipients.wire import wire_recipients
from gateway_sms_async.testing import Dialect, Fault, Simulator

A, B, C = "+39-3401234567", "+44-7911123456", "+1-2025550123"
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
ONCE = RetryPolicy(max_attempts=1)
UNHEARD_OF = "0123456789abcdef01234567"
ALWAYS = {"sender": "ACME", "body": "Ciao"}
LATER = date.today() + timedelta(days=30)  # noqa: DTZ011 - any day to come will do


def posts(simulator: Simulator) -> int:
    return sum(one.method == "POST" for one in simulator.requests)


def wire_of(simulator: Simulator) -> dict[str, Any]:
    """The body of the newest request, without the random reference."""
    body = dict(simulator.requests[-1].body)
    if set(body.get("options") or ()) == {"custom"}:
        del body["options"]
    return body


@asynccontextmanager
async def against(
    simulator: Simulator, **settings_of_the_client: Any
) -> AsyncIterator[GatewayClient]:
    options = {"rate": None, "timeout": 5, "retry": QUICK} | settings_of_the_client
    async with (
        simulator,
        GatewayClient(simulator.token, base_url=simulator.url, **options) as client,
    ):
        yield client


@pytest.fixture
def messages(gateway: GatewayClient) -> Messages:
    return gateway.messages


# What a send puts on the wire


async def test_send_leaves_the_defaults_out(simulator: Simulator, messages: Messages) -> None:
    message = await messages.send(sender="ACME", body="Ciao", recipients=A)
    [request] = simulator.requests
    assert (request.method, request.path, request.operation) == ("POST", "/messages/", "send")
    assert set(request.body) == {"sender", "body", "recipients", "options"}
    assert wire_of(simulator) == {"sender": "ACME", "body": "Ciao", "recipients": A}
    assert request.headers["content-type"] == "application/json"
    assert (message.valid, message.invalid, message.transaction) == (1, 0, False)
    assert message.body == "Ciao"
    assert message.sender == "ACME"
    assert simulator.ledger == {A: 1}


async def test_send_writes_every_documented_field(simulator: Simulator, messages: Messages) -> None:
    message = await messages.send(
        sender="+391234567",
        body='Società €5 "😀"\n',
        recipients=[A, B],
        test=True,
        transaction=True,
        priority=Decimal("1.25"),
        options=Options(
            flash=True,
            realtime=True,
            timestamp_send=date(2031, 5, 20),
            custom={"order": [1, None, "x"]},
            callback_url="https://example.com/hook?x=1",
            callback_field="payload",
        ),
    )
    assert simulator.requests[-1].body == {
        "sender": "+391234567",
        "body": 'Società €5 "😀"\n',
        "recipients": [A, B],
        "test": True,
        "transaction": True,
        "priority": 1.25,
        "options": {
            "flash": True,
            "realtime": True,
            "timestamp_send": "2031-05-20",
            "custom": {"order": [1, None, "x"]},
            "callback_url": "https://example.com/hook?x=1",
            "callback_field": "payload",
        },
    }
    assert message.test is True
    assert message.transaction is True
    assert message.priority == Decimal("1.25")
    assert message.options.flash is True
    assert message.options.realtime is True
    assert message.options.callback_url == "https://example.com/hook?x=1"
    assert message.options.callback_field == "payload"
    assert message.options.custom == {"order": [1, None, "x"]}
    # Midnight in Italy, the time zone of the simulator.
    assert message.options.timestamp_send == datetime(2031, 5, 19, 23, tzinfo=UTC)


def generated() -> Any:
    yield A
    yield Recipient(B)


FORMS: dict[str, tuple[Any, Any]] = {
    "text": (A, A),
    "text in another form": ("0039 340 123.45-67", A),
    "Recipient": (Recipient("+393401234567"), A),
    "Recipient with fields": (
        Recipient(A, {"name": "Ada"}),
        {"number": A, "fields": {"name": "Ada"}},
    ),
    "list of one": ([A], [A]),
    "list": ([A, "+447911123456", C], [A, B, C]),
    "tuple of numbers": ((A, B), [A, B]),
    "set": ({A}, [A]),
    "dict's keys": ({A: 1, B: 2}.keys(), [A, B]),
    "generator": (generated(), [A, B]),
    "one personalised": ([(A, {"name": "Ada"})], {"number": A, "fields": {"name": "Ada"}}),
    "several personalised": (
        [(A, {"name": "Ada"}), Recipient(B, {"name": "Bob"})],
        [{"number": A, "fields": {"name": "Ada"}}, {"number": B, "fields": {"name": "Bob"}}],
    ),
    "mixed": (
        [A, (B, {"name": "Bob"})],
        [{"number": A, "fields": {}}, {"number": B, "fields": {"name": "Bob"}}],
    ),
    "the first of a repeated one": (
        [(A, {"name": "Ada"}), ("+39 340 1234567", {"name": "Eve"})],
        {"number": A, "fields": {"name": "Ada"}},
    ),
}


@pytest.mark.parametrize(("given_as", "expected"), FORMS.values(), ids=FORMS.keys())
async def test_recipients_may_be_given_as(
    given_as: Any, expected: Any, simulator: Simulator, messages: Messages
) -> None:
    sources = generated() if hasattr(given_as, "gi_frame") else given_as
    await messages.send(**ALWAYS, recipients=sources)
    assert wire_of(simulator)["recipients"] == expected
    assert set(simulator.ledger.values()) == {1}
    opened = await messages.send(**ALWAYS, recipients=C, transaction=True)
    sources = generated() if hasattr(given_as, "gi_frame") else given_as
    await messages.update(opened.id, recipients=sources)
    assert simulator.requests[-1].body == {"recipients": expected}


async def test_a_number_given_twice_is_sent_to_once(
    simulator: Simulator, messages: Messages
) -> None:
    written = [A, B, "+393401234567", "0039-340-1234567", " +39 (340) 123 4567 ", B]
    message = await messages.send(**ALWAYS, recipients=written)
    assert simulator.requests[-1].body["recipients"] == [A, B]
    assert message.valid == 2
    assert simulator.ledger == {A: 1, B: 1}


async def test_placeholders_are_filled_for_each(simulator: Simulator, messages: Messages) -> None:
    message = await messages.send(
        sender="ACME", body="Ciao {{name}}", recipients=[(A, {"name": "Ada"}), (B, {"name": "Bob"})]
    )
    reports = await messages.recipients(message.id)
    assert [report.body for report in reports] == ["Ciao Ada", "Ciao Bob"]
    assert [report.fields for report in reports] == [{"name": "Ada"}, {"name": "Bob"}]


# The reference


async def test_send_leaves_a_random_reference(simulator: Simulator, messages: Messages) -> None:
    for _ in range(2):
        await messages.send(**ALWAYS, recipients=A)
    first, second = (one.body["options"]["custom"] for one in simulator.requests)
    assert first != second
    assert re.fullmatch("[0-9a-f]{32}", first)


async def test_send_leaves_the_callers_reference_beside_the_options(
    simulator: Simulator, messages: Messages
) -> None:
    await messages.send(**ALWAYS, recipients=A, reference="order-7", options=Options(flash=True))
    assert simulator.requests[-1].body["options"] == {"flash": True, "custom": "order-7"}


@pytest.mark.parametrize("custom", ["mine", {"a": 1}, [], 0, False, ""])
async def test_send_keeps_the_callers_custom(
    custom: Any, simulator: Simulator, messages: Messages
) -> None:
    message = await messages.send(**ALWAYS, recipients=A, options=Options(custom=custom))
    assert simulator.requests[-1].body["options"] == {"custom": custom}
    assert message.options.custom == custom


async def test_find_returns_the_newest_with_the_reference(messages: Messages) -> None:
    older = await messages.send(**ALWAYS, recipients=A, reference="same")
    newer = await messages.send(**ALWAYS, recipients=A, reference="same")
    other = await messages.send(**ALWAYS, recipients=A, reference="other")
    assert older.id != newer.id
    found = await messages.find("same")
    assert found is not None
    assert found.id == newer.id
    found = await messages.find("other")
    assert found is not None
    assert found.id == other.id
    assert await messages.find("nowhere") is None


async def test_find_in_an_empty_account_is_none(messages: Messages) -> None:
    assert await messages.find("anything") is None


async def test_find_passes_over_a_message_deleted_meanwhile(
    simulator: Simulator, messages: Messages
) -> None:
    wanted = await messages.send(**ALWAYS, recipients=A, reference="kept")
    await messages.send(**ALWAYS, recipients=A, reference="gone")
    simulator.faults.add(Fault.status(404, 203), on="get")
    found = await messages.find("kept")
    assert found is not None
    assert found.id == wanted.id


# A lost response

AFTER = {
    "reset": Fault.reset(after_apply=True),
    "close": Fault.close(after_apply=True),
    "truncated": Fault.truncate(),
    "not JSON": Fault.invalid_json(),
    "empty": Fault.empty(),
    "a proxy's page": Fault.html(502, after_apply=True),
    "a proxy's page with 200": Fault.html(200, after_apply=True),
    "503": Fault.status(503, after_apply=True),
    "408": Fault.status(408, envelope=False, after_apply=True),
    "redirect": Fault.redirect("/messages/", after_apply=True),
    "hang": Fault.hang(after_apply=True),
}
BEFORE = {
    "reset": (Fault.reset(), GatewayConnectionError),
    "close": (Fault.close(), GatewayConnectionError),
    "truncated": (Fault.truncate(after_apply=False), UnexpectedResponseError),
    "not JSON": (Fault.invalid_json(after_apply=False), UnexpectedResponseError),
    "empty": (Fault.empty(after_apply=False), UnexpectedResponseError),
    "a proxy's page": (Fault.html(502), ServerError),
    "a proxy's 404": (Fault.html(404), UnexpectedResponseError),
    "a proxy's 422": (Fault.status(422, envelope=False), UnexpectedResponseError),
    "500 in the envelope": (Fault.status(500, 500), ServerError),
    "redirect": (Fault.redirect("/messages/"), UnexpectedResponseError),
    "hang": (Fault.hang(), GatewayTimeoutError),
}


@pytest.mark.parametrize("fault", AFTER.values(), ids=AFTER.keys())
async def test_a_send_whose_answer_is_lost_is_found_and_returned(fault: Fault) -> None:
    simulator = Simulator()
    async with against(simulator, timeout=0.1 if fault.kind == "hang" else 5) as client:
        await client.messages.send(**ALWAYS, recipients=B, reference="another")
        simulator.faults.add(fault, on="send")
        message = await client.messages.send(**ALWAYS, recipients=A, reference="lost")
        assert posts(simulator) == 2
        assert message.options.custom == "lost"
        assert message.valid == 1
        assert simulator.ledger == {A: 1, B: 1}
        assert message.id == list(simulator.gateway.messages)[-1]


@pytest.mark.parametrize(("fault", "cause"), BEFORE.values(), ids=BEFORE.keys())
async def test_a_send_lost_before_it_was_applied_is_unknown(
    fault: Fault, cause: type[GatewayError]
) -> None:
    simulator = Simulator()
    async with against(simulator, timeout=0.1 if fault.kind == "hang" else 5) as client:
        simulator.faults.add(fault, on="send")
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.messages.send(**ALWAYS, recipients=A, reference="lost")
        assert posts(simulator) == 1
    assert caught.value.reference == "lost"
    assert type(caught.value.__cause__) is cause
    assert caught.value.__cause__.__cause__ is None
    assert not simulator.ledger


async def test_the_random_reference_is_on_the_error_and_finds_a_late_message(
    simulator: Simulator, messages: Messages
) -> None:
    simulator.faults.add(Fault.reset(), on="send")
    with pytest.raises(OutcomeUnknownError) as caught:
        await messages.send(**ALWAYS, recipients=A)
    reference = caught.value.reference
    assert reference == simulator.requests[0].body["options"]["custom"]
    assert reference is not None
    assert await messages.find(reference) is None


async def test_a_lost_send_with_the_callers_custom_is_unknown_without_a_search(
    simulator: Simulator, messages: Messages
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    with pytest.raises(OutcomeUnknownError) as caught:
        await messages.send(**ALWAYS, recipients=A, options=Options(custom="mine"))
    assert caught.value.reference is None
    assert isinstance(caught.value.__cause__, GatewayConnectionError)
    assert len(simulator.requests) == 1


async def test_a_gateway_that_does_not_return_custom_leaves_a_lost_send_unknown() -> None:
    simulator = Simulator(dialect=Dialect(custom_returned=False))
    async with against(simulator) as client:
        simulator.faults.add(Fault.reset(after_apply=True), on="send")
        with pytest.raises(OutcomeUnknownError):
            await client.messages.send(**ALWAYS, recipients=A, reference="r")
        assert posts(simulator) == 1


@pytest.mark.parametrize("search", ["list", "get"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(401, 401),
        Fault.status(402, 201),
        Fault.status(500),
        Fault.reset(),
        Fault.status(429, retry_after=900),
    ],
    ids=lambda fault: f"{fault.kind} {fault.code or ''}",
)
async def test_a_search_that_fails_leaves_the_send_unknown_with_the_first_fault(
    fault: Fault, search: str, simulator: Simulator, messages: Messages
) -> None:
    simulator.faults.add(Fault.truncate(), on="send")
    simulator.faults.add(fault, on=search, times=None)
    with pytest.raises(OutcomeUnknownError, match="the search for its reference failed") as caught:
        await messages.send(**ALWAYS, recipients=A, reference="lost")
    assert caught.value.reference == "lost"
    assert isinstance(caught.value.__cause__, UnexpectedResponseError)
    assert posts(simulator) == 1


class FailingTokens:
    """Returns its token once, then has none."""

    def __init__(self, token: str) -> None:
        self._tokens = [token]

    async def token(self) -> str:
        if not self._tokens:
            raise LookupError("the vault is sealed")
        return self._tokens.pop()

    async def renew(self, rejected: str) -> str:
        raise LookupError("the vault is sealed")


async def test_a_token_source_that_fails_while_searching_leaves_the_send_unknown(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    source = FailingTokens(simulator.token)
    async with GatewayClient(source, base_url=simulator.url, rate=None, retry=QUICK) as client:
        # Any other error than OutcomeUnknownError would mean that calling again is safe.
        with pytest.raises(OutcomeUnknownError) as caught:
            await client.messages.send(**ALWAYS, recipients=A, reference="lost")
    assert caught.value.reference == "lost"


async def test_a_client_closed_while_a_send_is_in_flight_leaves_it_unknown(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="send")
    client = GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK)
    await client.open()
    sending = asyncio.create_task(
        client.messages.send(**ALWAYS, recipients=A, reference="lost"), name="sending"
    )
    while not simulator.ledger:
        await asyncio.sleep(0.001)
    await client.aclose()
    with pytest.raises(OutcomeUnknownError) as caught:
        await sending
    assert caught.value.reference == "lost"
    assert simulator.ledger == {A: 1}


async def test_a_client_closed_while_a_delete_is_in_flight_leaves_it_unknown(
    simulator: Simulator,
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="delete")
    client = GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK)
    await client.open()
    opened = await client.messages.send(**ALWAYS, recipients=A, transaction=True)
    deleting = asyncio.create_task(client.messages.delete(opened.id))
    while simulator.gateway.messages:
        await asyncio.sleep(0.001)
    await client.aclose()
    with pytest.raises(OutcomeUnknownError):
        await deleting


async def test_an_open_that_is_lost_is_opened_again_and_sends_nothing(
    simulator: Simulator, messages: Messages
) -> None:
    simulator.faults.add(Fault.reset(after_apply=True), on="open")
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    assert opened.transaction is True
    assert posts(simulator) == 2
    assert not simulator.ledger


@pytest.mark.parametrize("transaction", [True, False, None])
async def test_an_update_that_is_lost_is_never_repeated(
    transaction: bool | None, simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    for fault in AFTER.values():
        if fault.kind == "hang":
            continue
        simulator.faults.add(fault, on="PUT")
        before = len(simulator.requests)
        with pytest.raises(OutcomeUnknownError):
            await messages.update(opened.id, recipients=[B], transaction=transaction)
        assert len(simulator.requests) == before + 1
        if transaction is False:
            break


# Refused by the gateway


async def test_a_send_of_which_no_recipient_was_taken_is_an_error_with_the_message() -> None:
    simulator = Simulator(dialect=Dialect(object_lists=False))
    async with against(simulator) as client:
        recipients = [(A, {"n": "1"}), (B, {"n": "2"})]
        for transaction in (False, True):
            with pytest.raises(RecipientsRejectedError) as caught:
                await client.messages.send(**ALWAYS, recipients=recipients, transaction=transaction)
            assert isinstance(caught.value.message, Message)
            assert (caught.value.message.valid, caught.value.message.invalid) == (0, 2)
            assert caught.value.message.id in str(caught.value)
            assert A not in str(caught.value)
        assert not simulator.ledger


async def test_a_lost_send_that_accepted_no_recipient_raises_that_error_too() -> None:
    simulator = Simulator(dialect=Dialect(object_lists=False))
    async with against(simulator) as client:
        simulator.faults.add(Fault.reset(after_apply=True), on="send")
        with pytest.raises(RecipientsRejectedError):
            await client.messages.send(**ALWAYS, recipients=[(A, {"n": "1"}), (B, {"n": "2"})])


async def test_one_personalised_recipient_is_taken_where_lists_of_objects_are_not() -> None:
    simulator = Simulator(dialect=Dialect(object_lists=False))
    async with against(simulator) as client:
        for one in (Recipient(A, {"n": "1"}), [(A, {"n": "1"})]):
            message = await client.messages.send(**ALWAYS, recipients=one)
            assert message.valid == 1


Make = Callable[[Messages], Awaitable[Any]]
CALLS: dict[str, Make] = {
    "list": lambda messages: messages.list(),
    "send": lambda messages: messages.send(**ALWAYS, recipients=A),
    "open": lambda messages: messages.send(**ALWAYS, recipients=A, transaction=True),
    "get": lambda messages: messages.get(UNHEARD_OF),
    "append": lambda messages: messages.update(UNHEARD_OF, recipients=A, transaction=True),
    "close": lambda messages: messages.update(UNHEARD_OF, transaction=False),
    "delete": lambda messages: messages.delete(UNHEARD_OF),
    "recipients": lambda messages: messages.recipients(UNHEARD_OF),
    "recipient": lambda messages: messages.recipient(UNHEARD_OF, A),
}
DOCUMENTED = [
    ("send", 402, 201, InsufficientCreditError),
    ("send", 422, 302, InvalidRequestError),
    ("open", 402, 201, InsufficientCreditError),
    ("get", 406, 202, InvalidRequestError),
    ("get", 404, 203, NotFoundError),
    ("append", 402, 201, InsufficientCreditError),
    ("append", 404, 211, NotFoundError),
    ("append", 406, 210, InvalidRequestError),
    ("append", 422, 212, TransactionClosedError),
    ("close", 402, 201, InsufficientCreditError),
    ("close", 422, 212, TransactionClosedError),
    ("delete", 400, 217, InvalidRequestError),
    ("delete", 404, 219, NotFoundError),
    ("delete", 406, 218, InvalidRequestError),
    ("delete", 422, 221, InvalidRequestError),
    ("recipients", 404, 203, NotFoundError),
    ("recipients", 406, 202, InvalidRequestError),
    ("recipient", 404, 203, NotFoundError),
    ("recipient", 406, 202, InvalidRequestError),
    # Not documented, but to be expected.
    ("send", 400, 300, InvalidRequestError),
    ("send", 413, 308, InvalidRequestError),
    ("send", 401, 401, AuthenticationError),
    ("send", 403, 403, AuthenticationError),
    ("list", 401, 401, AuthenticationError),
]


@pytest.mark.parametrize("refusal", DOCUMENTED, ids=lambda one: f"{one[0]} {one[1]} {one[2]}")
async def test_a_refusal_is_its_own_error_and_is_not_repeated(
    refusal: tuple[str, int, int, type[APIError]], simulator: Simulator, messages: Messages
) -> None:
    operation, status, code, kind = refusal
    simulator.faults.add(Fault.status(status, code), on=operation)
    with pytest.raises(APIError) as caught:
        await CALLS[operation](messages)
    error = caught.value
    assert type(error) is kind
    assert (error.status, error.code, error.retry_after) == (status, code, None)
    assert error.detail == f"simulated failure {status}"
    assert f"HTTP {status}" in str(error)
    assert str(code) in str(error)
    assert "simulated" not in str(error)
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_too_many_requests_is_waited_out_or_raised(
    operation: str, simulator: Simulator, messages: Messages
) -> None:
    simulator.faults.add(Fault.status(429, 429, retry_after=600), on=operation)
    with pytest.raises(RateLimitError) as caught:
        await CALLS[operation](messages)
    assert (caught.value.status, caught.value.code) == (429, 429)
    assert caught.value.retry_after == 600
    assert len(simulator.requests) == 1


async def test_no_credit_is_reported_by_the_gateways_own_rules() -> None:
    simulator = Simulator(credit="0.05", price="0.03")
    async with against(simulator) as client:
        await client.messages.send(**ALWAYS, recipients=A)
        assert client.credit == Decimal("0.02")
        with pytest.raises(InsufficientCreditError) as caught:
            await client.messages.send(**ALWAYS, recipients=A)
        assert caught.value.code == 201
        assert simulator.ledger == {A: 1}
        assert client.credit == Decimal("0.02")
        opened = await client.messages.send(**ALWAYS, recipients=A, transaction=True)
        with pytest.raises(InsufficientCreditError):
            await client.messages.update(opened.id, transaction=False)


@pytest.mark.parametrize("operation", CALLS)
async def test_an_answer_encoded_twice_is_read(
    operation: str, simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    simulator.requests.clear()
    simulator.faults.add(Fault.double_encoded(), on=operation)
    answers: dict[str, Make] = CALLS | {
        "get": lambda them: them.get(opened.id),
        "append": lambda them: them.update(opened.id, recipients=B, transaction=True),
        "close": lambda them: them.update(opened.id, transaction=False),
        "delete": lambda them: them.delete(opened.id),
        "recipients": lambda them: them.recipients(opened.id),
        "recipient": lambda them: them.recipient(opened.id, A),
    }
    answer = await answers[operation](messages)
    assert len(simulator.requests) == 1
    if operation != "delete":
        assert answer


async def test_a_refusal_encoded_twice_is_read(simulator: Simulator, messages: Messages) -> None:
    simulator.faults.add(Fault.double_encoded(), on="get")
    with pytest.raises(NotFoundError) as caught:
        await messages.get(UNHEARD_OF)
    assert caught.value.code == 203


@pytest.mark.parametrize("dialect", [Dialect(put_as_created=True), Dialect(strict_slashes=True)])
async def test_the_calls_work_in_other_dialects(dialect: Dialect) -> None:
    simulator = Simulator(dialect=dialect)
    async with against(simulator) as client:
        messages = client.messages
        opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
        await messages.update(opened.id, recipients=[B], transaction=True)
        closed = await messages.update(opened.id, transaction=False)
        assert closed.transaction is False
        assert (await messages.get(opened.id)).valid == 2
        assert len(await messages.recipients(opened.id)) == 2
        assert (await messages.recipient(opened.id, B)).number == B
        assert [one.id for one in await messages.list()] == [opened.id]
        other = await messages.send(**ALWAYS, recipients=A, transaction=True)
        await messages.delete(other.id)


# Reading


async def test_an_empty_account_is_an_empty_list(simulator: Simulator, messages: Messages) -> None:
    assert await messages.list() == []
    assert simulator.requests[-1].path == "/messages/"


async def test_list_shows_the_newest_first(messages: Messages) -> None:
    ids = [(await messages.send(**ALWAYS, recipients=A)).id for _ in range(3)]
    listed = await messages.list()
    assert [one.id for one in listed] == ids[::-1]
    assert [one.sender for one in listed] == ["ACME"] * 3
    for one in listed:
        assert one.timestamp is not None
        assert abs((datetime.now(UTC) - one.timestamp).total_seconds()) < 60


async def test_get_shows_the_message(simulator: Simulator, messages: Messages) -> None:
    sent = await messages.send(**ALWAYS, recipients=[A, B])
    seen = await messages.get(sent.id)
    assert simulator.requests[-1].path == f"/messages/{sent.id}"
    assert seen.id == sent.id
    assert (seen.valid, seen.invalid, seen.body) == (2, 0, "Ciao")
    assert seen.price == Decimal("0.06")
    assert seen.statistics.total == 2


async def test_recipients_tell_what_became_of_each() -> None:
    simulator = Simulator(sent_after=0, delivered_after=0)
    async with against(simulator) as client:
        sent = await client.messages.send(**ALWAYS, recipients=[A, B])
        first, second = await client.messages.recipients(sent.id)
        assert simulator.requests[-1].path == f"/messages/{sent.id}/recipients/"
        assert (first.number, second.number) == (A, B)
        assert first.state == "DELIVERED"
        assert first.real_cost == Decimal("0.03")
        assert first.report is not None
        assert first.report.status is not None
        assert first.report.status.group_id == 3
        assert first.report.error is not None
        assert first.report.error.permanent is False
        assert first.timestamp_delivery is not None
        assert first.timestamp_sent is not None


async def test_one_recipient_is_asked_for_by_number(
    simulator: Simulator, messages: Messages
) -> None:
    sent = await messages.send(**ALWAYS, recipients=[A, B])
    report = await messages.recipient(sent.id, "0044 7911 123456")
    assert simulator.requests[-1].path == f"/messages/{sent.id}/recipients/{B}"
    assert report.number == B
    with pytest.raises(NotFoundError) as caught:
        await messages.recipient(sent.id, C)
    assert caught.value.code == 203


# Updates


async def test_update_omits_what_is_none(simulator: Simulator, messages: Messages) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    expected: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, {"recipients": []}),
        ({"recipients": B}, {"recipients": B}),
        (
            {"recipients": [C], "transaction": True},
            {"recipients": [C], "transaction": True},
        ),
        (
            {"timestamp_send": LATER},
            {"recipients": [], "options": {"timestamp_send": LATER.isoformat()}},
        ),
        ({"transaction": False}, {"recipients": [], "transaction": False}),
    ]
    for keywords, body in expected:
        updated = await messages.update(opened.id, **keywords)
        request = simulator.requests[-1]
        assert (request.method, request.path) == ("PUT", f"/messages/{opened.id}")
        assert request.body == body
    assert updated.transaction is False
    assert updated.valid == 3
    assert simulator.ledger == {A: 1, B: 1, C: 1}
    with pytest.raises(TransactionClosedError) as caught:
        await messages.update(opened.id, recipients=B, transaction=True)
    assert caught.value.code == 212


async def test_reschedule_leaves_an_open_message_open(
    simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    moved = await messages.reschedule(opened.id, LATER)
    assert simulator.requests[-1].body == {
        "recipients": [],
        "transaction": True,
        "options": {"timestamp_send": LATER.isoformat()},
    }
    assert moved.transaction is True
    assert not simulator.ledger


async def test_reschedule_keeps_a_closed_message_closed(
    simulator: Simulator, messages: Messages
) -> None:
    sent = await messages.send(**ALWAYS, recipients=A, options=Options(timestamp_send=LATER))
    again = LATER + timedelta(days=1)
    moved = await messages.reschedule(sent.id, again)
    assert simulator.requests[-1].body["transaction"] is False
    assert moved.transaction is False
    assert moved.options.timestamp_send is not None
    assert moved.options.timestamp_send.date() in {again, again - timedelta(days=1)}
    assert simulator.ledger == {A: 1}


async def test_reschedule_of_a_message_that_is_out_is_refused(messages: Messages) -> None:
    sent = await messages.send(**ALWAYS, recipients=A)
    with pytest.raises(TransactionClosedError):
        await messages.reschedule(sent.id, LATER)
    with pytest.raises(NotFoundError):
        await messages.reschedule(UNHEARD_OF, LATER)


@pytest.mark.parametrize(
    "moment", [datetime(2031, 1, 1, 9, 30, tzinfo=UTC), "2031-01-01", 0, None], ids=repr
)
async def test_what_is_no_date_is_a_type_error(
    moment: Any, simulator: Simulator, messages: Messages
) -> None:
    with pytest.raises(TypeError, match="date"):
        await messages.reschedule(UNHEARD_OF, moment)
    if moment is not None:
        with pytest.raises(TypeError, match="date"):
            await messages.update(UNHEARD_OF, timestamp_send=moment)
        with pytest.raises(TypeError, match="date"):
            Options(timestamp_send=moment)
    assert not simulator.requests


# Deletion


async def test_delete_cancels(simulator: Simulator, messages: Messages) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    assert await messages.delete(opened.id) is None  # type: ignore[func-returns-value]
    assert simulator.requests[-1].path == f"/messages/{opened.id}"
    assert not simulator.gateway.messages
    with pytest.raises(NotFoundError) as caught:
        await messages.delete(opened.id)
    assert caught.value.code == 219


async def test_delete_too_late_is_an_invalid_request(messages: Messages) -> None:
    sent = await messages.send(**ALWAYS, recipients=A)
    with pytest.raises(InvalidRequestError) as caught:
        await messages.delete(sent.id)
    assert (caught.value.status, caught.value.code) == (422, 221)


@pytest.mark.parametrize("fault", AFTER.values(), ids=AFTER.keys())
async def test_a_delete_whose_answer_is_lost_is_looked_into(fault: Fault) -> None:
    simulator = Simulator()
    async with against(simulator, timeout=0.1 if fault.kind == "hang" else 5) as client:
        opened = await client.messages.send(**ALWAYS, recipients=A, transaction=True)
        simulator.faults.add(fault, on="delete")
        await client.messages.delete(opened.id)
        assert [one.operation for one in simulator.requests[1:]] == ["delete", "get"]
        assert not simulator.gateway.messages


async def test_a_delete_lost_before_it_was_applied_is_made_again(
    simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    simulator.faults.add(Fault.reset(), on="delete")
    await messages.delete(opened.id)
    assert [one.operation for one in simulator.requests[1:]] == ["delete", "get", "delete"]
    assert not simulator.gateway.messages


async def test_a_delete_lost_while_nothing_can_be_read_tries_again_and_takes_404_for_done(
    simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    simulator.faults.add(Fault.reset(after_apply=True), on="delete")
    simulator.faults.add(Fault.status(500), on="get", times=None)
    await messages.delete(opened.id)
    assert not simulator.gateway.messages


async def test_a_delete_that_is_always_lost_is_unknown(
    simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    simulator.faults.add(Fault.close(), on="delete", times=None)
    with pytest.raises(OutcomeUnknownError) as caught:
        await messages.delete(opened.id)
    assert isinstance(caught.value.__cause__, GatewayConnectionError)
    assert sum(one.operation == "delete" for one in simulator.requests) <= 5


async def test_a_delete_lost_on_a_sent_message_says_too_late(
    simulator: Simulator, messages: Messages
) -> None:
    sent = await messages.send(**ALWAYS, recipients=A)
    simulator.faults.add(Fault.reset(), on="delete")
    with pytest.raises(InvalidRequestError) as caught:
        await messages.delete(sent.id)
    assert caught.value.code == 221


# Input that would become protocol


@dataclass
class Paths:
    """A server that records the request lines byte by byte."""

    lines: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    answer: Callable[[bytes, bytes], tuple[int, bytes] | None] = lambda _method, _target: (
        200,
        b"{}",
    )
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self.lines.append(line)
                length = 0
                while (header := await reader.readline()) not in {b"\r\n", b""}:
                    self.heads.append(header)
                    name, _, value = header.partition(b":")
                    if name.lower() == b"content-length":
                        length = int(value)
                await reader.readexactly(length)
                method, target, _ = line.split()
                answer = self.answer(method, target)
                if answer is None:
                    return
                status, body = answer
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode())
                writer.write(body)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


@pytest.fixture
async def paths() -> AsyncIterator[Paths]:
    noted = Paths()
    server = await asyncio.start_server(noted.serve, "127.0.0.1", 0)
    noted.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield noted
    server.close()
    await asyncio.sleep(0)


@pytest.fixture
async def noting(paths: Paths) -> AsyncIterator[GatewayClient]:
    async with GatewayClient("token", base_url=paths.url, rate=None, retry=ONCE) as client:
        yield client


BAD_IDS: list[Any] = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/",
    "a/",
    "/a",
    "?",
    "a?transaction=false",
    "a#b",
    "%2e%2e",
    "%2E",
    "%",
    "a%00",
    "a\\b",
    "a b",
    " a",
    "a ",
    "a\n",
    "\na",
    "a\r\nX-Evil: 1",
    "a\0",
    "a;b",
    "a:b",
    "a@b",
    "a.b",
    "é",
    "\u0663",
    "\uff41",
    "\u202e",
    "\ud800",
    "😀",
    "a" * 65,
    "a" * 5000,
    None,
    5,
    b"abc",
    ["abc"],
]
BY_ID: dict[str, Callable[[Messages, Any], Awaitable[Any]]] = {
    "get": lambda messages, bad: messages.get(bad),
    "update": lambda messages, bad: messages.update(bad, recipients=A),
    "reschedule": lambda messages, bad: messages.reschedule(bad, LATER),
    "delete": lambda messages, bad: messages.delete(bad),
    "recipients": lambda messages, bad: messages.recipients(bad),
    "recipient": lambda messages, bad: messages.recipient(bad, A),
}


@pytest.mark.parametrize("call", BY_ID)
async def test_what_is_no_id_never_leaves(
    call: str, simulator: Simulator, messages: Messages
) -> None:
    for bad in BAD_IDS:
        with pytest.raises(ValueError, match="id") as caught:
            await BY_ID[call](messages, bad)
        assert len(str(caught.value)) < 200
        assert "Evil" not in str(caught.value)
    assert not simulator.requests
    assert simulator.connections == 0


SNEAKY = st.text(st.sampled_from("aZ09_-./%?#\\;:@&=+ \r\n\t\0é\uff12\u2024\u2215"), max_size=70)
ONE_SEGMENT = re.compile(rb"/messages/([A-Za-z0-9_-]{1,64})(/recipients/(\+[0-9]+-[0-9]+)?)?")


@settings(max_examples=300, deadline=None)
@given(message_id=st.text() | SNEAKY | st.from_regex(r"[A-Za-z0-9_-]{1,64}"))
@example(message_id="..")
@example(message_id="a\n")
def test_any_text_as_an_id_is_refused_or_one_segment(message_id: str) -> None:
    async def probe() -> None:
        noted = Paths()
        server = await asyncio.start_server(noted.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with GatewayClient("token", base_url=url, rate=None, retry=ONCE) as client:
            refused = 0
            for call in BY_ID.values():
                try:
                    await call(client.messages, message_id)
                except ValueError:
                    refused += 1
                except GatewayError:
                    pass
        server.close()
        await asyncio.sleep(0)
        assert refused in {0, len(BY_ID)}
        assert bool(noted.lines) is (refused == 0)
        for line in noted.lines:
            _, target, version = line.split(b" ")
            assert version == b"HTTP/1.1\r\n"
            match = ONE_SEGMENT.fullmatch(target)
            assert match is not None, target
            assert match[1].decode() == message_id

    asyncio.run(probe())


NUMBERLIKE = st.text(st.sampled_from("+0123456789-()[]. /%?#\\\r\n\u2011\u0663x"), max_size=24)


@settings(max_examples=300, deadline=None)
@given(number=st.text() | NUMBERLIKE | NUMBERLIKE.map(lambda rest: "+39" + rest))
@example(number="+39-340/../../1234567")
@example(number="+39 340 123 45 67")
@example(number="+39-3401234567\r\nX: 1")
@example(number="+39-34012345%367")
def test_any_text_as_a_number_is_refused_or_the_last_segment(number: str) -> None:
    async def probe() -> None:
        noted = Paths()
        server = await asyncio.start_server(noted.serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        refused = False
        async with GatewayClient("token", base_url=url, rate=None, retry=ONCE) as client:
            try:
                await client.messages.recipient(UNHEARD_OF, number)
            except InvalidNumberError as error:
                refused = error.number == number
            except GatewayError:
                pass
        server.close()
        await asyncio.sleep(0)
        assert len(noted.lines) == (not refused)
        for line in noted.lines:
            match = ONE_SEGMENT.fullmatch(line.split(b" ")[1])
            assert match is not None
            assert match[1].decode() == UNHEARD_OF
            digits = re.sub("[^0-9]", "", number).removeprefix("00")
            assert unquote(match[3].decode()).replace("-", "") == "+" + digits

    asyncio.run(probe())


@pytest.mark.parametrize("number", [None, 393401234567, b"+39-3401234567", ["+39-3401234567"]])
async def test_a_number_that_is_no_text_is_a_type_error(
    number: Any, simulator: Simulator, messages: Messages
) -> None:
    with pytest.raises(TypeError):
        await messages.recipient(UNHEARD_OF, number)
    assert not simulator.requests


async def test_a_recipient_that_is_not_on_the_list_is_not_found(
    paths: Paths, noting: GatewayClient
) -> None:
    paths.answer = lambda _method, _target: (200, b'{"data":[],"success":true}')
    with pytest.raises(NotFoundError):
        await noting.messages.recipient(UNHEARD_OF, A)


@pytest.mark.parametrize("strange", ["../../evil", "", "a b", "x" * 100])
async def test_a_strange_id_in_the_list_leaves_a_lost_send_unknown(
    strange: str, paths: Paths, noting: GatewayClient
) -> None:
    listing = json.dumps({"data": [{"id": strange}], "success": True}).encode()
    paths.answer = lambda method, _target: None if method == b"POST" else (200, listing)
    with pytest.raises(OutcomeUnknownError) as caught:
        await noting.messages.send(**ALWAYS, recipients=A, reference="lost")
    assert caught.value.reference == "lost"
    assert all(line.split()[1] == b"/messages/" for line in paths.lines)


async def test_find_passes_over_what_is_no_id(paths: Paths, noting: GatewayClient) -> None:
    # A ValueError would blame the caller.
    listing = json.dumps({"data": [{"id": "../evil"}], "success": True}).encode()
    paths.answer = lambda _method, _target: (200, listing)
    assert await noting.messages.find("lost") is None
    assert len(paths.lines) == 1


# A caller's own mistakes

CANARY = "Canary"
NUL_CANARY = "Can\0ary"
BAD_SENDS: dict[str, dict[str, Any]] = {
    "sender too short": {"sender": "AB"},
    "sender empty": {"sender": ""},
    "sender with letters too long": {"sender": "CanaryCanary"},
    "sender of digits too long": {"sender": "1" * 15},
    "sender with a line break": {"sender": "Canary\r\n"},
    "sender with NUL": {"sender": NUL_CANARY},
    "sender with a lone surrogate": {"sender": "Canary\ud800"},
    "sender with foreign digits": {"sender": "\u0663" * 13},
    "sender of blanks": {"sender": "   "},
    "sender after a blank": {"sender": " Canary"},
    "sender before a blank": {"sender": "Canary "},
    "sender without letter or digit": {"sender": "-.-"},
    "sender with a placeholder": {"sender": "{{Canary}}"},
    "sender with a name in braces": {"sender": "{Canary}"},
    "sender None": {"sender": None},
    "sender bytes": {"sender": b"Canary"},
    "sender number": {"sender": 12345},
    "body empty": {"body": ""},
    "body of blanks": {"body": " \n\t\u3000"},
    "body of joiners": {"body": "\u200b\ufeff"},
    "body of NULs": {"body": "\0\0"},
    "body with a name in braces": {"body": "Ciao {Canary}"},
    "body with a brace too few": {"body": "Ciao {{Canary}"},
    "body with three braces": {"body": "Ciao {{{Canary}}}"},
    "body with a placeholder without a name": {"body": "Canary {{}}"},
    "body with the marks of another system": {"body": "Ciao %Canary%"},
    "body None": {"body": None},
    "body bytes": {"body": b"Canary"},
    "body list": {"body": ["Canary"]},
    "body with a lone surrogate": {"body": "Canary\ud800"},
    "priority too low": {"priority": 0.99},
    "priority zero": {"priority": 0},
    "priority negative": {"priority": -1},
    "priority NaN": {"priority": float("nan")},
    "priority infinite": {"priority": float("inf")},
    "priority signalling": {"priority": Decimal("sNaN")},
    "priority Decimal too low": {"priority": Decimal("0.999")},
    "priority text": {"priority": "Canary"},
    "priority list": {"priority": [1]},
    "priority enormous": {"priority": 10**400},
    "options dict": {"options": {"flash": True}},
    "options list": {"options": ["Canary"]},
    "custom that JSON cannot hold": {"options": Options(custom=object())},
    "custom with a lone surrogate": {"options": Options(custom="Canary\ud800")},
    "reference empty": {"reference": ""},
    "reference too long": {"reference": CANARY * 40},
    "reference with a line break": {"reference": "Canary\n"},
    "reference with a lone surrogate": {"reference": "Canary\ud800"},
    "reference bytes": {"reference": b"Canary"},
    "reference number": {"reference": 7},
    "reference beside custom": {"reference": CANARY, "options": Options(custom="x")},
    "no recipients": {"recipients": []},
    "an empty generator": {"recipients": (one for one in ())},
    "recipients None": {"recipients": None},
    "recipients number": {"recipients": 393401234567},
    "recipients bytes": {"recipients": b"+39-3401234567"},
    "recipients mapping": {"recipients": {A: {"name": CANARY}}},
    "one recipient as a bare tuple": {"recipients": (A, {"name": CANARY})},
    "a number in the list": {"recipients": [A, 5]},
    "None in the list": {"recipients": [None]},
    "a tuple of three": {"recipients": [(A, {}, CANARY)]},
    "fields None": {"recipients": [(A, None)]},
    "fields not text": {"recipients": [(A, {"n": 5})]},
    "a field's name not text": {"recipients": [(A, {5: CANARY})]},
    "fields with a lone surrogate": {"recipients": [(A, {"n": "Canary\ud800"})]},
    "empty number": {"recipients": ""},
    "national number": {"recipients": "340 123 4567"},
    "words": {"recipients": ["CanaryCanary"]},
    "number with a line break": {"recipients": ["+39-340\n1234567"]},
    "a missing field": {"body": "Ciao {{name}} Canary", "recipients": [A]},
    "a field missing in one": {
        "body": "Ciao {{name}} Canary",
        "recipients": [(A, {"name": "x"}), (B, {"Name": "Canary"})],
    },
    "a text that is empty with the fields": {
        "body": "{{a}} {{b}}",
        "recipients": [(A, {"a": "Canary", "b": ""}), (B, {"a": " ", "b": "\u200b"})],
    },
    "a text that is empty for one alone": {"body": "{{a}}", "recipients": Recipient(A, {"a": ""})},
    "a field in other marks": {
        "body": "Ciao [name]",
        "recipients": [(A, {"name": "Canary"})],
    },
    "a row of a database": {"recipients": [{"number": A, "name": "Canary"}]},
    "a day that has passed": {"options": Options(timestamp_send=date(2020, 1, 1))},
    "a missing field of one alone": {"body": "{{name}} Canary", "recipients": Recipient(A, {})},
}


@pytest.mark.parametrize("bad", BAD_SENDS.values(), ids=BAD_SENDS.keys())
@pytest.mark.parametrize("transaction", [False, True])
async def test_a_mistake_is_reported_before_any_request_and_without_quoting(
    transaction: bool, bad: dict[str, Any], simulator: Simulator, messages: Messages
) -> None:
    keywords: dict[str, Any] = {**ALWAYS, "recipients": A, "transaction": transaction} | bad
    with pytest.raises((ValueError, TypeError)) as caught:
        await messages.send(**keywords)
    assert not simulator.requests
    error = caught.value
    for shown in (str(error), repr(error), repr(error.args)):
        assert "Canary" not in shown
        assert NUL_CANARY not in shown
        assert "3401234567" not in shown
        assert "1234567" not in shown


@pytest.mark.parametrize(
    "bad",
    [
        {"test": "no"},
        {"test": 1},
        {"test": None},
        {"transaction": "false"},
        {"transaction": None},
        {"transaction": 0},
    ],
    ids=repr,
)
async def test_a_flag_that_is_not_a_bool_is_refused_before_any_request(
    bad: dict[str, Any], simulator: Simulator, messages: Messages
) -> None:
    # `test=None` would send for real, `transaction="false"` would not send at all.
    with pytest.raises((ValueError, TypeError)):
        await messages.send(**ALWAYS, recipients=A, **bad)
    assert not simulator.requests


@pytest.mark.parametrize(
    ("recipients", "named"),
    [
        ([A, B, {"number": C}], "recipients, position 2: .* not dict: take the number"),
        ([A, B, 5], "recipients, position 2: .* not int"),
        ([(A, {"n": 5})], "recipients, position 0: field 'n' must be a str"),
    ],
)
async def test_a_recipient_of_the_wrong_kind_is_named_by_its_position(
    recipients: Any, named: str, messages: Messages
) -> None:
    with pytest.raises(TypeError, match=named):
        await messages.send(**ALWAYS, recipients=recipients)


TODAY = datetime.now(UTC).date()


@pytest.mark.parametrize("days", [3, 2, 400])
async def test_a_day_that_has_passed_is_refused(
    days: int, simulator: Simulator, messages: Messages
) -> None:
    opened = await messages.send(**ALWAYS, recipients=A, transaction=True)
    passed = TODAY - timedelta(days=days)
    for call in (
        messages.send(**ALWAYS, recipients=A, options=Options(timestamp_send=passed)),
        messages.update(opened.id, timestamp_send=passed),
        messages.reschedule(opened.id, passed),
    ):
        with pytest.raises(ValueError, match=f"timestamp_send: the day {passed} has passed"):
            await call
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("days", [0, 1])
async def test_yesterday_may_be_today_elsewhere(days: int, messages: Messages) -> None:
    day = TODAY - timedelta(days=days) + timedelta(days=datetime.now(UTC).date() != TODAY)
    await messages.send(**ALWAYS, recipients=A, options=Options(timestamp_send=day))


async def test_blanks_around_the_name_of_a_placeholder_do_not_count(
    simulator: Simulator, messages: Messages
) -> None:
    await messages.send(
        sender="ACME",
        body="Ciao {{ name }}, {{name}}{{\u00a0city}}",
        recipients=[(A, {"name": "Anna", "city": "!"})],
    )
    assert simulator.requests[-1].body["body"] == "Ciao {{name}}, {{name}}{{city}}"
    assert [text.body for text in simulator.texts] == ["Ciao Anna, Anna!"]


async def test_braces_go_out_as_they_are_from_a_field(
    simulator: Simulator, messages: Messages
) -> None:
    await messages.send(
        sender="ACME", body="{{text}}", recipients=Recipient(A, {"text": '{"a": {"b": "{c}"}}'})
    )
    assert [text.body for text in simulator.texts] == ['{"a": {"b": "{c}"}}']


@pytest.mark.parametrize("flag", ["false", 0, 1, "", [], 2])
async def test_update_takes_true_false_and_none_only(
    flag: Any, simulator: Simulator, messages: Messages
) -> None:
    with pytest.raises((ValueError, TypeError)):
        await messages.update(UNHEARD_OF, recipients=A, transaction=flag)
    assert not simulator.requests


@pytest.mark.parametrize("flag", ["flash", "realtime"])
def test_an_option_that_is_not_a_bool_is_refused(flag: str) -> None:
    keywords: dict[str, Any] = {flag: "false"}
    with pytest.raises((ValueError, TypeError)):
        Options(**keywords)


@pytest.mark.parametrize("reference", ["", "x" * 201, "a\nb", "\x7f", None, 5, b"x"], ids=repr)
async def test_find_refuses_what_is_no_reference(
    reference: Any, simulator: Simulator, messages: Messages
) -> None:
    with pytest.raises((ValueError, TypeError)):
        await messages.find(reference)
    assert not simulator.requests


@pytest.mark.parametrize("sender", ["ABC", "ABCDEFGHIJK", "123", "1" * 14, "+39123", "A B 1"])
async def test_senders_of_the_documented_length_go_out(
    sender: str, simulator: Simulator, messages: Messages
) -> None:
    await messages.send(sender=sender, body="x", recipients=A)
    assert simulator.requests[-1].body["sender"] == sender


@pytest.mark.parametrize(
    ("sender", "named"), [("Łódź", "Ł ó ź"), ("ACME ✓", "✓"), ("`ACME`", "`"), ("çççÇ", "ç")]
)
async def test_senders_that_no_phone_could_show_are_refused(
    sender: str, named: str, simulator: Simulator, messages: Messages
) -> None:
    with pytest.raises(ValueError, match=rf"sender contains {named}, which"):
        await messages.send(sender=sender, body="x", recipients=A)
    assert not simulator.requests


@pytest.mark.parametrize("priority", [1, 1.0, 1.01, Decimal("1.01"), 100])
async def test_priorities_from_one_on_go_out(
    priority: Any, simulator: Simulator, messages: Messages
) -> None:
    message = await messages.send(**ALWAYS, recipients=A, priority=priority)
    assert simulator.requests[-1].body["priority"] == float(priority)
    assert message.priority == Decimal(str(priority))


async def test_an_async_source_is_refused_by_a_single_send(
    simulator: Simulator, messages: Messages
) -> None:
    async def numbers() -> AsyncIterator[str]:
        yield A

    with pytest.raises(TypeError):
        await messages.send(**ALWAYS, recipients=numbers())  # type: ignore[arg-type]
    assert not simulator.requests


@settings(max_examples=200, deadline=None)
@given(text=st.text(min_size=1), field_value=st.text())
def test_any_text_goes_out_as_it_is_or_not_at_all(text: str, field_value: str) -> None:
    try:
        draft = Draft(sender="ACME", body=text)
        wire = wire_recipients(
            [(A, dict.fromkeys([*draft.placeholders, "x"], field_value))], draft.placeholders
        )
        payload = draft.payload(wire, transaction=False)
    except ValueError:
        return
    sent = json.loads(payload)
    assert sent["body"] == re.sub(r"\{\{\s*([^{}]*?)\s*\}\}", r"{{\1}}", text)
    assert sent["recipients"]["fields"]["x"] == field_value
