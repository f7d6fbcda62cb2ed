"""What may be retried: one test per cell of fault x request, counted on the wire.

`python -m tests.http.test_retry_table` prints the whole table.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from gateway_sms_async import GatewayClient, RetryPolicy
from gateway_sms_async.errors import (
    APIError,
    AuthenticationError,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    InsufficientCreditError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    TransactionClosedError,
    UnexpectedResponseError,
)
from gateway_sms_async.testing import Fault, Simulator

from ..support.raw_server import RawServer, envelope, http, message, say, until
from ..support.virtual_time import on_a_real_clock

Call = Callable[[GatewayClient, str], Awaitable[Any]]

QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
# After so many seconds without a response, a server counts as hanging.
PATIENCE = 0.2
OPENED = {"sender": "ACME", "body": "Ciao", "recipients": ["+39-3400000000"], "transaction": True}
NUMBER = "+39-3401234567"


def get(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.get(message_id)


def send(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.send(sender="ACME", body="Ciao", recipients=NUMBER)


def open_(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.send(sender="ACME", body="Ciao", recipients=NUMBER, transaction=True)


def append(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.update(message_id, recipients=[NUMBER], transaction=True)


def close(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.update(message_id, transaction=False)


def update(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.update(message_id, recipients=[NUMBER])


def delete(gateway: GatewayClient, message_id: str) -> Awaitable[Any]:
    return gateway.messages.delete(message_id)


# The columns; the simulator calls a PUT without `transaction` "append" too.
REQUESTS: dict[str, Call] = {
    "get": get,
    "send": send,
    "open": open_,
    "append": append,
    "close": close,
    "update": update,
    "delete": delete,
}
WRITTEN = {"update": "append"}

# The ambiguous rows: what happens, and the error that the caller gets in the end.
AMBIGUOUS: dict[str, tuple[Callable[[bool], Fault], type[GatewayError]]] = {
    "reset": (lambda done: Fault.reset(after_apply=done), GatewayConnectionError),
    "closed": (lambda done: Fault.close(after_apply=done), GatewayConnectionError),
    "hang": (lambda done: Fault.hang(after_apply=done), GatewayTimeoutError),
    "truncated": (lambda done: Fault.truncate(after_apply=done), UnexpectedResponseError),
    "not JSON": (lambda done: Fault.invalid_json(after_apply=done), UnexpectedResponseError),
    "HTML 200": (lambda done: Fault.html(200, after_apply=done), UnexpectedResponseError),
    "HTML 403": (lambda done: Fault.html(403, after_apply=done), UnexpectedResponseError),
    "HTML 404": (lambda done: Fault.html(404, after_apply=done), UnexpectedResponseError),
    "HTML 422": (lambda done: Fault.html(422, after_apply=done), UnexpectedResponseError),
    "empty": (lambda done: Fault.empty(after_apply=done), UnexpectedResponseError),
    "200 success false": (
        lambda done: Fault.status(200, after_apply=done),
        UnexpectedResponseError,
    ),
    "500": (lambda done: Fault.status(500, after_apply=done), ServerError),
    "502 HTML": (lambda done: Fault.html(502, after_apply=done), ServerError),
    "503": (lambda done: Fault.status(503, retry_after=0, after_apply=done), ServerError),
    "504": (lambda done: Fault.status(504, envelope=False, after_apply=done), ServerError),
    "408": (lambda done: Fault.status(408, after_apply=done), UnexpectedResponseError),
    "409": (lambda done: Fault.status(409, after_apply=done), UnexpectedResponseError),
    "307": (
        lambda done: Fault.redirect("http://127.0.0.1:9/messages/", 307, after_apply=done),
        UnexpectedResponseError,
    ),
}

# The rejected rows, in the gateway's own words.
REJECTED: dict[int, type[APIError]] = {
    400: InvalidRequestError,
    402: InsufficientCreditError,
    403: AuthenticationError,
    404: NotFoundError,
    406: InvalidRequestError,
    413: InvalidRequestError,
    422: InvalidRequestError,
}

requests = pytest.mark.parametrize("request_name", REQUESTS)
ambiguous = pytest.mark.parametrize("fault_name", AMBIGUOUS)


@dataclass
class Scene:
    """A simulator with one open message, a client, and the client's requests."""

    simulator: Simulator
    gateway: GatewayClient
    message_id: str

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.simulator.requests]

    def strike(self, fault: Fault, name: str, *, times: int | None = 1, skip: int = 0) -> None:
        self.simulator.faults.add(fault, on=WRITTEN.get(name, name), times=times, skip=skip)

    def call(self, name: str, gateway: GatewayClient | None = None) -> Awaitable[Any]:
        return REQUESTS[name](gateway or self.gateway, self.message_id)


