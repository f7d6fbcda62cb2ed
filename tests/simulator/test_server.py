"""The simulator over real sockets: calls, faults before and after the request is applied, stops."""

from __future__ import annotations

import ast
import asyncio
import json
import time
import zlib
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest

from gateway_sms_async import testing
from gateway_sms_async._simulator import server
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

SOON = 0.1


async def exchange(
    simulator: Simulator,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = None,
) -> bytes:
    """Make one request on its own connection, and return all bytes of the response."""
    reader, writer = await connect(simulator)
    try:
        writer.write(encode(simulator, method, path, body, token=token))
        return await reader.read()
    finally:
        writer.transport.abort()


async def connect(simulator: Simulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = simulator.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port))


def encode(
    simulator: Simulator, method: str, path: str, body: Any = None, *, token: str | None = None
) -> bytes:
    payload = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: simulator\r\nConnection: close\r\n"
        f"User-Agent: test\r\nAuthorization: Bearer {token or simulator.token}\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


async def call(simulator: Simulator, *args: Any, **kwargs: Any) -> tuple[int, Any]:
    status, _, body = parse(await exchange(simulator, *args, **kwargs))
    return status, json.loads(body)


async def opened(simulator: Simulator) -> str:
    body = {"sender": "ACME", "body": "Ciao", "recipients": ["+39-0"], "transaction": True}
    status, answer = await call(simulator, "POST", "/messages/", body)
    assert status == 201
    message_id: str = answer["data"][0]["id"]
    return message_id


async def arrivals(simulator: Simulator, count: int) -> None:
    while len(simulator.requests) < count:
        await asyncio.sleep(0.001)


def numbers(simulator: Simulator) -> list[str]:
    """The numbers on the only message."""
    (message,) = simulator.gateway.messages.values()
    return message.numbers


APPEND = {"recipients": ["+39-1", "+39-2"], "transaction": True}


async def test_the_seven_calls(simulator: Simulator) -> None:
    status, answer = await call(simulator, "GET", "/messages/")
    assert (status, answer["error"]) == (404, 203)
    message_id = await opened(simulator)
    path = f"/messages/{message_id}"
    status, answer = await call(simulator, "PUT", path, APPEND)
    assert (status, answer["data"]["recipients"]["valid"]["count"]) == (200, 3)
    status, answer = await call(simulator, "GET", path)
    assert (status, answer["data"][0]["transaction"]) == (200, True)
    status, answer = await call(simulator, "PUT", path, {"recipients": [], "transaction": False})
    assert (status, answer["data"]["transaction"]) == (200, False)
    status, answer = await call(simulator, "GET", f"{path}/recipients/")
    assert [recipient["number"] for recipient in answer["data"]] == ["+39-0", "+39-1", "+39-2"]
    for written in ("+39-1", "%2B39-1"):
        status, answer = await call(simulator, "GET", f"{path}/recipients/{written}")
        assert (status, answer["data"][0]["i"]) == (200, 1)
    status, answer = await call(simulator, "DELETE", path)
    assert (status, answer["error"]) == (422, 221)
    sent = {"sender": "ACME", "body": "Ciao", "recipients": "+39-0"}
    assert (await call(simulator, "POST", "/messages/", sent))[0] == 201
    status, answer = await call(simulator, "GET", "/messages/")
    assert (status, len(answer["data"])) == (200, 2)
    assert simulator.ledger == {"+39-0": 2, "+39-1": 1, "+39-2": 1}
    assert [record.operation for record in simulator.requests] == [
        "list",
        "open",
        "append",
        "get",
        "close",
        "recipients",
        "recipient",
        "recipient",
        "delete",
        "send",
        "list",
    ]
    assert [record.applied for record in simulator.requests].count(False) == 2


async def test_ids_missing_from_the_path(simulator: Simulator) -> None:
    status, answer = await call(simulator, "DELETE", "/messages/")
    assert (status, answer["error"]) == (400, 217)
    status, answer = await call(simulator, "PUT", "/messages/", APPEND)
    assert (status, answer["error"]) == (406, 210)


async def test_a_token_is_needed_and_may_die(simulator: Simulator) -> None:
    sent = {"sender": "ACME", "body": "Ciao", "recipients": "+39-0"}
    status, answer = await call(simulator, "POST", "/messages/", sent, token="wrong")
    assert (status, answer["success"], answer["data"]) == (401, False, None)
    assert not simulator.gateway.messages
    simulator.tokens.remove(simulator.token)
    simulator.tokens.add("next")
    assert (await call(simulator, "POST", "/messages/", sent))[0] == 401
    assert (await call(simulator, "POST", "/messages/", sent, token="next"))[0] == 201
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{simulator.url}/messages/") as response,
    ):
        assert response.status == 401


