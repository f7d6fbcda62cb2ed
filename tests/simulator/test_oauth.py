"""The simulator's OAuth service over raw requests: the responses on the vendor's page."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway_sms_async.testing import Fault, Simulator

SCOPES = [f"{method}:ws.messaggisms.com/messages" for method in ("GET", "POST", "PUT", "DELETE")]
NOW = 1_800_000_000.0


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(frozen=True, clock=lambda: NOW, credit=7) as running:
        yield running


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as running:
        yield running


class Service:
    def __init__(self, simulator: Simulator, session: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None, *, by: str = "") -> Any:
        pair = f"{self.simulator.email}:{self.simulator.api_key}"
        authorization = by or f"Basic {b64encode(pair.encode()).decode()}"
        async with self._session.request(
            method,
            self.simulator.oauth_url + path,
            data=None if body is None else json.dumps(body),
            headers={"Authorization": authorization},
            allow_redirects=False,
        ) as answer:
            return answer.status, await answer.json()

    async def make(self, **more: Any) -> dict[str, Any]:
        status, answer = await self.ask("POST", "/tokens", {"scopes": SCOPES, **more})
        assert status == 200
        return dict(answer)

    async def knock(self, token: str, method: str = "GET", path: str = "/messages/") -> int:
        async with self._session.request(
            method, self.simulator.url + path, headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            return answer.status


@pytest.fixture
def service(simulator: Simulator, session: aiohttp.ClientSession) -> Service:
    return Service(simulator, session)


async def test_a_created_token_opens_the_gateway(service: Service) -> None:
    detail = await service.make(name="mine", ttl=3600)
    assert detail["name"] == "mine"
    assert detail["scopes"] == SCOPES
    assert detail["createdAt"] == "2027-01-15T08:00:00+00:00"
    assert detail["expireAt"] == "2027-01-15T09:00:00+00:00"
    assert await service.knock(detail["token"]) == 404  # no message yet
    assert await service.knock(detail["refreshToken"]) == 401
    assert await service.knock(service.simulator.token) == 404


@pytest.mark.parametrize("ttl", [0, -5, None, "x", 10**9])
async def test_a_ttl_that_cannot_be_is_the_longest(service: Service, ttl: object) -> None:
    detail = await service.make(ttl=ttl)
    assert detail["expireAt"] == "2028-01-15T08:00:00+00:00"


async def test_a_token_expires_by_the_simulators_clock(service: Service) -> None:
    token = (await service.make(ttl=60))["token"]
    await service.simulator.advance(59)
    assert await service.knock(token) == 404
    await service.simulator.advance(1)
    assert await service.knock(token) == 401
    assert (await service.ask("GET", f"/tokens/{token}"))[1]["error"] == 120


async def test_each_call_wants_its_scope(service: Service) -> None:
    token = (await service.make(scopes=SCOPES[:1]))["token"]
    assert await service.knock(token) == 404
    for method in ("POST", "PUT", "DELETE"):
        path = "/messages/" + ("" if method == "POST" else "0" * 24)
        assert await service.knock(token, method, path) == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 70),
        ([], 70),
        ({"scopes": "GET:x"}, 80),
        ({"scopes": [5]}, 80),
        ({"scopes": []}, 90),
        ({"scopes": ["GET:other.example/x"]}, 90),
    ],
    ids=ascii,
)
async def test_refusals_of_a_new_token(service: Service, body: object, code: int) -> None:
    status, answer = await service.ask("POST", "/tokens", body)
    assert (status, answer["error"], answer["success"]) == (422, code, False)
    assert not service.simulator.requests[0].applied


@pytest.mark.parametrize("by", ["Basic x", "Basic eDp5", "Basic /w==", "Bearer simulator-token"])
async def test_only_the_account_makes_tokens(service: Service, by: str) -> None:
    for method, path in (("POST", "/tokens"), ("GET", "/scopes"), ("GET", "/wallet")):
        assert (await service.ask(method, path, by=by))[0] == 401


async def test_a_refresh_replaces_the_token(service: Service) -> None:
    old = await service.make(name="mine", ttl=60)
    path = f"/tokens/{old['token']}"
    for by in (f"Bearer {old['token']}", "Bearer x"):
        status, answer = await service.ask("PATCH", path, {}, by=by)
        assert (status, answer["error"]) == (401, 130)
    by = f"Bearer {old['refreshToken']}"
    status, new = await service.ask("PATCH", path, {"ttl": 120}, by=by)
    assert status == 200
    assert new["expireAt"] == "2027-01-15T08:02:00+00:00"
    assert (new["scopes"], new["name"]) == (SCOPES, "mine")
    assert await service.knock(old["token"]) == 401
    assert await service.knock(new["token"]) == 404
    status, answer = await service.ask("PATCH", path, {}, by=by)
    assert (status, answer["error"]) == (404, 160)


async def test_the_account_changes_reads_and_deletes_a_token(service: Service) -> None:
    path = f"/tokens/{(await service.make(ttl=60))['token']}"
    status, answer = await service.ask(
        "PATCH", path, {"scopes": SCOPES[:1], "ttl": 120, "name": "x"}
    )
    assert (status, answer["scopes"], answer["name"]) == (200, SCOPES[:1], "x")
    assert (await service.ask("PATCH", path, {"scopes": ["x"]}))[1]["error"] == 110
    assert (await service.ask("PATCH", path, {}, by="Basic x"))[1]["error"] == 140
    assert (await service.ask("GET", path))[1]["expireAt"] == "2027-01-15T08:02:00+00:00"
    assert (await service.ask("DELETE", path))[1]["message"] == "Deleted"
    assert (await service.ask("DELETE", path))[1]["error"] == 180
    assert all("/tokens/..." in one.path for one in service.simulator.requests[1:])


async def test_scopes_and_wallet(service: Service) -> None:
    service.simulator.oauth.scopes.remove(SCOPES[3])
    _, answer = await service.ask("GET", "/scopes")
    assert {one["scope"]: one["enabled"] for one in answer["data"]}[SCOPES[3]] is False
    assert len(answer["data"]) == 8
    assert (await service.ask("GET", "/wallet"))[1]["data"] == {"credit": 7.0}


async def test_what_is_no_call_is_refused(service: Service) -> None:
    for method, path in (("GET", "/tokens/a/b"), ("GET", "/x"), ("GET", "/")):
        assert (await service.ask(method, path))[0] == 404
    assert (await service.ask("PUT", "/tokens/a"))[0] == 405
    paths = [record.path for record in service.simulator.requests]
    assert paths == ["/oauth/tokens/.../b", "/oauth/x", "/oauth/", "/oauth/tokens/..."]


async def test_the_list_of_tokens_has_pages(service: Service) -> None:
    assert (await service.ask("GET", "/tokens"))[1]["data"] == []
    made = [await service.make(name=str(n)) for n in range(3)]
    await service.make(ttl=60)
    await service.simulator.advance(60)
    assert (await service.ask("GET", "/tokens"))[1]["data"] == made
    assert (await service.ask("GET", "/tokens?skip=1&limit=1"))[1]["data"] == made[1:2]
    assert (await service.ask("GET", "/tokens?skip=x&limit=-1"))[1]["data"] == made
    assert service.simulator.requests[0].operation == "list_tokens"
    assert (await service.ask("GET", "/tokens", by="Basic x"))[0] == 401


async def test_a_token_missing_from_the_path(service: Service) -> None:
    for method, code in (("PATCH", 150), ("DELETE", 170)):
        status, answer = await service.ask(method, "/tokens", {})
        assert (status, answer["error"], answer["message"]) == (400, code, "Token ID is required")


async def test_faults_strike_before_or_after(service: Service) -> None:
    simulator = service.simulator
    simulator.faults.add(Fault.reset(), on="create_token")
    simulator.faults.add(Fault.reset(after_apply=True), on="create_token")
    simulator.faults.add(Fault.lost(), on="create_token")
    for made in (0, 1):
        with pytest.raises(aiohttp.ClientError):
            await service.make()
        assert len(simulator.oauth.tokens) == made
    assert await service.knock((await service.make())["token"]) == 401
    assert [one.applied for one in simulator.requests[:3]] == [False, True, False]
    simulator.faults.add(Fault.status(429, retry_after=3), on="POST")
    assert (await service.ask("POST", "/tokens", {"scopes": SCOPES}))[0] == 429


async def test_an_account_of_ones_own(session: aiohttp.ClientSession) -> None:
    async with Simulator(email="me@example.com", api_key="mine") as simulator:
        assert simulator.oauth_url == f"{simulator.url}/oauth"
        by = f"Basic {b64encode(b'me@example.com:mine').decode()}"
        async with session.get(
            simulator.oauth_url + "/wallet", headers={"Authorization": by}
        ) as answer:
            assert answer.status == 200