@pytest.fixture
async def scene(simulator: Simulator, gateway: GatewayClient) -> Scene:
    return Scene(simulator, gateway, opened(simulator))


def opened(simulator: Simulator) -> str:
    """Open a message without the client."""
    message_id: str = simulator.gateway.post(OPENED).body["data"][0]["id"]
    return message_id


def patient(scene: Scene, fault_name: str) -> GatewayClient:
    return scene.gateway.with_options(timeout=PATIENCE) if fault_name == "hang" else scene.gateway


def new_texts(scene: Scene) -> int:
    """Return how often the number of the calls was texted."""
    return scene.simulator.ledger[NUMBER]


# Row A: the response does not say whether the request was applied


@pytest.mark.parametrize("applied", [False, True], ids=["not applied", "applied"])
@requests
@ambiguous
async def test_one_ambiguous_answer(scene, fault_name, request_name, applied):
    fault, kind = AMBIGUOUS[fault_name]
    scene.strike(fault(applied), request_name)
    call = scene.call(request_name, patient(scene, fault_name))
    match request_name:
        case "get" | "open":
            await call
            assert scene.operations == [request_name] * 2
            assert new_texts(scene) == 0
        case "send" if applied:
            found = await call
            assert scene.operations == ["send", "list", "get"]
            assert found.id in scene.simulator.gateway.messages
            assert new_texts(scene) == 1
        case "send":
            with pytest.raises(OutcomeUnknownError) as caught:
                await call
            # The list shows one message, of another sender.
            assert scene.operations == ["send", "list", "get"]
            assert caught.value.reference
            assert type(caught.value.__cause__) is kind
            assert new_texts(scene) == 0
        case "delete":
            await call
            assert scene.operations == ["delete", "get"] + ["delete"] * (not applied)
            assert scene.message_id not in scene.simulator.gateway.messages
        case _:
            with pytest.raises(OutcomeUnknownError) as caught:
                await call
            assert scene.operations == [WRITTEN.get(request_name, request_name)]
            assert type(caught.value.__cause__) is kind
            stored = scene.simulator.gateway.messages[scene.message_id]
            assert stored.numbers.count(NUMBER) == (applied and request_name != "close")


@requests
@ambiguous
async def test_an_ambiguous_answer_that_stays(scene, fault_name, request_name):
    fault, kind = AMBIGUOUS[fault_name]
    scene.strike(fault(False), request_name, times=None)
    gateway = patient(scene, fault_name)
    expected: type[GatewayError] = OutcomeUnknownError
    match request_name:
        case "get" | "open":
            expected, sent = kind, [request_name] * QUICK.max_attempts
        case "send":
            sent = ["send", "list", "get"]
        case "delete":
            sent = ["delete", "get"] * 3
        case _:
            sent = [WRITTEN.get(request_name, request_name)]
    with pytest.raises(expected) as caught:
        await scene.call(request_name, gateway)
    assert type(caught.value) is expected
    assert scene.operations == sent


@pytest.mark.parametrize("fault_name", ["closed", "hang", "500"])
async def test_a_lost_send_whose_search_is_lost_too_stays_unknown(scene, fault_name):
    fault, _ = AMBIGUOUS[fault_name]
    scene.strike(Fault.close(after_apply=True), "send")
    scene.strike(fault(False), "list", times=None)
    with pytest.raises(OutcomeUnknownError) as caught:
        await scene.call("send", patient(scene, fault_name))
    assert Counter(scene.operations) == {"send": 1, "list": QUICK.max_attempts}
    assert isinstance(caught.value.__cause__, GatewayConnectionError)
    assert new_texts(scene) == 1


async def test_a_lost_send_stays_unknown_when_the_token_is_lost_in_the_search(scene):
    """Whatever prevents the search, also an error from outside the library: a text may be out."""

    class Dying(Vault):
        async def renew(self, rejected: str) -> str:
            raise LookupError("the vault is gone")

    scene.strike(Fault.close(after_apply=True), "send")
    scene.strike(Fault.status(401), "list", times=None)
    async with client(scene.simulator.url, Dying(scene.simulator.token)) as gateway:
        with pytest.raises(OutcomeUnknownError):
            await scene.call("send", gateway)
    assert new_texts(scene) == 1


async def test_a_search_that_fails_once_is_repeated(scene):
    scene.strike(Fault.close(after_apply=True), "send")
    scene.strike(Fault.close(), "list")
    scene.strike(Fault.status(500), "get")
    await scene.call("send")
    assert scene.operations == ["send", "list", "list", "get", "get"]


