"""Crash reporters show the local variables of every function: none of ours shows a credential."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from traceback import TracebackException
from typing import Any

import pytest

import gateway_sms_async
from gateway_sms_async import ApiKey, GatewayClient, GatewayError, RetryPolicy
from gateway_sms_async._auth.account import Token
from gateway_sms_async._http.secret import Secret
from gateway_sms_async.testing import Fault, Simulator

TOKEN, KEY, REFRESH = "tok-canary-9f8e7d6c", "key-canary-1a2b3c", "ref-canary-4d5e6f"
EMAIL = "canary@example.com"
SECRETS = [TOKEN, KEY, REFRESH, b64encode(f"{EMAIL}:{KEY}".encode()).decode()]
ID = "0123456789abcdef01234567"
NUMBER = "+39-3401234567"
PACKAGE = str(Path(gateway_sms_async.__file__).parent)
QUICK = RetryPolicy(max_attempts=2, base_delay=0.001, max_delay=0.002)

Call = Callable[[GatewayClient], Awaitable[Any]]


def locals_of(error: BaseException) -> list[str]:
    """Return what a crash report shows of the functions that the library calls, and its own."""
    report = TracebackException.from_exception(error, capture_locals=True, compact=False)
    pending: list[TracebackException | None] = [report]
    shown: list[str] = []
    while pending:
        one = pending.pop()
        if one is None:
            continue
        pending += [one.__cause__, one.__context__]
        for frame in one.stack:
            if not frame.filename.startswith(str(Path(__file__).parents[1])):
                shown += [
                    f"{frame.filename}:{frame.lineno} {name}={value}"
                    for name, value in (frame.locals or {}).items()
                ]
    return shown


def check(error: BaseException) -> None:
    shown = locals_of(error)
    assert any(line.startswith(PACKAGE) for line in shown), (
        "no function of the library was on the way"
    )
    assert [line for line in shown for secret in SECRETS if secret in line] == []


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(token=TOKEN, email=EMAIL, api_key=KEY) as running:
        yield running


def key_of(simulator: Simulator) -> ApiKey:
    return ApiKey(EMAIL, KEY, oauth_url=simulator.oauth_url)


def client_of(simulator: Simulator, source: Any) -> GatewayClient:
    return GatewayClient(source, base_url=simulator.url, rate=None, timeout=5, retry=QUICK)


async def cancelled_while_asking(simulator: Simulator, asking: Awaitable[Any]) -> BaseException:
    """Cancel a call whose request hangs, and return what it raises."""
    before = len(simulator.requests)
    task = asyncio.ensure_future(asking)
    while len(simulator.requests) == before:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


FAULTS = {
    "401": Fault.status(401),
    "403": Fault.status(403),
    "422": Fault.status(422, 110),
    "500": Fault.status(500),
    "reset": Fault.reset(),
    "close": Fault.close(),
    "html": Fault.html(200),
    "truncated": Fault.truncate(),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("direct", [True, False], ids=["source", "client"])
async def test_a_token_that_cannot_be_made(
    simulator: Simulator, fault: Fault, direct: bool
) -> None:
    simulator.faults.add(fault, times=None)
    source = key_of(simulator)
    async with client_of(simulator, source) as client:
        with pytest.raises(GatewayError) as caught:
            await (source.token() if direct else client.messages.list())
    check(caught.value)


@pytest.mark.parametrize("refreshed", [False, True], ids=["make", "refresh"])
async def test_a_token_whose_making_is_cancelled(simulator: Simulator, refreshed: bool) -> None:
    simulator.faults.add(Fault.hang(), times=None)
    source = key_of(simulator)
    if refreshed:
        now = time.time()
        source._held = Token(
            value=TOKEN, refresh=REFRESH, made_at=now - 1000, expires_at=now - 1, scopes=()
        )
    async with client_of(simulator, source) as client:
        check(await cancelled_while_asking(simulator, source.token()))
        check(await cancelled_while_asking(simulator, client.messages.list()))


CALLS: dict[str, Call] = {
    "send": lambda client: client.messages.send(sender="ACME", body="Ciao", recipients=NUMBER),
    "get": lambda client: client.messages.get(ID),
    "update": lambda client: client.messages.update(ID, recipients=NUMBER),
    "bulk": lambda client: client.send_bulk([NUMBER, "+39-3401234568"], sender="ACME", body="Ciao"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_call_that_is_cancelled(simulator: Simulator, call: Call) -> None:
    simulator.faults.add(Fault.hang(), times=None)
    async with client_of(simulator, TOKEN) as client:
        check(await cancelled_while_asking(simulator, call(client)))


async def test_a_call_that_fails(simulator: Simulator) -> None:
    for fault in FAULTS.values():
        simulator.faults.clear()
        simulator.faults.add(fault, times=None)
        async with client_of(simulator, TOKEN) as client:
            for call in CALLS.values():
                with pytest.raises(GatewayError) as caught:
                    await call(client)
                check(caught.value)


async def test_a_token_source_of_ones_own(simulator: Simulator) -> None:
    class Vault:
        @property
        def cached(self) -> str | None:
            return TOKEN

        async def token(self) -> str:
            return TOKEN

        async def renew(self, rejected: str) -> str:
            return rejected

    simulator.faults.add(Fault.hang(), times=None)
    async with client_of(simulator, Vault()) as client:
        check(await cancelled_while_asking(simulator, client.messages.get(ID)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: GatewayClient(TOKEN, rate=-1),
        lambda: GatewayClient(TOKEN + " x"),
        lambda: GatewayClient(TOKEN, sandbox=True, base_url="https://x.example"),
        lambda: ApiKey(EMAIL, KEY, ttl=1),
        lambda: ApiKey(EMAIL, KEY + " x"),
        lambda: ApiKey(EMAIL, KEY, oauth_url="http://x.example"),
    ],
)
def test_settings_that_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"rate|token|base_url|ttl|api_key|oauth_url") as caught:
        make()
    check(caught.value)


async def test_no_request_is_shown_by_its_objects(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), times=None)
    async with client_of(simulator, TOKEN) as client:
        error = await cancelled_while_asking(simulator, client.messages.recipient(ID, NUMBER))
    shown = [line for line in locals_of(error) if "3401234567" in line]
    assert [line for line in shown if "/_http/session.py" in line and " call=" in line] == []
    assert not [line for line in shown if "aiohttp" in line]


async def test_a_callers_token_is_an_ordinary_str(simulator: Simulator) -> None:
    source = key_of(simulator)
    assert type(await source.token()) is str
    assert type(await source.renew("rejected")) is str
    assert isinstance(source.cached, Secret)


def test_a_secret_is_a_text_that_repr_does_not_show() -> None:
    secret = Secret(TOKEN)
    assert secret == TOKEN
    assert hash(secret) == hash(TOKEN)
    assert f"{secret}" == TOKEN
    assert str(secret) == TOKEN
    assert repr(secret) == repr([secret])[1:-1] == "Secret(...)"