async def test_records_say_what_arrived_and_hold_no_token(simulator: Simulator) -> None:
    clock = asyncio.get_running_loop().time
    before = clock()
    message_id = await opened(simulator)
    await exchange(simulator, "PUT", f"/messages/{message_id}", APPEND)
    opening, append = simulator.requests
    assert simulator.token not in repr(simulator.requests)
    assert (append.method, append.path) == ("PUT", f"/messages/{message_id}")
    assert (append.operation, append.body) == ("append", APPEND)
    assert append.headers["user-agent"] == "test"
    assert before <= opening.at <= append.at <= clock()
    assert (opening.connection, append.connection) == (1, 2)
    assert (append.applied, append.status) == (True, 200)
    assert simulator.connections == 2


async def test_one_connection_serves_many_requests(simulator: Simulator) -> None:
    async with aiohttp.ClientSession(
        headers={"Authorization": "bearer simulator-token"}
    ) as session:
        for _ in range(3):
            async with session.get(f"{simulator.url}/messages/") as response:
                assert response.content_type == "application/json"
                await response.read()
    assert simulator.connections == 1
    assert [record.connection for record in simulator.requests] == [1, 1, 1]


@pytest.mark.parametrize("keep", [0, 2])
async def test_the_records_kept_are_bounded(keep: int) -> None:
    async with Simulator(keep_requests=keep) as simulator:
        for _ in range(4):
            await exchange(simulator, "GET", "/messages/")
        assert len(simulator.requests) == keep
        assert simulator.summary()["requests"] == {"list": 4}


async def test_a_body_that_is_not_json(simulator: Simulator) -> None:
    reader, writer = await connect(simulator)
    writer.write(encode(simulator, "POST", "/messages/", "{").replace(b'"{"', b"{{{"))
    assert parse(await reader.read())[0] == 400
    writer.close()
    assert simulator.requests[0].body is None


async def test_a_large_body(simulator: Simulator) -> None:
    message_id = await opened(simulator)
    recipients = [f"+39-{3_000_000_000 + i}" for i in range(200_000)]
    status, answer = await call(
        simulator, "PUT", f"/messages/{message_id}", {"recipients": recipients}
    )
    assert (status, answer["data"]["recipients"]["valid"]["count"]) == (200, 200_001)


async def test_the_summary_needs_no_token(simulator: Simulator) -> None:
    message_id = await opened(simulator)
    body = {"sender": "ACME", "body": "Ciao", "recipients": ["+39-1", "+39-1", "+39-2"]}
    await exchange(simulator, "POST", "/messages/", body)
    await exchange(simulator, "PUT", f"/messages/{message_id}", APPEND)
    status, answer = await call(simulator, "GET", "/_simulator", token="wrong")
    assert status == 200
    assert answer == {
        "messages": 2,
        "open": 1,
        "closed": 1,
        "recipients": 3,
        "distinct": 2,
        "doubled": 1,
        "requests": {"open": 1, "send": 1, "append": 1},
        "credit": "999999.91",
    }
    assert len(simulator.requests) == 3


ID = "5cf7cc139f272546624d3795"
UNDOCUMENTED = {
    ("GET", "/"): (404, None),
    ("GET", "/tokens"): (404, None),
    ("POST", "/v1/messages/"): (404, None),
    ("HEAD", "/nothing"): (404, None),
    ("OPTIONS", "/nothing"): (404, None),
    ("GET", f"/messages/{ID}/senders/"): (404, None),
    ("GET", f"/messages/{ID}/recipients/+39-1/more"): (404, None),
    ("PATCH", f"/messages/{ID}"): (405, "DELETE, GET, HEAD, OPTIONS, PUT"),
    ("POST", f"/messages/{ID}"): (405, "DELETE, GET, HEAD, OPTIONS, PUT"),
    ("PATCH", "/messages/"): (405, "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
    ("DELETE", f"/messages/{ID}/recipients/"): (405, "GET, HEAD, OPTIONS"),
    ("TRACE", f"/messages/{ID}/recipients/+39-1"): (405, "GET, HEAD, OPTIONS"),
    ("PUT", "/oauth/wallet"): (405, "GET, HEAD, OPTIONS"),
    ("GET", "/oauth/"): (404, None),
    ("GET", "/oauth/tokens/a/b"): (404, None),
}


@pytest.mark.parametrize(("method", "path"), UNDOCUMENTED)
async def test_what_is_not_documented_is_refused_in_the_gateways_envelope(
    simulator: Simulator, method: str, path: str
) -> None:
    status, allow = UNDOCUMENTED[method, path]
    answer = parse(await exchange(simulator, method, path, token="wrong"))
    assert (answer[0], answer[1].get("allow")) == (status, allow)
    assert answer[1]["content-type"] == "application/json"
    if method == "HEAD":
        assert answer[2] == b""
    else:
        envelope = json.loads(answer[2])
        assert (envelope["success"], envelope["error"], envelope["data"]) == (False, status, None)
    (record,) = simulator.requests
    assert (record.operation, record.status, record.applied) == ("unknown", status, False)


@pytest.mark.parametrize(
    ("method", "path"), [*UNDOCUMENTED, ("HEAD", "/messages/"), ("OPTIONS", "/oauth/wallet")]
)
async def test_what_is_not_documented_may_get_a_web_servers_page(method: str, path: str) -> None:
    async with Simulator(dialect=Dialect(unknown_as_page=True)) as simulator:
        status, headers, body = parse(await exchange(simulator, method, path))
        assert status in {404, 405}
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert body.startswith(b"<html>") is (method != "HEAD")
        assert simulator.requests[0].operation == "unknown"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/messages/", "DELETE, GET, HEAD, OPTIONS, POST, PUT"),
        (f"/messages/{ID}", "DELETE, GET, HEAD, OPTIONS, PUT"),
        (f"/messages/{ID}/recipients/", "GET, HEAD, OPTIONS"),
        ("/oauth/tokens", "DELETE, GET, HEAD, OPTIONS, PATCH, POST"),
        ("/oauth/token/x", "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"),
    ],
)
async def test_options_names_the_methods(simulator: Simulator, path: str, allow: str) -> None:
    status, headers, body = parse(await exchange(simulator, "OPTIONS", path, token="wrong"))
    assert (status, headers["allow"], body) == (204, allow, b"")
    assert (simulator.requests[0].operation, simulator.requests[0].status) == ("unknown", 204)


