"""What is found after a lost response is this very message; a response is to this very request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway_sms_async import (
    GatewayClient,
    InvalidCount,
    Options,
    OutcomeUnknownError,
    Recipient,
    RetryPolicy,
    UnexpectedResponseError,
)
from gateway_sms_async.testing import Dialect, Fault, Simulator

from ..support.raw_server import Exchange, RawServer, envelope, http, message, say

pytestmark = pytest.mark.anyio

A, B, C = "+39-3401234567", "+44-7911123456", "+1-2025550123"
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
THIS: dict[str, Any] = {"sender": "ACME", "body": "Ciao", "recipients": [A, B], "reference": "r"}


def client_of(simulator: Simulator) -> GatewayClient:
    return GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK)


# Fewer recipients than were sent


@pytest.mark.parametrize("reference", [None, "r"])
@pytest.mark.parametrize("then", [None, Fault.reset(after_apply=True)], ids=["answered", "lost"])
async def test_a_message_with_fewer_recipients_than_were_sent_is_no_success(
    then: Fault | None, reference: str | None, gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.partial(then=then), on="send")
    with pytest.raises(OutcomeUnknownError) as caught:
        await gateway.messages.send(
            sender="ACME", body="Ciao", recipients=[A, B], reference=reference
        )
    assert simulator.ledger.total() == 1
    if then is None or reference is None:
        assert "counts 1 of 2 recipients" in str(caught.value)
    assert caught.value.reference is not None


async def test_an_opened_message_with_fewer_recipients_is_no_success(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.partial(), on="open")
    with pytest.raises(OutcomeUnknownError, match="counts 1 of 2 recipients"):
        await gateway.messages.send(sender="ACME", body="Ciao", recipients=[A, B], transaction=True)


# One reference for two messages

OTHERS: dict[str, dict[str, Any]] = {
    "another recipient": {"recipients": [A, C]},
    "fewer recipients": {"recipients": A},
    "more recipients": {"recipients": [A, B, C]},
    "another text": {"body": "Addio"},
    "another sender": {"sender": "OTHER"},
    "an open message": {"transaction": True},
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_another_message_with_this_reference_is_not_returned(
    other: dict[str, Any], gateway: GatewayClient, simulator: Simulator
):
    await gateway.messages.send(**(THIS | other))
    simulator.faults.add(Fault.reset(), on="send")
    with pytest.raises(OutcomeUnknownError, match="not provably this one") as caught:
        await gateway.messages.send(**THIS)
    assert caught.value.reference == "r"


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
async def test_this_message_is_found_beside_another_one_with_its_reference(
    other: dict[str, Any], gateway: GatewayClient, simulator: Simulator
):
    theirs = await gateway.messages.send(**(THIS | other))
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    found = await gateway.messages.send(**THIS)
    assert found.id != theirs.id
    assert found.valid == 2


@pytest.mark.parametrize(
    "dialect",
    [Dialect(), Dialect(rewrite_numbers=True), Dialect(list_invalid=True)],
    ids=["as written", "rewritten", "with the invalid ones"],
)
async def test_a_message_without_some_recipients_is_found(dialect: Dialect):
    async with Simulator(dialect=dialect) as simulator, client_of(simulator) as gateway:
        simulator.gateway.unroutable.add(B)
        simulator.faults.add(Fault.reset(after_apply=True), on="send")
        found = await gateway.messages.send(**THIS)
        assert not found.all_accepted
        assert len(found.refused) == 1
        assert simulator.ledger == {A: 1}


@pytest.mark.parametrize(
    "dialect",
    [Dialect(list_limit=1), Dialect(list_grows=60), Dialect(invalid_named=0)],
    ids=["list is cut", "list grows", "invalid ones not named"],
)
async def test_what_the_list_does_not_show_is_not_proven(dialect: Dialect):
    async with Simulator(dialect=dialect) as simulator, client_of(simulator) as gateway:
        if dialect.invalid_named == 0:
            simulator.gateway.unroutable.add(B)
        simulator.faults.add(Fault.reset(after_apply=True), on="send")
        with pytest.raises(OutcomeUnknownError, match="not provably this one"):
            await gateway.messages.send(**THIS)


async def test_a_list_that_is_not_there_proves_nothing(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    simulator.faults.add(Fault.status(404, 203), on="recipients", times=None)
    with pytest.raises(OutcomeUnknownError, match="not provably this one"):
        await gateway.messages.send(**THIS)


async def test_a_reference_that_no_other_call_has_needs_no_list(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    found = await gateway.messages.send(sender="ACME", body="Ciao", recipients=[A, B])
    assert found.valid == 2
    assert [one.operation for one in simulator.requests] == ["send", "list", "get"]


async def test_a_search_that_failed_is_not_said_to_have_found_nothing(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.faults.add(Fault.reset(), on="send")
    simulator.faults.add(Fault.status(402, 201), on="list")
    with pytest.raises(OutcomeUnknownError, match="the search for its reference failed"):
        await gateway.messages.send(**THIS)


# A response about another request


def counts(valid: object, invalid: object = 0, named: object = ()) -> dict[str, Any]:
    return {"valid": {"count": valid}, "invalid": {"total": invalid, "list": named}}


def one(custom: object = "r", recipients: object = None, **fields: Any) -> bytes:
    shown = counts(2) if recipients is None else recipients
    fields = {"transaction": False, "recipients": shown, "options": {"custom": custom}} | fields
    return http(envelope(message(**fields)))


STRANGE = {
    "another reference": one("other"),
    "another object": one({"order": 5}),
    "more recipients": one(recipients=counts(3)),
    "more recipients with the invalid ones": one(recipients=counts(1, 2)),
    "a negative count": one(recipients=counts(-1)),
    "an absurd count": one(recipients=counts(10**30)),
    "a count of 5,000 digits": one(recipients=counts(1)).replace(
        b'"count": 1', b'"count": ' + b"9" * 5000
    ),
    "a count that is a text": one(recipients=counts("2")),
    "a count that is NaN": one(recipients=counts(float("nan"))),
    "more invalid ones listed than counted": one(recipients=counts(1, 1, ["x", "y"])),
    "a negative total": one(recipients=counts(2, -1)),
    "an empty id": one(message_id=""),
    "an id with a path": one(message_id="../messages"),
    "an id with a line break": one(message_id="5af0c2a1d7e3b40001a2b3c4\n"),
    "an id with an escape": one(message_id="\x1b[31m"),
    "an id of 5,000 digits": one(message_id="9" * 5000),
    "an id that is a number": http(envelope({**message(), "id": 7})),
}


def again(body: bytes) -> bytes:
    """Return the response with the length that its body has now."""
    head, _, content = body.partition(b"\r\n\r\n")
    return http(content) if b"Content-Length" in head else body


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
async def test_a_strange_response_to_a_send_proves_nothing(strange: bytes):
    nothing = say(http(envelope([])))
    async with (
        RawServer(say(again(strange)), nothing) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        with pytest.raises(OutcomeUnknownError, match="no message with its reference") as caught:
            await gateway.messages.send(**THIS)
        assert isinstance(caught.value.__cause__, UnexpectedResponseError)
        assert [one.method for one in server.requests] == ["POST", "GET"]


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
async def test_a_strange_response_to_an_open_is_an_orphan_and_another_is_opened(strange: bytes):
    fine = say(one(transaction=True))
    async with (
        RawServer(say(again(strange)), fine) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        opened = await gateway.messages.send(**THIS, transaction=True)
        assert opened.id == message()["id"]
        assert [one.method for one in server.requests] == ["POST", "POST"]


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE.keys())
async def test_a_strange_response_to_a_read_is_a_typed_error_or_a_message(strange: bytes):
    async with (
        RawServer(say(again(strange))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        try:
            read = await gateway.messages.get(message()["id"])
        except UnexpectedResponseError:
            return
        # These are strange only as the response to a request for two recipients.
        assert read.valid + read.invalid <= 3


@pytest.mark.parametrize("shown", ["r", "", None, [], {}, 5, True], ids=repr)
async def test_a_response_with_this_reference_or_none_is_believed(shown: object):
    async with (
        RawServer(say(one(shown))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        assert (await gateway.messages.send(**THIS)).valid == 2


async def test_the_answers_of_two_sends_mixed_up_are_not_believed():
    """A proxy answers each of two requests with the response to the other."""
    waiting: list[Exchange] = []

    async def mixed_up(exchange: Exchange) -> None:
        waiting.append(exchange)
        if len(waiting) == 2:
            for at, other in ((0, 1), (1, 0)):
                custom = waiting[other].body.partition(b'"custom":"')[2].partition(b'"')[0]
                await waiting[at].send(one(custom.decode(), counts(1)))

    async with (
        RawServer(mixed_up, mixed_up, say(http(envelope([])))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        results = await asyncio.gather(
            *(gateway.messages.send(sender="ACME", body="Ciao", recipients=to) for to in (A, B)),
            return_exceptions=True,
        )
    assert [type(result) for result in results] == [OutcomeUnknownError] * 2


# Recipients that the gateway refused


async def test_a_message_names_the_recipients_it_goes_to_without(
    gateway: GatewayClient, simulator: Simulator
):
    simulator.gateway.unroutable.update([B, C])
    sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients=[A, B, C])
    assert not sent.all_accepted
    assert (sent.valid, sent.invalid, sent.refused) == (1, 2, (B, C))
    sent = await gateway.messages.send(sender="ACME", body="Ciao", recipients=A)
    assert sent.all_accepted
    assert sent.refused == ()


def test_a_total_below_its_list_is_refused():
    with pytest.raises(ValueError, match="more invalid recipients"):
        InvalidCount(total=0, wire_list=b'["x"]')  # type: ignore[arg-type]


# The answer to another request


MIXED_UP: dict[str, tuple[Dialect, dict[str, Any]]] = {
    "own reference": (Dialect(), {}),
    "custom is not returned": (Dialect(custom_returned=False), {}),
    "custom of the caller": (Dialect(), {"options": Options(custom="shop")}),
    "custom is an object": (Dialect(), {"options": Options(custom={"shop": 1})}),
}


@pytest.mark.parametrize(("dialect", "more"), MIXED_UP.values(), ids=MIXED_UP.keys())
@pytest.mark.parametrize("first", ["send", "open"])
async def test_the_id_of_another_message_is_no_answer(
    first: str, dialect: Dialect, more: dict[str, Any]
):
    async with Simulator(dialect=dialect) as simulator, client_of(simulator) as gateway:
        answers: list[Any] = []
        post = simulator.gateway.post

        def answered_before(body: Any) -> Any:
            if not answers:
                answers.append(post(body))
            return answers[0]

        simulator.gateway.post = answered_before  # type: ignore[method-assign]
        same = {"sender": "ACME", "body": "Ciao", **more}
        await gateway.messages.send(**same, recipients=A, transaction=first == "open")
        with pytest.raises(OutcomeUnknownError):
            await gateway.messages.send(**same, recipients=B)
        assert B not in simulator.ledger


async def test_two_opens_are_not_answered_with_one_id():
    same: dict[str, Any] = {
        "sender": "ACME",
        "body": "Ciao",
        "options": Options(custom="shop"),
        "transaction": True,
    }
    one_id, other = http(envelope(message())), http(envelope(message("e" * 24)))
    async with (
        RawServer(say(one_id), say(one_id), say(other)) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        first = await gateway.messages.send(**same, recipients=A)
        second = await gateway.messages.send(**same, recipients=B)
        assert first.id != second.id
        assert len(server.requests) == 3


async def test_a_message_that_an_earlier_call_has_is_not_found_again(
    gateway: GatewayClient, simulator: Simulator
):
    await gateway.messages.send(**THIS)
    simulator.faults.add(Fault.reset(), on="send")
    with pytest.raises(OutcomeUnknownError, match="not provably this one"):
        await gateway.messages.send(**THIS)
    simulator.faults.add(Fault.reset(after_apply=True), on="send")
    found = await gateway.messages.send(**THIS)
    simulator.faults.add(Fault.reset(), on="send")
    with pytest.raises(OutcomeUnknownError, match="not provably this one"):
        await gateway.messages.send(**THIS)
    assert (await gateway.messages.get(found.id)).valid == 2
    assert simulator.ledger == {A: 2, B: 2}


SHOWN_BY_ANOTHER: dict[str, dict[str, Any]] = {
    "an open message": {"transaction": True},
    "another text": {"body": "Addio"},
    "another code": {"body": "Ciao 2"},
    "another sender": {"sender": "OTHER"},
}


@pytest.mark.parametrize("shown", SHOWN_BY_ANOTHER.values(), ids=SHOWN_BY_ANOTHER.keys())
async def test_an_answer_that_shows_another_message_is_not_believed(shown: dict[str, Any]):
    async with (
        RawServer(say(one(**shown)), say(http(envelope([])))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        with pytest.raises(OutcomeUnknownError, match="no message with its reference"):
            await gateway.messages.send(**THIS)


@pytest.mark.parametrize("shown", [{"body": "Addio"}, {"sender": "OTHER"}], ids=str)
async def test_an_open_that_shows_another_message_is_repeated(shown: dict[str, Any]):
    right = one(message_id="e" * 24, transaction=True)
    async with (
        RawServer(say(one(transaction=True, **shown)), say(right)) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        assert (await gateway.messages.send(**THIS, transaction=True)).id == "e" * 24


REWRITTEN: list[tuple[str, dict[str, Any]]] = [
    ("Ciao", {"body": None, "sender": None}),
    ("Ciao", {"body": "", "sender": ""}),
    (" Ciao,\r\n a te ", {"body": "Ciao,\n a te", "sender": "acme"}),
    ("L'ordine è qui & lì", {"body": "L&#039;ordine e&#768; qui &amp; li&#768;"}),
    ("Perché no? €5", {"body": "Perche' no? ?5"}),
    ("Привет, Anna", {"body": "Privet, Anna"}),
    ("Привет, Anna", {"body": "??????, Anna"}),
    ("Ciao {{name}}", {"body": "Ciao Anna"}),
]


@pytest.mark.parametrize(("body", "shown"), REWRITTEN, ids=str)
async def test_a_text_that_the_gateway_writes_in_another_way_is_believed(
    body: str, shown: dict[str, Any]
):
    recipient = Recipient(A, {"name": "Anna"})
    async with (
        RawServer(say(one(recipients=counts(1), **shown))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        sent = await gateway.messages.send(
            sender="ACME", body=body, recipients=recipient, reference="r"
        )
        assert sent.valid == 1


# A reference of digits


@pytest.mark.parametrize("shown", [4711, "4711"], ids=repr)
async def test_a_reference_that_comes_back_as_a_number_is_found(shown: object):
    listed = http(envelope([{"id": message()["id"]}]))
    async with (
        RawServer(say(listed), say(one(shown))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        assert await gateway.messages.find("4711") is not None


@pytest.mark.parametrize("shown", [True, 1.0, None, 10, "01", [1]], ids=repr)
async def test_another_value_is_not_the_reference(shown: object):
    listed = http(envelope([{"id": message()["id"]}]))
    async with (
        RawServer(say(listed), say(one(shown))) as server,
        GatewayClient("token", base_url=server.url, rate=None, retry=QUICK) as gateway,
    ):
        assert await gateway.messages.find("1") is None
