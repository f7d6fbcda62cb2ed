"""An id in an answer ends in errors, logs and terminals: what cannot be an id is refused."""

import json
from typing import Any

import pytest

from gateway_sms_async import (
    GatewayClient,
    GatewayError,
    OutcomeUnknownError,
    RetryPolicy,
    UnexpectedResponseError,
)

from ..support.raw_server import RawServer, http, message, say

ONCE = RetryPolicy(max_attempts=1)
ID = message()["id"]
HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "a\x07b",
    "a\x9b31mb",
    "a\u202eb",
    "a\u2066b",
    "a\nb",
    "a\r\nX: y",
    "a\x00b",
    "7f a",
    "../messages",
    "",
    "a" * 65,
    "+39-3401234567",
]


async def error_of(call: str, shown: dict[str, Any]) -> GatewayError:
    body = json.dumps({"data": [shown], "success": True}).encode()
    async with (
        RawServer(say(http(body))) as server,
        GatewayClient("t", base_url=server.url, rate=None, retry=ONCE) as client,
    ):
        calls = {
            "get": lambda: client.messages.get(ID),
            "send": lambda: client.messages.send(
                sender="ACME", body="Ciao", recipients="+39-3401234567"
            ),
            "open": lambda: client.messages.send(
                sender="ACME", body="Ciao", recipients="+39-3401234567", transaction=True
            ),
            "update": lambda: client.messages.update(ID, transaction=False),
        }
        with pytest.raises(GatewayError) as caught:
            await calls[call]()
    return caught.value


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
@pytest.mark.parametrize("call", ["get", "send", "open", "update"])
async def test_an_id_that_is_none_is_refused(hostile: str, call: str) -> None:
    refused = message(hostile, transaction=call == "open")
    # The gateway took no recipient: the error would name the message.
    refused["recipients"] = {"valid": {"count": 0}, "invalid": {"total": 1, "list": []}}
    error = await error_of(call, refused)
    expected = OutcomeUnknownError if call in {"send", "update"} else UnexpectedResponseError
    assert type(error) is expected
    shown = f"{error} {error!r} {error.__cause__} {error.__cause__!r}"
    assert shown.isascii()
    assert shown.isprintable()
    assert not hostile or hostile not in shown


@pytest.mark.parametrize("code", ["9" * 5000, "1e400", '"\\u001b[2J"', "true", "[]"])
async def test_an_error_code_that_is_none_is_not_shown(code: str) -> None:
    body = f'{{"success":false,"error":{code},"message":"x"}}'.encode()
    async with (
        RawServer(say(http(body, status="422 No"))) as server,
        GatewayClient("t", base_url=server.url, rate=None, retry=ONCE) as client,
    ):
        with pytest.raises(UnexpectedResponseError) as caught:
            await client.messages.get(ID)
    assert len(str(caught.value)) < 200
    assert str(caught.value).isprintable()