async def test_head_is_answered_as_get_without_the_body(simulator: Simulator) -> None:
    assert parse(await exchange(simulator, "HEAD", "/messages/"))[0] == 404
    message_id = await opened(simulator)
    operations = ["list", "open"]
    for path, operation in (
        ("/messages/", "list"),
        (f"/messages/{message_id}", "get"),
        (f"/messages/{message_id}/recipients/", "recipients"),
        (f"/messages/{message_id}/recipients/+39-0", "recipient"),
    ):
        got, head = [parse(await exchange(simulator, method, path)) for method in ("GET", "HEAD")]
        assert got[0] == head[0] == 200
        assert head[1]["content-type"] == "application/json"
        assert (head[1]["content-length"], head[2]) == (str(len(got[2])), b"")
        operations += [operation, operation]
    assert [record.operation for record in simulator.requests] == operations
    assert simulator.requests[-1].method == "HEAD"
    assert parse(await exchange(simulator, "HEAD", "/messages/", token="wrong"))[0] == 401


async def test_head_needs_the_scope_of_get(simulator: Simulator) -> None:
    pair = b64encode(f"{simulator.email}:{simulator.api_key}".encode()).decode()
    async with aiohttp.ClientSession(headers={"Authorization": f"Basic {pair}"}) as session:
        for method, status in (("GET", 404), ("POST", 403)):
            scopes = [f"{method}:ws.messaggisms.com/messages"]
            async with session.post(
                f"{simulator.oauth_url}/tokens", json={"scopes": scopes}
            ) as answer:
                token = (await answer.json())["token"]
            assert parse(await exchange(simulator, "HEAD", "/messages/", token=token))[0] == status


async def test_slashes_at_the_end() -> None:
    paths = (
        "/messages/",
        "/messages/{}",
        "/messages/{}/recipients/",
        "/messages/{}/recipients/+39-0",
    )
    for strict in (False, True):
        async with Simulator(dialect=Dialect(strict_slashes=strict)) as simulator:
            message_id = await opened(simulator)
            for path in paths:
                documented = path.format(message_id)
                other = documented[:-1] if path.endswith("/") else documented + "/"
                assert parse(await exchange(simulator, "GET", documented))[0] == 200
                assert parse(await exchange(simulator, "GET", other))[0] == (404 if strict else 200)


async def test_a_dialect_shows_on_the_wire() -> None:
    async with Simulator(dialect=Dialect(put_as_created=True), credit="0.05", price=1) as simulator:
        message_id = await opened(simulator)
        status, answer = await call(simulator, "PUT", f"/messages/{message_id}", APPEND)
        assert (status, len(answer["data"]), answer["credit"]) == (201, 1, "0.05")


async def test_the_clock_can_be_injected() -> None:
    now = 1_000.0
    async with Simulator(clock=lambda: now, sent_after=5, delivered_after=9) as simulator:
        body = {"sender": "ACME", "body": "Ciao", "recipients": "+39-1"}
        await exchange(simulator, "POST", "/messages/", body)
        states = []
        for now in (1_004.0, 1_005.0, 1_009.0):  # noqa: B007 - the clock reads it
            _, answer = await call(
                simulator, "GET", f"/messages/{next(iter(simulator.gateway.messages))}"
            )
            states.append(answer["data"][0]["state"])
        assert states == [0, 1, 2]


async def test_latency_is_added_after_the_request_was_applied() -> None:
    async with Simulator(latency=SOON) as simulator:
        started = time.monotonic()
        task = asyncio.create_task(opened(simulator))
        await arrivals(simulator, 1)
        assert simulator.requests[0].applied
        assert simulator.requests[0].status is None
        await task
        assert time.monotonic() - started >= SOON
        assert simulator.requests[0].status == 201


