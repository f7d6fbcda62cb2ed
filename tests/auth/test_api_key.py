"""Tokens are made, kept and renewed, over a real socket, at the simulator's OAuth service."""

import asyncio
import json
import logging
import stat
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_sms_async import (
    ApiKey,
    AuthenticationError,
    BulkSendError,
    GatewayClient,
    GatewayConnectionError,
    GatewayError,
    GatewayTimeoutError,
    RetryPolicy,
    ServerError,
    TokenSource,
    UnexpectedResponseError,
)
from gateway_sms_async._auth import api_key as auth
from gateway_sms_async._auth.account import OAUTH, OAUTH_SANDBOX, Account, Token, missing_scopes
from gateway_sms_async._auth.environment import pair_in_environment, token_source
from gateway_sms_async._http.address import PRODUCTION, SANDBOX
from gateway_sms_async.testing import Fault, Simulator

from ..support.raw_server import RawServer, http, say

VARIABLES = (
    "OPENAPI_TOKEN",
    "OPENAPI_EMAIL",
    "OPENAPI_USERNAME",
    "OPENAPI_API_KEY",
    "OPENAPI_APIKEY",
    "OPENAPI_OAUTH_URL",
    "GATEWAY_SMS_BASE_URL",
)
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)
ONCE = RetryPolicy(max_attempts=1)
EMAIL, KEY = "canary@example.com", "key-canary-1a2b3c"
PRODUCTION_SCOPES = [
    f"{method}:ws.messaggisms.com/messages" for method in ("GET", "POST", "PUT", "DELETE")
]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def key_of(simulator: Simulator, **options: Any) -> ApiKey:
    options.setdefault("oauth_url", simulator.oauth_url)
    return ApiKey(simulator.email, simulator.api_key, **options)


def client_of(
    simulator: Simulator, source: TokenSource | str | None, **options: Any
) -> GatewayClient:
    options = {"rate": None, "timeout": 5, "retry": QUICK, "base_url": simulator.url} | options
    return GatewayClient(source, **options)


def asked(simulator: Simulator) -> list[str]:
    return [one.operation for one in simulator.requests if one.path.startswith("/oauth/")]


def expire_soon(source: ApiKey, *, in_seconds: float, life: float = 100.0) -> None:
    """Move the current token into the last tenth of its life, or past its end."""
    held = source._held
    assert held is not None
    now = time.time()
    source._held = Token(
        value=held.value,
        refresh=held.refresh,
        scopes=held.scopes,
        made_at=now - life,
        expires_at=now + in_seconds,
    )


# Making


async def test_a_token_is_made_once_for_all_tasks_with_the_four_scopes(
    simulator: Simulator,
) -> None:
    source = key_of(simulator)
    assert isinstance(source, TokenSource)
    async with client_of(simulator, source, concurrency=20) as client:
        await asyncio.gather(*(client.messages.list() for _ in range(40)))
    assert asked(simulator) == ["create_token"]
    assert simulator.requests[0].body == {
        "scopes": PRODUCTION_SCOPES,
        "name": "gateway-sms-async",
        "ttl": 86_400,
    }
    [issued] = simulator.oauth.tokens.values()
    assert await source.token() == issued.token


async def test_a_sandbox_token_has_the_sandboxs_scopes(simulator: Simulator) -> None:
    await key_of(simulator, sandbox=True, name="mine", ttl=60).token()
    assert simulator.requests[0].body == {
        "scopes": [one.replace(":", ":test.") for one in PRODUCTION_SCOPES],
        "name": "mine",
        "ttl": 60,
    }


async def test_a_token_in_an_envelope_is_read_too(simulator: Simulator) -> None:
    simulator.oauth.enveloped = True
    assert await key_of(simulator).token() in simulator.oauth.tokens


