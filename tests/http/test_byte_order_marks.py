"""Some servers put byte order marks and blank lines before the JSON of each answer."""

import json
from typing import Any

import pytest

from gateway_sms_async import (
    ApiKey,
    GatewayClient,
    GatewayError,
    InsufficientCreditError,
    OutcomeUnknownError,
    RetryPolicy,
    UnexpectedResponseError,
)

from ..support.raw_server import RawServer, envelope, http, message, say

ONCE = RetryPolicy(max_attempts=1)
ID = message()["id"]
MARKS = ["\ufeff", "\ufeff\ufeff", "\r\n\ufeff\n", " \n"]
REFUSAL = {"success": False, "error": 210, "message": "no credit"}

marks = pytest.mark.parametrize("mark", MARKS, ids=map(repr, MARKS))


async def ask(call: str, body: bytes, status: str = "200 OK") -> Any:
    async with (
        RawServer(say(http(body, status=status))) as server,
        GatewayClient("t", base_url=server.url, rate=None, retry=ONCE) as client,
    ):
        match call:
            case "get":
                return await client.messages.get(ID)
            case "list":
                return await client.messages.list()
            case "recipients":
                return await client.messages.recipients(ID)
            case _:
                return await client.messages.send(
                    sender="ACME", body="Ciao", recipients="+39-3401234567"
                )


@marks
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_an_answer_is_read_after_marks(mark: str, twice: bool) -> None:
    def wire(data: Any) -> bytes:
        text = mark + json.dumps({"data": data, "success": True})
        return (mark + json.dumps(text)).encode() if twice else text.encode()

    closed = message(transaction=False)
    assert (await ask("send", wire([closed]))).id == ID
    assert (await ask("get", wire(closed))).id == ID
    assert [one.id for one in await ask("list", wire([{"id": ID}]))] == [ID]
    assert [one.number for one in await ask("recipients", wire([{"number": "+39-1"}]))] == ["+39-1"]


@marks
async def test_a_refusal_is_read_after_marks(mark: str) -> None:
    with pytest.raises(InsufficientCreditError):
        await ask("send", mark.encode() + json.dumps(REFUSAL).encode(), "402 Payment Required")


@marks
async def test_a_token_is_read_after_marks(mark: str) -> None:
    answer = {"token": "abc", "scopes": []}
    async with RawServer(say(http((mark + json.dumps(answer)).encode()))) as server:
        assert await ApiKey("me@example.com", "key", oauth_url=server.url).token() == "abc"


@pytest.mark.parametrize(
    "body", ["", "\ufeff", "\ufeff\ufeff", "\ufeff<html>", '\ufeff"', '"\ufeff"']
)
async def test_marks_alone_are_no_answer(body: str) -> None:
    with pytest.raises(UnexpectedResponseError):
        await ask("get", body.encode())
    with pytest.raises(OutcomeUnknownError):
        await ask("send", body.encode())


async def test_a_mark_within_is_no_reason_to_guess() -> None:
    with pytest.raises(GatewayError):
        await ask("get", envelope().replace(b":", b"\xef\xbb\xbf:"))