async def test_delay_is_waited_for_before_the_request_is_applied(simulator: Simulator) -> None:
    path = f"/messages/{await opened(simulator)}"
    simulator.delay = lambda request: SOON if request.operation == "append" else 0
    started = time.monotonic()
    task = asyncio.create_task(exchange(simulator, "PUT", path, APPEND))
    await arrivals(simulator, 2)
    assert parse(await exchange(simulator, "GET", path))[0] == 200
    assert time.monotonic() - started < SOON
    assert numbers(simulator) == ["+39-0"]
    assert parse(await task)[0] == 200
    assert time.monotonic() - started >= SOON
    assert len(numbers(simulator)) == 3


async def test_a_client_that_disconnects_during_the_delay_cancels_its_request(
    simulator: Simulator,
) -> None:
    path = f"/messages/{await opened(simulator)}"
    simulator.delay = lambda _: SOON
    simulator.faults.add(Fault.late(0.001), skip=1)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SOON / 2):
                await exchange(simulator, "PUT", path, APPEND)
    await asyncio.sleep(SOON)
    assert [record.applied for record in simulator.requests] == [True, False, True]


# Lost updates, and repeated PUTs


async def put(session: aiohttp.ClientSession, url: str, *recipients: str, closes: bool) -> int:
    body = {"recipients": list(recipients), "transaction": not closes}
    async with session.put(url, json=body) as response:
        await response.read()
        return response.status


@pytest.mark.parametrize("waits", ["latency", "delay"])
@pytest.mark.parametrize("loses", [False, True])
async def test_one_of_two_concurrent_puts_is_lost(loses: bool, waits: str) -> None:
    dialect = Dialect(lose_concurrent=loses)
    async with (
        Simulator(dialect=dialect) as simulator,
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {simulator.token}"}) as session,
    ):
        url = f"{simulator.url}/messages/{await opened(simulator)}"
        if waits == "latency":
            simulator.latency = SOON
        else:
            simulator.delay = lambda _: SOON
        both = (put(session, url, number, closes=False) for number in ("+39-1", "+39-2"))
        assert await asyncio.gather(*both) == [200, 200]
        assert simulator.connections == 3
        kept = numbers(simulator)
        assert sorted(kept) in (
            [["+39-0", "+39-1"], ["+39-0", "+39-2"]] if loses else [["+39-0", "+39-1", "+39-2"]]
        )
        assert await put(session, url, "+39-3", closes=False) == 200
        assert await put(session, url, closes=True) == 200
        assert simulator.ledger == dict.fromkeys([*kept, "+39-3"], 1)


async def test_a_put_that_overlaps_a_close_meets_a_closed_message() -> None:
    async with Simulator(dialect=Dialect(lose_concurrent=True)) as simulator:
        path = f"/messages/{await opened(simulator)}"
        simulator.delay = lambda request: SOON if request.operation == "append" else 0
        task = asyncio.create_task(call(simulator, "PUT", path, APPEND))
        await arrivals(simulator, 2)
        closing = {"recipients": ["+39-3"], "transaction": False}
        assert (await call(simulator, "PUT", path, closing))[0] == 200
        status, answer = await task
        assert (status, answer["error"]) == (422, 212)
        assert simulator.ledger == {"+39-0": 1, "+39-3": 1}


async def test_a_proxy_repeats_puts() -> None:
    async with Simulator(dialect=Dialect(repeat_puts=True)) as simulator:
        path = f"/messages/{await opened(simulator)}"
        status, answer = await call(simulator, "PUT", path, APPEND)
        assert (status, answer["data"]["recipients"]["valid"]["count"]) == (200, 3)
        closing = {"recipients": ["+39-3"], "transaction": False}
        assert (await call(simulator, "PUT", path, closing))[0] == 200
        assert simulator.ledger == {"+39-0": 1, "+39-1": 2, "+39-2": 2, "+39-3": 1}
        assert [record.applied for record in simulator.requests] == [True, True, True]


async def test_repeat_at_once(simulator: Simulator) -> None:
    status, _, body = parse(await append(simulator, Fault.repeat()))
    assert (status, json.loads(body)["data"]["recipients"]["valid"]["count"]) == (200, 3)
    assert numbers(simulator) == ["+39-0", "+39-1", "+39-2", "+39-1", "+39-2"]
    assert (simulator.requests[-1].applied, simulator.requests[-1].status) == (True, 200)


async def test_repeat_later(simulator: Simulator) -> None:
    assert parse(await append(simulator, Fault.repeat(SOON)))[0] == 200
    assert len(numbers(simulator)) == 3
    await asyncio.sleep(2 * SOON)
    assert len(numbers(simulator)) == 5
    assert simulator.land_late() == 0


async def test_repeat_meets_a_closed_message_and_lands_at_exit() -> None:
    async with Simulator() as simulator:
        await append(simulator, Fault.repeat(60))
        path = f"/messages/{next(iter(simulator.gateway.messages))}"
        await exchange(simulator, "PUT", path, {"recipients": [], "transaction": False})
        assert simulator.land_late() == 1
        assert simulator.ledger == {"+39-0": 1, "+39-1": 1, "+39-2": 1}
        assert simulator.requests[1].applied
        simulator.faults.add(Fault.repeat(60), on="POST")
        await opened(simulator)
        assert len(simulator.gateway.messages) == 2
    assert len(simulator.gateway.messages) == 3