@pytest.mark.parametrize("form", [b'{"data": [%s], "success": true}', b"%s"])
async def test_other_forms_of_the_documentation(form: bytes) -> None:
    answer = form % json.dumps({"token": "abc", "expireAt": "2000-01-01T00:00:00Z"}).encode()
    async with RawServer(say(http(answer, status="201 Created"))) as server:
        source = ApiKey(EMAIL, KEY, oauth_url=server.url)
        token = await source.details()
        # Its end has passed, so the clock is wrong: the token is used until it is refused.
        assert (token.value, token.expires_at, token.refresh) == ("abc", None, None)
        assert await source.token() == "abc"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": []}',
        b'{"data": null}',
        b'{"token": "canary token"}',
        b'{"token": "a\\r\\nX: canary"}',
        b'{"token": ""}',
        b'{"token": "ok", "refreshToken": "ca nary"}',
        b"<html>canary</html>",
    ],
    ids=ascii,
)
async def test_an_invalid_token_is_reported_without_showing_it(answer: bytes) -> None:
    async with RawServer(say(http(answer))) as server:
        source = ApiKey(EMAIL, KEY, oauth_url=server.url)
        async with GatewayClient(source, base_url=server.url, retry=ONCE) as client:
            with pytest.raises(UnexpectedResponseError, match="OAuth service, POST") as caught:
                await client.messages.list()
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("sent", [b"a/b?c", b"../x", b"..", b"a%2Fb"])
async def test_a_token_is_one_part_of_a_path_whatever_it_holds(sent: bytes) -> None:
    first = b'{"token": "%s", "refreshToken": "r"}' % sent
    async with RawServer(say(http(first)), say(http(b'{"token": "new"}'))) as server:
        source = ApiKey(EMAIL, KEY, oauth_url=server.url)
        old = await source.token()
        assert await source.renew(old) == "new"
        target = server.requests[1].target
    assert target.count("/") == 2
    assert "?" not in target


async def test_the_clock_of_the_service_does_not_matter(simulator: Simulator) -> None:
    for ahead in (-86_400 * 30, 86_400 * 30):
        simulator.oauth.clock_ahead = ahead
        token = await key_of(simulator, ttl=3600).details()
        assert token.expires_at is not None
        assert abs(token.expires_at - time.time() - 3600) < 60


async def test_a_shorter_life_than_asked_is_taken(simulator: Simulator) -> None:
    simulator.oauth.max_ttl = 100
    token = await key_of(simulator, ttl=3600).details()
    assert token.expires_at is not None
    assert 80 < token.renew_at - time.time() < 91


def test_a_token_of_a_year_is_renewed_a_day_before_its_end() -> None:
    day = 86_400.0
    assert Token(value="x", made_at=0, expires_at=365 * day).renew_at == 364 * day
    assert Token(value="x", made_at=0).renew_at == float("inf")


# Renewing


async def test_a_revoked_token_is_replaced_once_for_all_tasks(simulator: Simulator) -> None:
    source = key_of(simulator)
    async with client_of(simulator, source, concurrency=20) as client:
        await client.messages.list()
        simulator.oauth.revoke_all()
        await asyncio.gather(*(client.messages.list() for _ in range(40)))
        await client.messages.list()
    # Its refresh token is gone, too.
    assert asked(simulator) == ["create_token", "refresh_token", "create_token"]


async def test_two_clients_of_one_key_replace_it_once(simulator: Simulator) -> None:
    source = key_of(simulator)
    async with client_of(simulator, source) as one, client_of(simulator, source) as other:
        await asyncio.gather(one.messages.list(), other.messages.list())
        simulator.oauth.revoke_all()
        await asyncio.gather(
            *(client.messages.list() for client in (one, other) for _ in range(10))
        )
    assert asked(simulator).count("create_token") == 2


async def test_a_token_is_renewed_by_its_refresh_token_before_its_end(
    simulator: Simulator,
) -> None:
    source = key_of(simulator)
    first = await source.token()
    expire_soon(source, in_seconds=5)
    async with client_of(simulator, source, concurrency=20) as client:
        await asyncio.gather(*(client.messages.list() for _ in range(30)))
    assert asked(simulator) == ["create_token", "refresh_token"]
    [renewal] = [one for one in simulator.requests if one.method == "PATCH"]
    assert (renewal.path, renewal.body) == ("/oauth/tokens/...", {"ttl": 86_400})
    assert first not in simulator.oauth.tokens
    assert all(one.status in {200, 401, 404} for one in simulator.requests)


