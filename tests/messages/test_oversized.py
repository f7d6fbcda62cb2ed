"""What each call makes of a response that is larger than it can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway_sms_async import GatewayClient, RetryPolicy
from gateway_sms_async._http.endpoint import CONTROL_CAP, LIST_CAP, MESSAGE_CAP
from gateway_sms_async.errors import OutcomeUnknownError, UnexpectedResponseError

from ..support.raw_server import Exchange, Play, RawServer, http

ID = "5af0c2a1d7e3b40001a2b3c4"

NUMBER = "+39-3401234567"

Call = Callable[[GatewayClient], Awaitable[Any]]

READS: dict[str, tuple[int, Call]] = {
    "list": (LIST_CAP, lambda gateway: gateway.messages.list()),
    "get": (MESSAGE_CAP, lambda gateway: gateway.messages.get(ID)),
    "recipients": (LIST_CAP, lambda gateway: gateway.messages.recipients(ID)),
    "recipient": (CONTROL_CAP, lambda gateway: gateway.messages.recipient(ID, NUMBER)),
}

WRITES: dict[str, tuple[int, Call]] = {
    "send": (
        MESSAGE_CAP,
        lambda gateway: gateway.messages.send(sender="ACME", body="Ciao", recipients=NUMBER),
    ),
    "add": (
        MESSAGE_CAP,
        lambda gateway: gateway.messages.update(ID, recipients=[NUMBER], transaction=True),
    ),
    "close": (MESSAGE_CAP, lambda gateway: gateway.messages.update(ID, transaction=False)),
    "delete": (CONTROL_CAP, lambda gateway: gateway.messages.delete(ID)),
}


def client(url: str) -> GatewayClient:
    # A send looks for its message until its time is over, and the responses stay too large.
    policy = RetryPolicy(max_attempts=1, max_elapsed=1.0)
    return GatewayClient("token", base_url=url, rate=None, retry=policy)


def larger_than(cap: int, *, status: str = "200 OK") -> Play:
    """Respond with one byte more than `cap`, of which only the first thousand are sent."""

    async def play(exchange: Exchange) -> None:
        length = f"Content-Length: {cap + 1}"
        await exchange.send(http(b" " * 1000, length, status=status, length=False))

    return play


@pytest.mark.parametrize("name", READS)
async def test_a_read_says_that_the_response_is_too_large(name: str) -> None:
    cap, call = READS[name]
    async with RawServer(larger_than(cap)) as server, client(server.url) as gateway:
        with pytest.raises(UnexpectedResponseError, match=f"larger than {cap} bytes"):
            await call(gateway)


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_whose_response_is_too_large_is_unknown(name: str) -> None:
    cap, call = WRITES[name]
    async with RawServer(larger_than(cap)) as server, client(server.url) as gateway:
        with pytest.raises(OutcomeUnknownError) as caught:
            await call(gateway)
    assert isinstance(caught.value.__cause__, UnexpectedResponseError)
    assert f"larger than {cap} bytes" in str(caught.value.__cause__)


@pytest.mark.parametrize("name", READS)
async def test_a_refusal_is_never_as_large_as_a_list(name: str) -> None:
    play = larger_than(CONTROL_CAP, status="404 Not Found")
    async with RawServer(play) as server, client(server.url) as gateway:
        with pytest.raises(UnexpectedResponseError, match=f"larger than {CONTROL_CAP} bytes"):
            await READS[name][1](gateway)


async def test_a_list_with_too_many_recipients_is_no_list_of_one_message() -> None:
    entries = b",".join([b'{"number":"1"}'] * 60_000)
    body = http(b'{"success":true,"data":[' + entries + b"]}")

    async def play(exchange: Exchange) -> None:
        await exchange.send(body)

    async with RawServer(play) as server, client(server.url) as gateway:
        with pytest.raises(UnexpectedResponseError):
            await gateway.messages.recipients(ID)