@pytest.mark.parametrize("code", [401, 402, 413, 422, 429, 500])
async def test_a_pretended_refusal_applies_half(code: int) -> None:
    async with Simulator(dialect=Dialect(refusals_apply_half=True)) as simulator:
        assert parse(await append(simulator, Fault.status(code)))[0] == code
        assert numbers(simulator) == (["+39-0"] if code == 500 else ["+39-0", "+39-1"])
        assert simulator.requests[-1].applied is False
        path = f"/messages/{next(iter(simulator.gateway.messages))}"
        await exchange(simulator, "PUT", path, {"recipients": [], "transaction": False})
        before = simulator.ledger
        simulator.faults.add(Fault.status(code), times=2)
        assert parse(await exchange(simulator, "PUT", path, APPEND))[0] == code
        assert parse(await exchange(simulator, "GET", path))[0] == code
        assert simulator.ledger == before


# Faults without a response

BOTH = pytest.mark.parametrize("after", [False, True])


async def append(simulator: Simulator, fault: Fault) -> bytes:
    message_id = await opened(simulator)
    simulator.faults.add(fault, on="append")
    return await exchange(simulator, "PUT", f"/messages/{message_id}", APPEND)


def check_applied(simulator: Simulator, after: bool, status: int | None) -> None:
    assert len(numbers(simulator)) == (3 if after else 1)
    assert (simulator.requests[-1].applied, simulator.requests[-1].status) == (after, status)


@BOTH
async def test_reset(simulator: Simulator, after: bool) -> None:
    with pytest.raises(ConnectionResetError):
        await append(simulator, Fault.reset(after_apply=after))
    check_applied(simulator, after, None)


@BOTH
async def test_close(simulator: Simulator, after: bool) -> None:
    assert await append(simulator, Fault.close(after_apply=after)) == b""
    check_applied(simulator, after, None)


@BOTH
async def test_hang(simulator: Simulator, after: bool) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await append(simulator, Fault.hang(after_apply=after))
    check_applied(simulator, after, None)


async def test_late_lands_after_the_client_has_left(simulator: Simulator) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await append(simulator, Fault.late(2 * SOON))
    check_applied(simulator, after=False, status=None)
    await asyncio.sleep(2 * SOON)
    check_applied(simulator, after=True, status=None)
    assert simulator.land_late() == 0


async def test_late_meets_a_closed_message(simulator: Simulator) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await append(simulator, Fault.late(60))
    path = f"/messages/{next(iter(simulator.gateway.messages))}"
    await exchange(simulator, "PUT", path, {"recipients": [], "transaction": False})
    assert simulator.land_late() == 1
    assert simulator.ledger == {"+39-0": 1}
    assert simulator.requests[1].applied is False


async def test_a_late_opening_leaves_an_orphan(simulator: Simulator) -> None:
    simulator.faults.add(Fault.late(60), on="open")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SOON):
            await opened(simulator)
    assert not simulator.gateway.messages
    assert simulator.land_late() == 1
    (orphan,) = simulator.gateway.messages.values()
    assert orphan.is_open
    assert orphan.numbers == ["+39-0"]


async def test_late_lands_at_exit_in_order() -> None:
    async with Simulator() as simulator:
        path = f"/messages/{await opened(simulator)}"
        simulator.faults.add(Fault.late(120))
        simulator.faults.add(Fault.late(60))
        for number in ("+39-1", "+39-2"):
            with suppress(TimeoutError):
                async with asyncio.timeout(SOON / 2):
                    await exchange(simulator, "PUT", path, {"recipients": number})
        assert numbers(simulator) == ["+39-0"]
    assert numbers(simulator) == ["+39-0", "+39-2", "+39-1"]


# Faults with a false response


async def test_partial_keeps_half_and_reports_it(simulator: Simulator) -> None:
    status, _, body = parse(await append(simulator, Fault.partial()))
    assert (status, json.loads(body)["data"]["recipients"]["valid"]["count"]) == (200, 2)
    assert numbers(simulator) == ["+39-0", "+39-1"]
    assert simulator.requests[-1].body == APPEND


async def test_partial_may_end_in_another_fault(simulator: Simulator) -> None:
    assert parse(await append(simulator, Fault.partial(then=Fault.status(500))))[0] == 500
    assert numbers(simulator) == ["+39-0", "+39-1"]
    assert simulator.requests[-1].status == 500
    with pytest.raises(ValueError, match="late"):
        Fault.partial(then=Fault.late(1))


async def test_lost_reports_success_and_keeps_nothing(simulator: Simulator) -> None:
    status, _, body = parse(await append(simulator, Fault.lost()))
    assert (status, json.loads(body)["data"]["recipients"]["valid"]["count"]) == (200, 3)
    check_applied(simulator, after=False, status=200)