async def test_without_a_refresh_token_another_one_is_made(simulator: Simulator) -> None:
    simulator.oauth.refreshable = False
    source = key_of(simulator)
    first = await source.token()
    expire_soon(source, in_seconds=-1)
    assert await source.token() != first
    assert asked(simulator) == ["create_token", "create_token"]


@pytest.mark.parametrize(
    "fault", [Fault.status(403, 403), Fault.status(422, 60)], ids=["403", "422"]
)
async def test_a_refresh_that_is_refused_falls_back_to_the_key(
    simulator: Simulator, fault: Fault
) -> None:
    source = key_of(simulator)
    first = await source.token()
    simulator.faults.add(fault, on="refresh_token")
    assert await source.renew(first) != first
    assert asked(simulator)[1:] == ["refresh_token", "create_token"]


async def test_a_refresh_whose_answer_was_lost_falls_back_to_the_key(simulator: Simulator) -> None:
    source = key_of(simulator)
    source.use(auth.ConnectionSettings(policy=QUICK))
    first = await source.token()
    simulator.faults.add(Fault.close(after_apply=True), on="refresh_token")
    assert await source.renew(first) in simulator.oauth.tokens
    assert asked(simulator)[1:] == ["refresh_token", "refresh_token", "create_token"]


async def test_a_token_that_still_works_outlasts_an_outage(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    source = key_of(simulator)
    async with client_of(simulator, source) as client:
        first = await source.token()
        expire_soon(source, in_seconds=5)
        simulator.faults.add(Fault.status(503), on="PATCH", times=None)
        await asyncio.gather(*(client.messages.list() for _ in range(10)))
        await client.messages.list()
        # One attempt was made, and not another one with every request.
        assert asked(simulator) == ["create_token", "refresh_token"]
        assert "could not be renewed before it expires" in caplog.text
        assert first not in caplog.text
        simulator.faults.clear()
        source._not_before = 0.0
        await client.messages.list()
    assert asked(simulator)[2:] == ["refresh_token"]


async def test_a_token_that_stays_refused_ends_the_call(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(401), on="list", times=None)
    async with client_of(simulator, key_of(simulator)) as client:
        with pytest.raises(AuthenticationError, match="HTTP 401"):
            await client.messages.list()
    assert asked(simulator) == ["create_token", "refresh_token"]


def test_one_key_serves_one_event_loop_after_the_other() -> None:
    async def work(port: int, source: ApiKey | None) -> tuple[int, ApiKey]:
        async with Simulator(port=port, latency=0.01) as simulator:
            source = source or key_of(simulator)
            # Several tasks wait for one, which binds a lock to its event loop.
            source._held = None
            tokens = await asyncio.gather(*(source.token() for _ in range(5)))
            assert set(tokens) == set(simulator.oauth.tokens)
            return int(simulator.url.rpartition(":")[2]), source

    port, source = asyncio.run(work(0, None))
    asyncio.run(work(port, source))


# Refusals


async def test_a_wrong_key_is_reported_plainly(simulator: Simulator) -> None:
    source = ApiKey(EMAIL, KEY, oauth_url=simulator.oauth_url)
    async with client_of(simulator, source) as client:
        with pytest.raises(
            AuthenticationError, match="e-mail and API key are not accepted"
        ) as caught:
            await client.messages.list()
    assert caught.value.status == 401
    assert asked(simulator) == ["create_token"]


async def test_an_api_that_is_not_enabled_is_reported_plainly(simulator: Simulator) -> None:
    simulator.oauth.scopes.clear()
    async with client_of(simulator, key_of(simulator)) as client:
        with pytest.raises(AuthenticationError) as caught:
            await client.messages.list()
    assert str(caught.value) == (
        "OAuth service: the API Gateway SMS (ws.messaggisms.com) is not enabled for this account; "
        "enable it at https://console.openapi.com"
    )
    assert (caught.value.status, caught.value.code) == (422, 90)


async def test_a_scope_that_is_missing_is_named(simulator: Simulator) -> None:
    missing = "DELETE:ws.messaggisms.com/messages"
    simulator.oauth.scopes.remove(missing)
    with pytest.raises(AuthenticationError, match=f"the scope {missing} is not enabled"):
        await key_of(simulator).token()
    simulator.oauth.scopes.remove("PUT:ws.messaggisms.com/messages")
    with pytest.raises(AuthenticationError, match=r"the scopes PUT:\S+, DELETE:\S+ are not"):
        await key_of(simulator).token()
    simulator.faults.add(Fault.status(403, 5), on="list_scopes")
    with pytest.raises(AuthenticationError, match=r"or one of its scopes \(GET:.*not enabled"):
        await key_of(simulator).token()


async def test_a_token_made_without_a_scope_is_not_used(simulator: Simulator) -> None:
    simulator.oauth.dropped.add("DELETE:ws.messaggisms.com/messages")
    async with client_of(simulator, key_of(simulator)) as client:
        with pytest.raises(AuthenticationError, match="made without the scope DELETE:"):
            await client.messages.list()
    assert asked(simulator) == ["create_token"]
    assert len(simulator.requests) == 1


def test_scopes_written_in_another_way_are_not_missing() -> None:
    account = Account(email=EMAIL, api_key=KEY, oauth_url=OAUTH, sandbox=False)

    def missing(*scopes: str) -> list[str]:
        return missing_scopes(account, Token(value="x", scopes=scopes, made_at=0))

    assert missing() == []
    assert missing("*:ws.messaggisms.com/*") == []
    assert missing(*(one.lower() + "/" for one in PRODUCTION_SCOPES)) == []
    assert missing("GET:other.example/x") == PRODUCTION_SCOPES


async def test_the_gateway_names_the_scope_that_a_token_lacks(simulator: Simulator) -> None:
    source = key_of(simulator)
    await source.token()
    for issued in simulator.oauth.tokens.values():
        issued.scopes = PRODUCTION_SCOPES[:1]
    async with client_of(simulator, source) as client:
        await client.messages.list()
        with pytest.raises(AuthenticationError, match=r"POST: HTTP 403.* lacks the scope POST:"):
            await client.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")


# Outages


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(503),
        Fault.status(429),
        Fault.reset(),
        Fault.close(after_apply=True),
        Fault.truncate(),
        Fault.html(502),
        Fault.invalid_json(),
    ],
    ids=lambda fault: fault.kind + str(fault.code or ""),
)
async def test_what_passes_is_tried_again(simulator: Simulator, fault: Fault) -> None:
    simulator.faults.add(fault, on="create_token", times=2)
    async with client_of(simulator, key_of(simulator)) as client:
        await client.messages.list()
    assert asked(simulator) == ["create_token"] * 3