async def test_a_send_that_lands_after_the_search_was_sent_once_and_is_called_unknown(scene):
    scene.strike(Fault.late(3600), "send")
    with pytest.raises(OutcomeUnknownError) as caught:
        await scene.call("send", scene.gateway.with_options(timeout=PATIENCE))
    scene.simulator.land_late()
    assert new_texts(scene) == 1
    assert scene.operations.count("send") == 1
    found = await scene.gateway.messages.find(caught.value.reference)
    assert found is not None


async def test_a_send_without_a_reference_is_not_searched_for(scene):
    from gateway_sms_async import Options

    scene.strike(Fault.close(after_apply=True), "send")
    with pytest.raises(OutcomeUnknownError) as caught:
        await scene.gateway.messages.send(
            sender="ACME", body="Ciao", recipients=NUMBER, options=Options(custom={"mine": 1})
        )
    assert caught.value.reference is None
    assert scene.operations == ["send"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("refused", None),
        ("429", Fault.status(429, retry_after=3600)),
        ("401", Fault.status(401)),
        ("402", Fault.status(402)),
    ],
)
async def test_a_lost_delete_stays_unknown_whatever_the_second_one_meets(scene, name, fault):
    """The first may still be applied: no error may say that it was not."""
    scene.strike(Fault.late(3600), "delete")
    if fault is not None:
        scene.strike(fault, "delete", times=None)
    gateway = scene.gateway.with_options(
        timeout=PATIENCE, retry=RetryPolicy(base_delay=0.001, max_delay=0.001)
    )

    async def refuse_after_the_look() -> None:
        await until(lambda: "get" in scene.operations and scene.simulator.requests[-1].status)
        await scene.simulator.stop_listening()

    async with asyncio.TaskGroup() as group:
        if fault is None:
            group.create_task(refuse_after_the_look())
        with pytest.raises(OutcomeUnknownError):
            await scene.call("delete", gateway)
    await scene.simulator.start_listening()
    assert scene.simulator.land_late() == 1


async def test_a_delete_answered_404_is_done_only_after_one_of_ours_was_lost(scene):
    with pytest.raises(NotFoundError):
        await scene.gateway.messages.delete("0123456789abcdef01234567")
    assert scene.operations == ["delete"]
    scene.strike(Fault.close(after_apply=True), "delete")
    scene.strike(Fault.status(500), "get", times=None)
    await scene.call("delete")
    assert scene.operations[1:] == ["delete", *["get"] * 5, "delete"]


@requests
@pytest.mark.parametrize(
    "body",
    [
        b'{"success": true, "error": 212, "message": null}',
        b'{"success": false, "error": "212", "message": null}',
        b'{"success": false, "error": null, "message": "no"}',
        b'{"success": "false", "error": 212}',
        b'{"success": false}',
        b'{"error": 212}',
        b'[{"success": false, "error": 212}]',
        b"null",
        b'{"success": false, "error": 212} trailing',
    ],
    ids=lambda body: body.decode(),
)
async def test_a_422_in_other_words_than_the_gateways_is_no_no(request_name, body):
    """A no counts only in the documented envelope: `success` false and an integer."""
    answer = http(body, status="422 Unprocessable")
    async with RawServer(say(answer)) as server, client(server.url, max_attempts=2) as gateway:
        with pytest.raises((OutcomeUnknownError, UnexpectedResponseError)):
            await REQUESTS[request_name](gateway, message()["id"])
        written = [exchange for exchange in server.requests if exchange.method != "GET"]
        assert len(written) == {"get": 0, "open": 2, "delete": 3}.get(request_name, 1)


# Row D


@requests
async def test_a_readable_yes_is_one_request(scene, request_name):
    await scene.call(request_name)
    assert scene.operations == [WRITTEN.get(request_name, request_name)]


@requests
async def test_a_yes_encoded_twice_is_a_yes(scene, request_name):
    scene.strike(Fault.double_encoded(), request_name)
    await scene.call(request_name)
    assert len(scene.operations) == 1


# Row N: nothing was written


class Attempts(aiohttp.TCPConnector):
    """A connector that counts the requests for a connection."""

    made = 0

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        self.made += 1
        return await super().connect(*args, **kwargs)