@pytest.mark.parametrize("code", [401, 402, 403, 413, 422, 429])
async def test_the_second_copy_is_refused(simulator: Simulator, code: int) -> None:
    path = f"/messages/{await opened(simulator)}"
    simulator.faults.add(Fault.status(code, after_apply=True), on="close")
    closing = {"recipients": ["+39-3"], "transaction": False}
    status, answer = await call(simulator, "PUT", path, closing)
    assert (status, answer["success"], answer["error"]) == (code, False, code)
    assert simulator.ledger == {"+39-0": 1, "+39-3": 1}
    assert (simulator.requests[-1].applied, simulator.requests[-1].status) == (True, code)


async def test_mixed_up_answers_with_what_came_before(simulator: Simulator) -> None:
    simulator.faults.add(Fault.mixed_up(), times=None)
    first = await opened(simulator)  # nothing came before it
    assert await opened(simulator) == first
    second = next(reversed(simulator.gateway.messages))
    assert second != first
    await exchange(simulator, "GET", f"/messages/{second}")
    _, answer = await call(simulator, "GET", f"/messages/{first}")
    assert answer["data"][0]["id"] == second
    status, _ = await call(simulator, "PUT", f"/messages/{first}", APPEND)
    assert status == 200
    simulator.faults.clear()
    simulator.faults.add(Fault.mixed_up())
    body = {"recipients": [], "transaction": True}
    status, answer = await call(simulator, "PUT", f"/messages/{second}", body)
    assert (status, answer["data"]["id"]) == (200, first)
    simulator.faults.add(Fault.mixed_up())
    assert (await call(simulator, "GET", "/messages/nonsense"))[0] == 200
    assert (await call(simulator, "GET", "/messages/nonsense"))[0] == 406
    assert len(simulator.gateway.messages) == 2


async def test_a_mixed_up_list_is_the_one_before(simulator: Simulator) -> None:
    paths = [f"/messages/{await opened(simulator)}/recipients/" for _ in range(2)]
    first = (await call(simulator, "GET", paths[0]))[1]
    simulator.faults.add(Fault.mixed_up())
    assert (await call(simulator, "GET", paths[1]))[1] == first


async def test_closed_by_others(simulator: Simulator) -> None:
    path = f"/messages/{await opened(simulator)}"
    simulator.faults.add(Fault.closed_by_others(), on="append")
    status, answer = await call(simulator, "PUT", path, APPEND)
    assert (status, answer["error"]) == (422, 212)
    assert simulator.ledger == {"+39-0": 1}
    simulator.faults.add(Fault.closed_by_others(), on="open")
    assert len(simulator.gateway.messages[await opened(simulator)].numbers) == 1
    assert simulator.ledger == {"+39-0": 1}


async def test_a_stray_answer_on_an_idle_connection(simulator: Simulator) -> None:
    path = f"/messages/{await opened(simulator)}"
    whole = encode(simulator, "GET", path).replace(b"Connection: close\r\n", b"")
    simulator.faults.add(Fault.stray(408, b"too late"))
    simulator.faults.add(Fault.stray(None))
    reader, writer = await connect(simulator)
    try:
        for status, repeated in ((408, False), (200, True)):
            writer.write(whole)
            answer = await one_answer(reader)
            assert (parse(answer)[0], parse(answer)[2][:1]) == (200, b"{")
            stray = await one_answer(reader)
            assert parse(stray)[0] == status
            assert parse(stray)[2] == (parse(answer)[2] if repeated else b"too late")
        assert [record.status for record in simulator.requests] == [201, 200, 200]
        writer.write(whole)
        assert parse(await one_answer(reader))[0] == 200
    finally:
        writer.transport.abort()


async def test_no_stray_answer_to_a_client_that_asks_again(simulator: Simulator) -> None:
    path = f"/messages/{await opened(simulator)}"
    whole = encode(simulator, "GET", path)
    simulator.faults.add(Fault.stray(seconds=SOON))
    simulator.delay = lambda _: 2 * SOON if len(simulator.requests) > 2 else 0
    reader, writer = await connect(simulator)
    try:
        writer.write(whole.replace(b"Connection: close\r\n", b""))
        await one_answer(reader)
        writer.write(whole)
        assert parse(await reader.read())[0] == 200
    finally:
        writer.transport.abort()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """Read one response of a connection that stays open."""
    head = await reader.readuntil(b"\r\n\r\n")
    return head + await reader.readexactly(int(parse(head)[1]["content-length"]))


@BOTH
async def test_truncate(simulator: Simulator, after: bool) -> None:
    status, headers, body = parse(await append(simulator, Fault.truncate(after_apply=after)))
    assert status == 200
    assert len(body) == int(headers["content-length"]) // 2
    assert body.startswith(b'{"data"')
    check_applied(simulator, after, 200)


@BOTH
async def test_invalid_json(simulator: Simulator, after: bool) -> None:
    status, _, body = parse(await append(simulator, Fault.invalid_json(after_apply=after)))
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    check_applied(simulator, after, 200)