async def test_an_outage_is_one_error_for_all_who_wait(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(503), on="create_token", times=None)
    async with client_of(simulator, key_of(simulator), concurrency=20) as client:
        errors = await asyncio.gather(
            *(client.messages.list() for _ in range(20)), return_exceptions=True
        )
    assert {type(error) for error in errors} == {ServerError}
    assert len({id(error) for error in errors}) == 20
    assert asked(simulator) == ["create_token"] * 5


async def test_retries_that_are_off_are_off_here_too(simulator: Simulator) -> None:
    simulator.faults.add(Fault.status(503), on="create_token")
    async with client_of(simulator, key_of(simulator), retry=ONCE) as client:
        with pytest.raises(ServerError, match="OAuth service, POST: HTTP 503"):
            await client.messages.list()
        await client.messages.list()


async def test_a_call_waits_for_a_token_no_longer_than_it_may_take(simulator: Simulator) -> None:
    simulator.faults.add(Fault.hang(), on="create_token", times=None)
    impatient = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.2)
    async with client_of(simulator, key_of(simulator), retry=impatient) as client:
        with pytest.raises(GatewayTimeoutError):
            await client.messages.list()
        simulator.faults.clear()
        await client.messages.list()


async def test_an_unreachable_service_says_which_one_it_is(simulator: Simulator) -> None:
    source = key_of(simulator, oauth_url="http://127.0.0.1:9")
    async with client_of(simulator, source) as client:
        with pytest.raises(GatewayConnectionError, match="OAuth service, POST: could not connect"):
            await client.messages.list()