def client(url: str, token: Any = "token", **kwargs: Any) -> GatewayClient:
    policy = {
        name: kwargs.pop(name)
        for name in ("max_attempts", "base_delay", "max_delay", "max_elapsed")
        if name in kwargs
    }
    retry = RetryPolicy(**{"base_delay": 0.001, "max_delay": 0.01, **policy})
    return GatewayClient(
        token, base_url=url, **{"rate": None, "timeout": 5.0, "retry": retry} | kwargs
    )


@requests
async def test_a_refused_connection_is_tried_again_and_nothing_is_sent_twice(scene, request_name):
    await scene.simulator.stop_listening()
    connectors: list[Attempts] = []

    def connector() -> Attempts:
        connectors.append(Attempts())
        return connectors[-1]

    async with client(
        scene.simulator.url, scene.simulator.token, connector=connector, max_attempts=1000
    ) as gateway:
        call = asyncio.ensure_future(scene.call(request_name, gateway))
        await until(lambda: connectors and connectors[0].made == 3)
        await scene.simulator.start_listening()
        await call
    assert scene.operations == [WRITTEN.get(request_name, request_name)]


@requests
async def test_connections_refused_to_the_end_are_a_connection_error(scene, request_name):
    await scene.simulator.stop_listening()
    connector = Attempts()
    async with client(scene.simulator.url, connector=connector) as gateway:
        with pytest.raises(GatewayConnectionError) as caught:
            await scene.call(request_name, gateway)
    await connector.close()
    assert type(caught.value) is GatewayConnectionError
    assert connector.made == QUICK.max_attempts
    assert scene.operations == []


@requests
async def test_connecting_that_takes_too_long_is_tried_again(scene, request_name):
    class Stuck(Attempts):
        async def connect(self, *args: Any, **kwargs: Any) -> Any:
            if self.made < 2:
                self.made += 1
                await asyncio.Event().wait()
            return await super().connect(*args, **kwargs)

    async with client(
        scene.simulator.url, scene.simulator.token, connector=Stuck, timeout=PATIENCE
    ) as gateway:
        await scene.call(request_name, gateway)
    assert scene.operations == [WRITTEN.get(request_name, request_name)]


@requests
async def test_a_name_that_does_not_resolve_is_tried_again_and_then_a_connection_error(
    request_name,
):
    class Nowhere(aiohttp.abc.AbstractResolver):
        asked = 0

        async def resolve(self, *args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            raise OSError(None, "no such host")

        async def close(self) -> None:
            pass

    resolver = Nowhere()
    async with client(
        "https://gateway.invalid",
        connector=lambda: aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False),
    ) as gateway:
        with pytest.raises(GatewayConnectionError, match="could not be resolved"):
            await REQUESTS[request_name](gateway, message()["id"])
    assert resolver.asked == QUICK.max_attempts


async def test_a_call_that_was_queued_too_long_was_not_sent(scene):
    """Every slot is taken by requests that hang: the queued call fails as not sent."""
    scene.strike(Fault.hang(), "get", times=None)
    async with client(scene.simulator.url, scene.simulator.token, concurrency=1) as gateway:
        hanging = asyncio.ensure_future(gateway.messages.get(scene.message_id))
        await until(lambda: scene.operations)
        hurried = gateway.with_options(retry=RetryPolicy(max_elapsed=0.1))
        with pytest.raises(GatewayTimeoutError, match="max_elapsed"):
            await scene.call("send", hurried)
        hanging.cancel()
    assert "send" not in scene.operations


# Row R 401