@BOTH
async def test_html(simulator: Simulator, after: bool) -> None:
    status, headers, body = parse(await append(simulator, Fault.html(503, after_apply=after)))
    assert (status, headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert body.startswith(b"<html>")
    check_applied(simulator, after, 503)


@BOTH
async def test_empty(simulator: Simulator, after: bool) -> None:
    status, headers, body = parse(await append(simulator, Fault.empty(after_apply=after)))
    assert (status, headers["content-length"], body) == (200, "0", b"")
    check_applied(simulator, after, 200)


@BOTH
async def test_double_encoded(simulator: Simulator, after: bool) -> None:
    status, _, body = parse(await append(simulator, Fault.double_encoded(after_apply=after)))
    assert status == 200
    assert json.loads(json.loads(body))["success"] is True
    check_applied(simulator, after, 200)


@BOTH
@pytest.mark.parametrize("code", [401, 402, 403, 408, 413, 422, 429, 500, 503])
async def test_status(simulator: Simulator, code: int, after: bool) -> None:
    status, headers, body = parse(await append(simulator, Fault.status(code, after_apply=after)))
    assert status == code
    assert "retry-after" not in headers
    assert json.loads(body) == {
        "success": False,
        "message": f"simulated failure {code}",
        "error": code,
        "data": None,
    }
    check_applied(simulator, after, code)


async def test_status_in_detail(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(422, 212))
    simulator.faults.add(Fault.status(429, retry_after=1.5))
    simulator.faults.add(
        Fault.status(503, retry_after="Wed, 21 Oct 2026 07:28:00 GMT", envelope=False)
    )
    _, answer = await call(simulator, "GET", "/messages/")
    assert answer["error"] == 212
    _, headers, _ = parse(await exchange(simulator, "GET", "/messages/"))
    assert headers["retry-after"] == "1.5"
    _, headers, body = parse(await exchange(simulator, "GET", "/messages/"))
    assert headers["retry-after"].startswith("Wed")
    assert body == b"simulated failure 503\n"


@BOTH
async def test_redirect(simulator: Simulator, after: bool) -> None:
    fault = Fault.redirect("http://127.0.0.1:9/elsewhere", 302, after_apply=after)
    status, headers, _ = parse(await append(simulator, fault))
    assert (status, headers["location"]) == (302, "http://127.0.0.1:9/elsewhere")
    check_applied(simulator, after, 302)


@BOTH
async def test_drip(simulator: Simulator, after: bool) -> None:
    started = time.monotonic()
    status, _, body = parse(await append(simulator, Fault.drip(0.0002, after_apply=after)))
    assert status == 200
    assert json.loads(body)["success"] is True
    assert time.monotonic() - started >= 0.0002 * len(body)
    check_applied(simulator, after, 200)


@BOTH
async def test_oversized_never_ends(simulator: Simulator, after: bool) -> None:
    message_id = await opened(simulator)
    simulator.faults.add(Fault.oversized(after_apply=after))
    reader, writer = await connect(simulator)
    writer.write(encode(simulator, "PUT", f"/messages/{message_id}", APPEND))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    await reader.readexactly(8 * 1024 * 1024)
    writer.transport.abort()
    check_applied(simulator, after, 200)


@BOTH
async def test_gzip_bomb(simulator: Simulator, after: bool) -> None:
    status, headers, body = parse(await append(simulator, Fault.gzip_bomb(after_apply=after)))
    assert (status, headers["content-encoding"]) == (200, "gzip")
    assert len(body) < 1024 * 1024
    check_applied(simulator, after, 200)
    if after:  # once is enough: decompressing takes a while
        unpacker = zlib.decompressobj(31)
        size, end = 0, b""
        while not unpacker.eof:
            piece = unpacker.decompress(body, 4 * 1024 * 1024)
            body = unpacker.unconsumed_tail
            size += len(piece)
            end = piece or end
        assert size > 256 * 1024 * 1024
        assert json.loads(end)["success"] is True


async def test_a_fault_spares_the_token_check(simulator: Simulator) -> None:
    message_id = await opened(simulator)
    simulator.faults.add(Fault.close(after_apply=True))
    await exchange(simulator, "PUT", f"/messages/{message_id}", APPEND, token="wrong")
    check_applied(simulator, after=False, status=None)


# The queue of faults


async def statuses(simulator: Simulator, *requests: tuple[str, str]) -> list[int]:
    return [parse(await exchange(simulator, *request))[0] for request in requests]


async def test_faults_choose_their_requests(simulator: Simulator) -> None:
    path = f"/messages/{await opened(simulator)}"
    simulator.faults.add(Fault.status(500), on="GET", skip=1)
    simulator.faults.add(Fault.status(501), on="list", times=2)
    simulator.faults.add(Fault.status(502), on="recipients", times=None)
    got = await statuses(
        simulator,
        ("GET", "/messages/"),  # 501: the first one skips it
        ("GET", "/messages/"),  # 500: it was skipped once
        ("GET", path),
        ("GET", f"{path}/recipients/"),
        ("GET", "/messages/"),  # 501: for the second time
        ("GET", "/messages/"),
        ("GET", f"{path}/recipients/"),
    )
    assert got == [501, 500, 200, 502, 501, 200, 502]
    simulator.faults.clear()
    assert await statuses(simulator, ("GET", f"{path}/recipients/")) == [200]


async def test_a_plan_decides_for_each_request(simulator: Simulator) -> None:
    def plan(request: RecordedRequest) -> Fault | None:
        return Fault.status(500) if request.operation == "get" else None

    path = f"/messages/{await opened(simulator)}"
    simulator.faults.plan = plan
    simulator.faults.add(Fault.status(429), on="GET")
    got = await statuses(simulator, ("GET", path), ("GET", path), ("GET", "/messages/"))
    assert got == [429, 500, 200]
    simulator.faults.clear()
    assert await statuses(simulator, ("GET", path)) == [200]


def test_faults_refuse_a_word_they_do_not_know() -> None:
    with pytest.raises(ValueError, match="put"):
        Simulator().faults.add(Fault.reset(), on="put")


# Starting and stopping


async def test_connection_refused_and_back_on_the_same_port(simulator: Simulator) -> None:
    url = simulator.url
    reader, writer = await connect(simulator)
    await simulator.stop_listening()
    assert await reader.read() == b""  # an idle connection is dropped as well
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(simulator)
    await simulator.stop_listening()
    await simulator.start_listening()
    await simulator.start_listening()
    assert simulator.url == url
    await opened(simulator)


async def test_it_stops_at_once_with_open_connections() -> None:
    before = asyncio.all_tasks()
    simulator = await Simulator().__aenter__()
    simulator.faults.add(Fault.hang(), on="list", times=5)
    simulator.faults.add(Fault.oversized(), on="list")
    readers = []
    for _ in range(6):  # five hang, the last one does not read its endless response
        reader, writer = await connect(simulator)
        writer.write(encode(simulator, "GET", "/messages/"))
        readers.append((reader, writer))
    half_reader, half_writer = await connect(simulator)
    half_writer.write(encode(simulator, "PUT", "/messages/1", APPEND)[:-5])
    idle_reader, idle_writer = await connect(simulator)
    await arrivals(simulator, 6)
    await asyncio.sleep(0.05)
    started = time.monotonic()
    await simulator.__aexit__(None, None, None)
    assert time.monotonic() - started < 0.2
    assert asyncio.all_tasks() == before
    for reader, writer in [*readers[:5], (half_reader, half_writer), (idle_reader, idle_writer)]:
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
    readers[5][1].transport.abort()
    assert not any(record.applied for record in simulator.requests)


async def test_it_serves_until_cancelled() -> None:
    announced: asyncio.Queue[str] = asyncio.Queue()
    simulator = Simulator()
    with pytest.raises(RuntimeError, match="async with"):
        _ = simulator.url
    with pytest.raises(RuntimeError, match="async with"):
        await simulator.start_listening()
    task = asyncio.create_task(simulator.serve_forever(announced.put_nowait))
    assert await announced.get() == simulator.url
    await opened(simulator)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ConnectionRefusedError):
        await connect(simulator)