@pytest.mark.parametrize("kept", [True, False])
async def test_a_lost_token_stops_a_campaign_which_goes_on_later(
    simulator: Simulator, tmp_path: Path, kept: bool
) -> None:
    numbers = [f"+39-34012{number:05}" for number in range(400)]
    journal = tmp_path / "campaign.db" if kept else None
    source = key_of(simulator)

    def lose(_: object) -> None:
        simulator.oauth.revoke_all()
        simulator.oauth.api_key = "another"

    async with client_of(simulator, source) as client:
        simulator.faults.plan = lambda request: (
            lose(request) if request.operation == "append" else None
        )
        with pytest.raises(BulkSendError) as caught:
            await client.send_bulk(
                numbers, sender="ACME", body="Ciao", batch_size=50, journal=journal
            )
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert "not accepted" in caught.value.reason
        assert caught.value.resumable is kept
        assert not simulator.ledger
        if journal is not None:
            simulator.faults.clear()
            simulator.oauth.api_key = simulator.api_key
            receipt = await client.resume_bulk(journal)
            assert receipt.complete
            assert simulator.ledger == dict.fromkeys(numbers, 1)


async def test_a_campaign_outlives_its_token(simulator: Simulator) -> None:
    numbers = [f"+39-34012{number:05}" for number in range(400)]
    revoked: list[object] = []

    def revoke(request: Any) -> None:
        if request.operation in {"append", "close"}:
            revoked.append(request)
            if len(revoked) % 3 == 1:
                simulator.oauth.revoke_all()

    simulator.faults.plan = revoke
    async with client_of(simulator, key_of(simulator), concurrency=1) as client:
        receipt = await client.send_bulk(numbers, sender="ACME", body="Ciao", batch_size=50)
    assert receipt.complete
    assert simulator.ledger == dict.fromkeys(numbers, 1)


# Files