class Vault:
    """A token source whose first token is not valid at the gateway."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.renewals: list[str] = []

    async def token(self) -> str:
        return self.tokens[0]

    async def renew(self, rejected: str) -> str:
        self.renewals.append(rejected)
        await asyncio.sleep(0.01)
        if self.tokens[0] == rejected:
            del self.tokens[0]
        return self.tokens[0]


class ForgetfulVault(Vault):
    """Always returns its first token; only `renew` returns newer ones."""

    async def renew(self, rejected: str) -> str:
        self.renewals.append(rejected)
        return self.tokens[1]


@requests
async def test_a_fixed_token_that_is_refused_is_one_request(scene, request_name):
    async with client(scene.simulator.url, "wrong") as gateway:
        with pytest.raises(AuthenticationError) as caught:
            await scene.call(request_name, gateway)
    assert caught.value.status == 401
    assert len(scene.operations) == 1


@requests
@pytest.mark.parametrize("vault", [Vault, ForgetfulVault])
async def test_a_refused_token_is_renewed_and_the_request_repeated_once(scene, request_name, vault):
    source = vault("old", scene.simulator.token)
    async with client(scene.simulator.url, source) as gateway:
        await scene.call(request_name, gateway)
        assert scene.operations == [WRITTEN.get(request_name, request_name)] * 2
        await gateway.messages.list()
    assert source.renewals == ["old"]
    assert len(scene.operations) == 3


@requests
async def test_a_token_refused_again_after_renewal_is_an_error(scene, request_name):
    source = Vault("old", "no-better", "never-asked-for")
    async with client(scene.simulator.url, source) as gateway:
        with pytest.raises(AuthenticationError):
            await scene.call(request_name, gateway)
    assert source.renewals == ["old"]
    assert len(scene.operations) == 2


@pytest.mark.parametrize("concurrency", [8, 50])
@pytest.mark.parametrize("vault", [Vault, ForgetfulVault])
async def test_fifty_tasks_renew_a_token_once(simulator, concurrency, vault):
    ids = [opened(simulator) for _ in range(50)]
    source = vault("old", simulator.token)
    async with client(simulator.url, source, concurrency=concurrency) as gateway:
        await asyncio.gather(*(append(gateway, message_id) for message_id in ids))
    assert source.renewals == ["old"]
    counts = Counter(request.path for request in simulator.requests)
    assert len(counts) == 50
    assert max(counts.values()) <= 2
    stored = [simulator.gateway.messages[one].numbers.count(NUMBER) for one in ids]
    assert stored == [1] * 50


async def test_once_renewed_no_queued_call_departs_with_the_old_token(simulator):
    """A call may be queued for minutes: its token is checked again when it has its slot."""

    class Prompt(Vault):
        async def renew(self, rejected: str) -> str:
            self.tokens = [simulator.token]
            return simulator.token

    ids = [opened(simulator) for _ in range(50)]
    async with client(simulator.url, Prompt("old"), concurrency=4) as gateway:
        await asyncio.gather(*(get(gateway, message_id) for message_id in ids))
    refused = sum(request.status == 401 for request in simulator.requests)
    assert refused <= 2 * 4  # those in flight, and those that were just departing


@requests
async def test_a_source_that_cannot_renew_ends_the_call_with_its_own_error(scene, request_name):
    class Empty(Vault):
        async def renew(self, rejected: str) -> str:
            raise LookupError("the vault is empty")

    async with client(scene.simulator.url, Empty("old")) as gateway:
        with pytest.raises(LookupError, match="the vault is empty"):
            await scene.call(request_name, gateway)
        # Nothing is left behind: all slots are free.
        for _ in range(20):
            with pytest.raises(LookupError):
                await gateway.messages.list()
    assert Counter(scene.operations) == {WRITTEN.get(request_name, request_name): 1, "list": 20}


@pytest.mark.parametrize("method", ["token", "renew"])
async def test_a_token_source_that_hangs_ends_with_the_call_it_is_for(simulator, method):
    """`max_elapsed` limits the whole call, including the time until there is a token."""

    async def hang(*_: str) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    source = Vault("old")
    setattr(source, method, hang)
    async with client(simulator.url, source, max_elapsed=0.1) as gateway, asyncio.timeout(2):
        with pytest.raises(GatewayError):
            await gateway.messages.list()
    assert len(simulator.requests) == (method == "renew")


async def test_cancelling_the_task_that_renews_leaves_the_renewal_to_another(simulator):
    ids = [opened(simulator) for _ in range(5)]
    source = Vault("old", simulator.token)
    async with client(simulator.url, source, concurrency=5) as gateway:
        tasks = [asyncio.ensure_future(get(gateway, one)) for one in ids]
        await until(lambda: source.renewals)
        for task in tasks[:2]:
            task.cancel()
        async with asyncio.timeout(2):
            results = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(result, asyncio.CancelledError) for result in results) == 2
    assert not [one for one in results[2:] if isinstance(one, BaseException)]
    assert set(source.renewals) == {"old"}


# Rows R 402, 413, 422 and similar


@requests
@pytest.mark.parametrize("status", REJECTED)
async def test_a_no_in_the_gateways_words_is_raised_after_one_request(scene, request_name, status):
    scene.strike(Fault.status(status, 999), request_name, times=None)
    with pytest.raises(GatewayError) as caught:
        await scene.call(request_name)
    assert type(caught.value) is REJECTED[status]
    assert (caught.value.status, caught.value.code) == (status, 999)
    assert len(scene.operations) == 1
    assert new_texts(scene) == 0


@requests
@pytest.mark.parametrize("status", [401, 413])
async def test_a_complete_401_or_413_is_a_no_in_any_words(scene, request_name, status):
    scene.strike(Fault.html(status), request_name, times=None)
    with pytest.raises(APIError) as caught:
        await scene.call(request_name)
    assert caught.value.status == status
    assert caught.value.code is None
    assert len(scene.operations) == 1


@pytest.mark.parametrize("request_name", ["append", "close", "update"])
async def test_212_is_a_closed_message(scene, request_name):
    simulator = scene.simulator
    simulator.gateway.put(scene.message_id, {"recipients": [], "transaction": False})
    with pytest.raises(TransactionClosedError) as caught:
        await scene.call(request_name)
    assert (caught.value.status, caught.value.code) == (422, 212)
    assert len(scene.operations) == 1


async def test_212_with_another_status_is_not_a_closed_message(scene):
    scene.strike(Fault.status(400, 212), "append")
    with pytest.raises(InvalidRequestError) as caught:
        await scene.call("append")
    assert type(caught.value) is InvalidRequestError


# Row R 429


@requests
@pytest.mark.parametrize(
    "header",
    [None, "0", "", "inf", "-5", "nan", "5.5", "1e9", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"],
)
async def test_429_without_a_usable_header_is_repeated_after_a_wait_of_our_own(
    scene, request_name, header
):
    scene.strike(Fault.status(429, retry_after=header), request_name)
    await scene.call(request_name)
    assert scene.operations == [WRITTEN.get(request_name, request_name)] * 2


@requests
async def test_429_for_ever_is_a_rate_limit_error_after_all_attempts(scene, request_name):
    scene.strike(Fault.status(429, envelope=False), request_name, times=None)
    with pytest.raises(RateLimitError) as caught:
        await scene.call(request_name)
    assert caught.value.status == 429
    assert len(scene.operations) == QUICK.max_attempts


@requests
@pytest.mark.parametrize(
    "header", ["60", "400", "9999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "in 60 s"]
)
async def test_a_wait_beyond_what_is_left_is_an_error_at_once(scene, request_name, header):
    if header == "in 60 s":
        header = formatdate(time.time() + 60, usegmt=True)
    scene.strike(Fault.status(429, retry_after=header), request_name, times=None)
    gateway = scene.gateway.with_options(retry=RetryPolicy(max_elapsed=30))
    async with asyncio.timeout(2):
        with pytest.raises(RateLimitError) as caught:
            await scene.call(request_name, gateway)
        assert caught.value.retry_after is not None
        assert caught.value.retry_after > 30
        # The hold is for all calls: the next one fails without a request.
        with pytest.raises(RateLimitError):
            await gateway.messages.list()
    assert len(scene.operations) == 1


async def test_a_wait_beyond_the_cap_is_an_error_even_where_there_is_time(scene):
    scene.strike(Fault.status(429, retry_after=301), "get", times=None)
    gateway = scene.gateway.with_options(retry=RetryPolicy(max_elapsed=100_000))
    async with asyncio.timeout(2):
        with pytest.raises(RateLimitError):
            await scene.call("get", gateway)
    assert len(scene.operations) == 1


@on_a_real_clock
@pytest.mark.parametrize("header", ["seconds", "date"])
async def test_a_429_stops_every_task_of_the_session(simulator, header):
    """This really waits one second, the shortest wait that the header can express."""
    ids = [opened(simulator) for _ in range(20)]
    if header == "seconds":
        text, shortest = "1", 1.0
    else:
        text = formatdate(time.time() + 2, usegmt=True)  # which drops the fraction of a second
        shortest = int(time.time()) + 2 - time.time()
    simulator.faults.add(Fault.status(429, retry_after=text), skip=3)
    async with client(simulator.url, simulator.token, concurrency=2) as gateway:
        started = time.monotonic()
        await asyncio.gather(*(get(gateway, one) for one in ids))
    met = simulator.requests[3].at
    end = (met if header == "seconds" else started) + shortest
    # One other request was already on the wire when the response came.
    during = [request.at for request in simulator.requests if met + 0.05 < request.at < end - 0.05]
    assert during == []
    assert len(simulator.requests) == 21
    assert simulator.requests[-1].at > end - 0.05


async def test_a_hold_reaches_views_of_the_same_client(scene):
    scene.strike(Fault.status(429, retry_after=60), "get")
    view = scene.gateway.with_options(retry=RetryPolicy(max_elapsed=5))
    with pytest.raises(RateLimitError):
        await scene.call("get", view)
    other = scene.gateway.with_options(timeout=1, retry=RetryPolicy(max_elapsed=5))
    for name in REQUESTS:
        with pytest.raises(RateLimitError):
            await scene.call(name, other)
    assert scene.operations == ["get"]


async def test_after_retry_after_zero_the_wait_is_still_not_nothing(scene):
    scene.strike(Fault.status(429, retry_after=0), "get")
    gateway = scene.gateway.with_options(retry=RetryPolicy(base_delay=0.2))
    await scene.call("get", gateway)
    first, second = scene.simulator.requests
    assert second.at - first.at >= 0.09


async def test_a_campaign_waits_out_a_hold_that_is_longer_than_one_call_may_take(scene):
    """For bulk calls, a hold does not count towards max_elapsed. This really waits one second."""
    from gateway_sms_async._messages.messages import Messages

    scene.strike(Fault.status(429, retry_after=1), "append")
    scene.simulator.latency = 0.05  # the response takes time, and there is enough of it
    hurried = scene.gateway.with_options(retry=RetryPolicy(max_elapsed=0.3, base_delay=0.001))
    await Messages(hurried._view(bulk=True)).update(
        scene.message_id, recipients=[NUMBER], transaction=True
    )
    first, second = scene.simulator.requests
    assert second.at - first.at >= 0.95


async def test_retry_after_is_a_floor_under_other_waits_too(scene):
    """This really waits one second."""
    scene.strike(Fault.status(503, retry_after=1), "get")
    await scene.call("get")
    first, second = scene.simulator.requests
    assert second.at - first.at >= 0.95


@pytest.mark.parametrize("header", ["60", "3600", "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_a_503_that_asks_for_more_than_is_left_is_raised_at_once(scene, header):
    scene.strike(Fault.status(503, retry_after=header), "get", times=None)
    gateway = scene.gateway.with_options(retry=RetryPolicy(max_elapsed=30))
    async with asyncio.timeout(2):
        with pytest.raises(ServerError) as caught:
            await scene.call("get", gateway)
    assert caught.value.retry_after >= 60
    assert scene.operations == ["get"]
    scene.simulator.faults.clear()
    await scene.call("get")  # a 503 holds no other call


# Deadlines and switches


@ambiguous
@requests
async def test_what_is_counted_is_what_was_on_the_wire(scene, fault_name, request_name):
    from gateway_sms_async._messages.messages import Messages

    fault, _ = AMBIGUOUS[fault_name]
    scene.strike(fault(True), request_name)
    session = patient(scene, fault_name)._view()
    with suppress(OutcomeUnknownError):
        await REQUESTS[request_name](SimpleNamespace(messages=Messages(session)), scene.message_id)
    assert session.requests == len(scene.operations)
    repeated = request_name in {"get", "open"}
    assert session.retries == repeated


@requests
async def test_one_attempt_is_one_request(scene, request_name):
    gateway = scene.gateway.with_options(retry=RetryPolicy(max_attempts=1))
    scene.strike(Fault.status(429), request_name, times=None)
    with pytest.raises(RateLimitError):
        await scene.call(request_name, gateway)
    assert len(scene.operations) == 1


@pytest.mark.parametrize("request_name", ["get", "open"])
async def test_max_elapsed_bounds_the_whole_call(scene, request_name):
    scene.strike(Fault.hang(), request_name, times=None)
    gateway = scene.gateway.with_options(
        timeout=0.15, retry=RetryPolicy(max_attempts=100, base_delay=0.001, max_elapsed=0.5)
    )
    started = time.monotonic()
    with pytest.raises(GatewayTimeoutError):
        await scene.call(request_name, gateway)
    assert time.monotonic() - started < 1.5
    assert 2 <= len(scene.operations) <= 5


async def test_one_attempt_ends_with_the_call_when_its_own_time_is_longer(scene):
    scene.strike(Fault.hang(), "get")
    gateway = scene.gateway.with_options(timeout=30, retry=RetryPolicy(max_elapsed=0.3))
    async with asyncio.timeout(2):
        with pytest.raises(GatewayTimeoutError):
            await scene.call("get", gateway)


# The budget: what retries add to an outage


async def outage(gateway: GatewayClient, calls: int = 1000) -> None:
    results = await asyncio.gather(
        *(gateway.messages.get(message()["id"]) for _ in range(calls)), return_exceptions=True
    )
    assert all(isinstance(result, GatewayError) for result in results)


OUTAGE = {"base_delay": 0.0001, "max_delay": 0.001, "concurrency": 50}


async def test_a_thousand_calls_into_an_outage_cost_at_most_1035_requests(simulator):
    simulator.faults.add(Fault.status(503), times=None)
    async with client(simulator.url, simulator.token, **OUTAGE) as gateway:
        await outage(gateway)
    assert len(simulator.requests) <= 1035
    assert len(simulator.requests) == 1000 + 500 // 14


async def test_a_thousand_calls_to_a_closed_port_cost_at_most_1035_connects(simulator):
    await simulator.stop_listening()
    connector = Attempts()
    async with client(simulator.url, connector=connector, **OUTAGE) as gateway:
        await outage(gateway)
    await connector.close()
    assert connector.made <= 1035


async def test_the_budget_is_one_for_all_views(simulator):
    simulator.faults.add(Fault.status(503), times=None)
    async with client(simulator.url, simulator.token, **OUTAGE) as gateway:
        for _ in range(4):
            view = gateway.with_options(
                timeout=3, retry=RetryPolicy(base_delay=0.0001, max_delay=0.001)
            )
            await outage(view, 100)
    assert len(simulator.requests) <= 435


async def test_after_an_outage_successes_pay_for_retries_again(simulator):
    message_id = opened(simulator)
    async with client(simulator.url, simulator.token, **OUTAGE) as gateway:
        simulator.faults.add(Fault.status(503), times=None)
        await outage(gateway, 100)
        simulator.faults.clear()
        for _ in range(14):
            await gateway.messages.get(message_id)
        simulator.faults.add(Fault.status(503))
        await gateway.messages.get(message_id)


# Two responses on one connection


@pytest.mark.parametrize("request_name", ["get", "append", "close"])
async def test_an_answer_about_another_message_is_not_taken_for_ours(request_name):
    """A proxy that responded twice is one response ahead from then on."""
    other = envelope(message("ffffffffffffffffffffffff"))
    async with RawServer(say(http(other))) as server, client(server.url) as gateway:
        with pytest.raises((OutcomeUnknownError, UnexpectedResponseError)):
            await REQUESTS[request_name](gateway, message()["id"])


# Nothing is left behind


@pytest.mark.parametrize("request_name", ["get", "send", "append", "delete"])
async def test_no_exception_is_left_unretrieved(scene, request_name):
    import gc

    heard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    for fault, _ in AMBIGUOUS.values():
        if fault(False).kind != "hang":
            scene.strike(fault(False), request_name)
            with suppress(GatewayError):
                await scene.call(request_name)
    gc.collect()
    await asyncio.sleep(0)
    asyncio.get_running_loop().set_exception_handler(None)
    assert heard == []


# The table


async def measure() -> str:
    """Return how many requests were on the wire, per fault and request, as Markdown."""
    rows: dict[str, tuple[Callable[[bool], Fault] | None, str]] = {
        "none": (None, "token"),
        "refused, then open": (None, "refused"),
        "401 (fixed token)": (None, "wrong"),
        "401 (renewable)": (None, "renewed"),
        "402": (lambda _: Fault.status(402), "token"),
        "413": (lambda _: Fault.status(413), "token"),
        "422": (lambda _: Fault.status(422, 999), "token"),
        "422/212": (lambda _: Fault.status(422, 212), "token"),
        "429, no header": (lambda _: Fault.status(429), "token"),
        "429, 60 s of 30 left": (lambda _: Fault.status(429, retry_after=60), "token"),
    }
    rows |= {name: (fault, "token") for name, (fault, _) in AMBIGUOUS.items()}
    lines = ["| fault, once | " + " | ".join(REQUESTS) + " |", "|---" * (len(REQUESTS) + 1) + "|"]
    for row, (fault, kind) in rows.items():
        cells = []
        for name in REQUESTS:
            states = (False, True) if row in AMBIGUOUS else (False,)
            texts = [await _measure(name, fault and fault(state), kind) for state in states]
            cells.append(" / ".join(dict.fromkeys(texts)))
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def _measure(name: str, fault: Fault | None, kind: str) -> str:
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator())
        token = {"wrong": "wrong", "renewed": Vault("old", simulator.token)}.get(
            kind, simulator.token
        )
        gateway = await stack.enter_async_context(
            client(simulator.url, token, timeout=PATIENCE, max_elapsed=30, max_attempts=20)
        )
        scene = Scene(simulator, gateway, opened(simulator))
        if fault is not None:
            scene.strike(fault, name)
        if kind == "refused":
            await simulator.stop_listening()
        call = asyncio.ensure_future(scene.call(name))
        if kind == "refused":
            await asyncio.sleep(0.01)
            await simulator.start_listening()
        try:
            await call
            end = "ok"
        except GatewayError as error:
            end = type(error).__name__.removesuffix("Error")
        counts = Counter(request.method for request in simulator.requests)
        return "+".join(f"{number} {method}" for method, number in counts.items()) + f" → {end}"


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(measure()) + "\n")