async def test_it_stops_inside_a_cancelled_scope() -> None:
    before = asyncio.all_tasks()
    with anyio.move_on_after(SOON):
        async with Simulator() as simulator:
            path = f"/messages/{await opened(simulator)}"
            simulator.faults.add(Fault.late(60))
            await exchange(simulator, "PUT", path, APPEND)
    assert len(numbers(simulator)) == 3
    await asyncio.sleep(0.01)
    assert asyncio.all_tasks() == before
    with pytest.raises(ConnectionRefusedError):
        await connect(simulator)


async def test_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "gateway"
    async with Simulator(path=path) as simulator:
        assert simulator.url == "http://localhost"
        headers = {"Authorization": f"Bearer {simulator.token}"}
        async with aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(path)), headers=headers
        ) as session:
            url = f"{simulator.url}/messages/"
            body = {"sender": "ACME", "body": "Ciao", "recipients": "+39-1"}
            async with session.post(url, json=body) as response:
                assert response.status == 201
            for fault in (Fault.reset(after_apply=True), Fault.close()):
                simulator.faults.add(fault)
                with pytest.raises(aiohttp.ServerDisconnectedError):
                    await session.post(url, json=body)
            await simulator.stop_listening()
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
            await simulator.start_listening()
            async with session.get(url) as response:
                assert len((await response.json())["data"]) == 2
        assert simulator.connections >= 3
        assert simulator.ledger == {"+39-1": 2}
    assert not path.exists()


async def test_two_simulators_side_by_side() -> None:
    async with Simulator() as one, Simulator(token="other") as other:
        assert one.url != other.url
        await opened(one)
        await opened(other)
        assert (one.connections, other.connections) == (1, 1)


def test_it_shares_no_code_with_the_client() -> None:
    """With shared code, a wrong name on the wire would be on both sides, and no test would fail."""
    folder = Path(server.__file__).parent
    for source in folder.glob("*.py"):
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not str(node.module).startswith("gateway_sms_async")
            if isinstance(node, ast.Import):
                assert not any(name.name.startswith("gateway_sms_async") for name in node.names)


def test_users_find_everything_in_testing() -> None:
    assert testing.Simulator is server.Simulator
    assert set(testing.__all__) >= {"Dialect", "Fault", "RecordedRequest", "Simulator"}