async def test_a_file_keeps_the_token_and_not_the_key(simulator: Simulator, tmp_path: Path) -> None:
    file = tmp_path / "new" / "token.json"
    first = await key_of(simulator, file=file).token()
    assert await key_of(simulator, file=str(file)).token() == first
    assert asked(simulator) == ["create_token"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["token.json"]
    assert simulator.api_key not in file.read_text()


async def test_a_token_that_another_process_renewed_is_taken_from_the_file(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    one, other = key_of(simulator, file=file), key_of(simulator, file=file)
    first = await one.token()
    assert await other.token() == first
    second = await one.renew(first)
    assert await other.renew(first) == second
    assert asked(simulator) == ["create_token", "refresh_token"]


async def test_a_token_in_the_file_that_has_expired_is_refreshed(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    await key_of(simulator, file=file).token()
    kept = json.loads(file.read_text())
    kept["token"]["expires_at"] = time.time() - 1
    file.write_text(json.dumps(kept))
    second = await key_of(simulator, file=file).token()
    assert asked(simulator) == ["create_token", "refresh_token"]
    assert json.loads(file.read_text())["token"]["value"] == second
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("with_key", [True, False])
@pytest.mark.parametrize("fault", [Fault.status(503), Fault.status(401, 130)], ids=["503", "401"])
async def test_a_token_in_the_file_that_still_works_outlasts_an_outage(
    simulator: Simulator, tmp_path: Path, fault: Fault, with_key: bool
) -> None:
    file = tmp_path / "token.json"
    first = await key_of(simulator, file=file).token()
    kept = json.loads(file.read_text())
    kept["token"] |= {"made_at": time.time() - 1000, "expires_at": time.time() + 60}
    file.write_text(json.dumps(kept))
    simulator.faults.add(fault, on="PATCH", times=None)
    simulator.faults.add(fault, on="create_token", times=None)
    source: auth.RenewedToken = key_of(simulator, file=file)
    if not with_key:
        account = auth.read_token(file).account  # type: ignore[union-attr]
        source = auth.RenewedToken(account, ttl=60, name="x", file=file)
    assert await source.token() == first
    # Once it is refused, no other way is left.
    source.use(auth.ConnectionSettings(policy=QUICK))
    with pytest.raises(GatewayError):
        await source.renew(first)


async def test_an_older_token_in_the_file_is_not_gone_back_to(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = tmp_path / "token.json"
    source = key_of(simulator, file=file)
    first = await source.token()
    before = file.read_bytes()
    second = await source.renew(first)
    file.write_bytes(before)  # as if the disk had been full
    third = await source.renew(second)
    assert len({first, second, third}) == 3
    assert asked(simulator) == ["create_token", "refresh_token", "refresh_token"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
async def test_a_file_that_others_can_read_is_refused(
    simulator: Simulator, tmp_path: Path, mode: int
) -> None:
    file = tmp_path / "token.json"
    token = await key_of(simulator, file=file).token()
    file.chmod(mode)
    with pytest.raises(
        GatewayError, match="other users can read this token; delete the file"
    ) as caught:
        await key_of(simulator, file=file).token()
    assert token not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"canary", b"{}", b'{"token": "canary"}', b"\xff", b"[" * 9999]
)
async def test_a_file_that_is_something_else_is_left_alone(
    simulator: Simulator, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "token.json"
    file.write_bytes(content)
    file.chmod(0o600)
    with pytest.raises(
        GatewayError, match="does not hold a token; delete it, or use another"
    ) as caught:
        await key_of(simulator, file=file).token()
    assert "canary" not in str(caught.value)
    assert file.read_bytes() == content
    assert not simulator.requests


@pytest.mark.parametrize("other", [{"sandbox": True}, {"email": EMAIL}, {"oauth_url": "/x"}])
async def test_a_file_of_another_account_or_environment_is_refused(
    simulator: Simulator, tmp_path: Path, other: dict[str, Any]
) -> None:
    file = tmp_path / "token.json"
    await key_of(simulator, file=file).token()
    before = file.read_bytes()
    options: dict[str, Any] = {"oauth_url": simulator.oauth_url, "file": file} | other
    if options["oauth_url"] == "/x":
        options["oauth_url"] = simulator.oauth_url + "/x"
    source = ApiKey(options.pop("email", simulator.email), simulator.api_key, **options)
    with pytest.raises(GatewayError, match="belongs to another account or environment"):
        await source.token()
    assert file.read_bytes() == before


async def test_a_file_that_cannot_be_written_stops_no_call(
    simulator: Simulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "folder").write_text("in the way")
    with pytest.raises(GatewayError, match="cannot be read"):
        await key_of(simulator, file=tmp_path / "folder" / "token.json").token()
    file = tmp_path / "token.json"
    source = key_of(simulator, file=file)
    caplog.set_level(logging.WARNING)
    original = auth.keep_token

    def full(path: Path, kept: Any) -> None:
        original(Path("/proc/nowhere/token"), kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(auth, "keep_token", full)
        assert await source.token() in simulator.oauth.tokens
    assert "the token cannot be written" in caplog.text
    assert not file.exists()


# Where requests go


class Counting(aiohttp.TCPConnector):
    made = 0

    async def connect(self, *args: Any, **keywords: Any) -> Any:
        Counting.made += 1
        return await super().connect(*args, **keywords)


async def test_requests_go_through_the_clients_connector(simulator: Simulator) -> None:
    Counting.made = 0
    lent = Counting(limit=8)
    async with client_of(simulator, key_of(simulator), connector=lent) as client:
        await client.messages.list()
    assert Counting.made == 2
    assert not lent.closed
    await lent.close()
    async with client_of(
        simulator, key_of(simulator), connector=lambda: Counting(limit=8)
    ) as client:
        await client.messages.list()
    assert Counting.made == 4


async def test_requests_go_through_the_clients_proxy(simulator: Simulator) -> None:
    async with RawServer(say(http(b"no", status="403 Forbidden"))) as proxy:
        async with client_of(simulator, key_of(simulator), proxy=proxy.url, retry=ONCE) as client:
            with pytest.raises(GatewayError, match="OAuth service"):
                await client.messages.list()
        assert proxy.requests[0].target == f"{simulator.oauth_url}/tokens"
    assert not simulator.requests


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
async def test_the_key_follows_no_redirect(status: str) -> None:
    async with RawServer(say(http(b'{"token": "evil"}'))) as elsewhere:
        moved = http(b"", f"Location: {elsewhere.url}/tokens", status=status)
        async with RawServer(say(moved)) as server:
            source = ApiKey(EMAIL, KEY, oauth_url=server.url)
            source.use(auth.ConnectionSettings(policy=ONCE))
            with pytest.raises(UnexpectedResponseError, match="OAuth service, POST: HTTP 30"):
                await source.token()
        assert not elsewhere.requests


# The environment


def test_nothing_at_all_names_the_variables() -> None:
    with pytest.raises(ValueError, match=r"OPENAPI_TOKEN, or OPENAPI_EMAIL and OPENAPI_API_KEY"):
        GatewayClient()


@pytest.mark.parametrize("email", ["OPENAPI_EMAIL", "OPENAPI_USERNAME"])
@pytest.mark.parametrize("key", ["OPENAPI_API_KEY", "OPENAPI_APIKEY"])
async def test_the_pair_comes_from_the_environment(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, email: str, key: str
) -> None:
    monkeypatch.setenv(email, simulator.email)
    with pytest.raises(ValueError, match="OPENAPI_API_KEY is not set"):
        client_of(simulator, None)
    monkeypatch.setenv(key, simulator.api_key)
    monkeypatch.setenv("OPENAPI_OAUTH_URL", simulator.oauth_url + "/")
    async with client_of(simulator, None) as client:
        await client.messages.list()
    assert asked(simulator) == ["create_token"]
    monkeypatch.delenv(email)
    with pytest.raises(ValueError, match="OPENAPI_EMAIL is not set"):
        client_of(simulator, None)
    # The more explicit setting takes precedence.
    monkeypatch.setenv("OPENAPI_TOKEN", simulator.token)
    async with client_of(simulator, None) as client:
        await client.messages.list()
    assert asked(simulator) == ["create_token"]


def test_the_newer_spelling_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate(
        ("OPENAPI_EMAIL", "OPENAPI_USERNAME", "OPENAPI_API_KEY", "OPENAPI_APIKEY")
    ):
        monkeypatch.setenv(name, f"value{number}")
    assert pair_in_environment() == ("value0", "value2")
    monkeypatch.setenv("OPENAPI_EMAIL", "")
    assert pair_in_environment() == ("value1", "value2")


def _address(source: TokenSource) -> tuple[str, bool]:
    assert isinstance(source, ApiKey)
    return source.account.oauth_url, source.account.sandbox


def test_each_environment_has_an_oauth_service_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAPI_EMAIL", EMAIL)
    monkeypatch.setenv("OPENAPI_API_KEY", KEY)
    assert _address(token_source(None, PRODUCTION)) == (OAUTH, False)
    assert _address(token_source(None, SANDBOX)) == (OAUTH_SANDBOX, True)
    # The key is not sent to an address that is derived from another one.
    for url in ("https://sms.example", "https://ws.messaggisms.com/x", "http://127.0.0.1:1"):
        with pytest.raises(ValueError, match="OPENAPI_OAUTH_URL"):
            GatewayClient(base_url=url)
        with pytest.raises(ValueError, match="name the OAuth service that makes its tokens"):
            GatewayClient(ApiKey(EMAIL, KEY), base_url=url)
        GatewayClient(ApiKey(EMAIL, KEY, oauth_url=OAUTH), base_url=url)
    monkeypatch.setenv("OPENAPI_OAUTH_URL", "https://oauth.example/v2/")
    assert _address(token_source(None, "https://sms.example")) == (
        "https://oauth.example/v2",
        False,
    )
    # Like GATEWAY_SMS_BASE_URL, it is for production only.
    assert _address(token_source(None, SANDBOX)) == (OAUTH_SANDBOX, True)
    monkeypatch.setenv("OPENAPI_OAUTH_URL", OAUTH_SANDBOX)
    with pytest.raises(ValueError, match="OPENAPI_OAUTH_URL is the vendor's address for the other"):
        GatewayClient()
    monkeypatch.setenv("OPENAPI_OAUTH_URL", "http://oauth.example")
    with pytest.raises(ValueError, match="OPENAPI_OAUTH_URL must be https"):
        GatewayClient()


def test_the_environments_are_not_mixed_up() -> None:
    with pytest.raises(ValueError, match="client is for production, its ApiKey for the sandbox"):
        GatewayClient(ApiKey(EMAIL, KEY, sandbox=True))
    with pytest.raises(ValueError, match="client is for the sandbox, its ApiKey for production"):
        GatewayClient(ApiKey(EMAIL, KEY), sandbox=True)
    GatewayClient(ApiKey(EMAIL, KEY, sandbox=True), sandbox=True)
    GatewayClient(ApiKey(EMAIL, KEY, sandbox=True), base_url=SANDBOX)
    with pytest.raises(ValueError, match="other environment"):
        ApiKey(EMAIL, KEY, sandbox=True, oauth_url=OAUTH)


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": ""},
        {"email": "canary:x@example.com"},
        {"email": "can ary@example.com"},
        {"email": None},
        {"api_key": ""},
        {"api_key": "canary\n"},
        {"api_key": b"canary"},
        {"ttl": 59},
        {"ttl": 366 * 86_400},
        {"ttl": 3600.5},
        {"oauth_url": "http://oauth.example"},
        {"oauth_url": "https://user:canary@oauth.example"},
    ],
    ids=ascii,
)
def test_what_cannot_be_meant_is_refused_without_being_shown(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"email": EMAIL, "api_key": KEY} | wrong
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))) as caught:
        ApiKey(**options)
    assert "canary" not in str(caught.value)


# Secrets


FAULTS = [
    Fault.status(401, 130),
    Fault.status(403, 5),
    Fault.status(422, 90),
    Fault.status(500),
    Fault.reset(),
    Fault.truncate(),
    Fault.html(200),
    Fault.redirect("https://evil.example/canary"),
]
CALLS: dict[str, Callable[[ApiKey], Awaitable[object]]] = {
    "token": lambda source: source.token(),
    "renew": lambda source: source.renew("rejected-canary"),
    "look up": lambda source: auth.OAuth(source.account, source._settings).look_up("held-canary"),
    "delete": lambda source: auth.OAuth(source.account, source._settings).delete("held-canary"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.kind + str(fault.code or ""))
@pytest.mark.parametrize("call", CALLS)
async def test_nothing_secret_is_shown(
    simulator: Simulator, fault: Fault, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    simulator.faults.add(fault, times=None)
    source = ApiKey(EMAIL, KEY, oauth_url=simulator.oauth_url)
    source.use(auth.ConnectionSettings(policy=QUICK, timeout=1))
    source._held = Token(value="held-canary", refresh="fresh-canary", made_at=0, expires_at=1)
    with pytest.raises(GatewayError) as caught:
        await CALLS[call](source)
    error: BaseException | None = caught.value
    while error is not None:
        shown = f"{error!r} {error} {vars(error)}"
        assert "canary" not in shown
        error = error.__cause__ or error.__context__
    basic = "Y2FuYXJ5"  # how the pair begins in base64
    for text in (
        caplog.text,
        repr(source),
        repr(source.account),
        repr(source._held),
        repr(simulator.requests),
    ):
        assert KEY not in text
        assert "held-canary" not in text
        assert "fresh-canary" not in text
        assert basic not in text


async def test_a_token_is_held_before_it_is_kept(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Only its refresh token still works, so it must not be lost if the write of the file is cut off.
    began = threading.Event()

    def full_disk(*_: object) -> None:
        began.set()
        time.sleep(0.1)
        raise GatewayError("no space left")

    monkeypatch.setattr(auth, "keep_token", full_disk)
    source = key_of(simulator, file=tmp_path / "token")
    asking = asyncio.create_task(source.token())
    while not began.is_set():
        await asyncio.sleep(0.005)
    asking.cancel()
    await asyncio.wait([asking])
    assert asking.cancelled()
    assert await source.token() in simulator.oauth.tokens
    assert asked(simulator) == ["create_token"]
