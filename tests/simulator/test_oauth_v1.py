"""Version 1 of the vendor's OAuth service over raw requests: `/token`, which its own SDKs call."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway_sms_async.testing import Fault, Simulator

METHODS = ("DELETE", "GET", "POST", "PUT")
SCOPES = [f"{method}:ws.messaggisms.com/messages" for method in METHODS]
NOW = 1_800_000_000
YEAR = 365 * 24 * 60 * 60


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
        ) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None

    async def make(self, **more: Any) -> str:
        status, answer = await self.ask("POST", "/token", {"scopes": SCOPES, **more})
        assert status == 200
        return str(answer["token"])

    async def expiry(self, token: str) -> int:
        _, answer = await self.ask("GET", f"/token/{token}")
        return int(answer["data"][0]["expire"])

    async def knock(self, token: str) -> int:
        async with self._session.get(
            f"{self.simulator.url}/messages/", headers={"Authorization": f"Bearer {token}"}
        ) as answer:
            return answer.status


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with (
        Simulator(frozen=True, clock=lambda: float(NOW), credit=7) as simulator,
        aiohttp.ClientSession() as session,
    ):
        yield Service(simulator, session)


async def test_a_created_token_is_flat_and_opens_the_gateway(service: Service) -> None:
    status, answer = await service.ask("POST", "/token", {"scopes": SCOPES, "ttl": 3600})
    token = answer.pop("token")
    assert status == 200
    assert answer == {
        "scopes": SCOPES,
        "expire": NOW + 3600,
        "success": True,
        "message": "",
        "error": None,
    }
    assert await service.knock(token) == 404  # no message yet
    assert list(service.simulator.oauth.tokens) == [token]
    (made, _) = service.simulator.requests
    assert (made.operation, made.path, made.applied) == ("create_token", "/oauth/token", True)


@pytest.mark.parametrize(
    ("body", "expire"),
    [
        ({}, NOW + YEAR),
        ({"ttl": 0}, NOW + YEAR),
        ({"ttl": "x"}, NOW + YEAR),
        ({"ttl": 10**9}, NOW + YEAR),
        ({"expire": NOW + 90}, NOW + 90),
        ({"expire": NOW + 90, "ttl": 60}, NOW + 60),
        ({"expire": NOW + 10**9}, NOW + YEAR),
        ({"expire": "soon"}, NOW + YEAR),
    ],
    ids=ascii,
)
async def test_the_lifetime_of_a_token(service: Service, body: dict[str, Any], expire: int) -> None:
    assert await service.expiry(await service.make(**body)) == expire


@pytest.mark.parametrize(
    ("requested", "granted"),
    [
        (["*:*/*"], 8),
        (["*:ws.messaggisms.com/*"], 4),
        (["GET:*.messaggisms.com/messages"], 2),
        (["GET:ws.messaggisms.com/messages", "*:ws.messaggisms.com/messages"], 4),
    ],
    ids=ascii,
)
async def test_scopes_may_hold_asterisks(
    service: Service, requested: list[str], granted: int
) -> None:
    _, answer = await service.ask("POST", "/token", {"scopes": requested})
    assert len(set(answer["scopes"])) == len(answer["scopes"]) == granted
    assert set(answer["scopes"]) <= service.simulator.oauth.scopes


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 110),
        ([], 110),
        ({"scopes": None}, 110),
        ({"scopes": "GET:x"}, 110),
        ({"scopes": []}, 270),
        ({"scopes": [5]}, 270),
        ({"scopes": ["GET:other.example/x"]}, 270),
        ({"scopes": [*SCOPES, "GET:ws?messaggisms.com/messages"]}, 270),
    ],
    ids=ascii,
)
async def test_refusals_of_a_new_token(service: Service, body: object, code: int) -> None:
    status, answer = await service.ask("POST", "/token", body)
    assert (status, answer["error"], answer["success"], answer["data"]) == (406, code, False, None)
    assert not service.simulator.oauth.tokens
    assert not service.simulator.requests[0].applied


async def test_the_list_of_tokens(service: Service) -> None:
    assert await service.ask("GET", "/token") == (204, None)
    first, second = await service.make(), await service.make(scopes=SCOPES[:1])
    await service.make(ttl=60)
    await service.simulator.advance(60)
    status, answer = await service.ask("GET", "/token")
    assert (status, answer["success"], answer["error"]) == (200, True, None)
    assert answer["data"] == [
        {"scopes": SCOPES, "expire": NOW + YEAR, "token": first},
        {"scopes": SCOPES[:1], "expire": NOW + YEAR, "token": second},
    ]
    _, answer = await service.ask("GET", f"/token?scope={SCOPES[3]}")
    assert [one["token"] for one in answer["data"]] == [first]
    assert await service.ask("GET", "/token?scope=GET:other.example/x") == (204, None)


async def test_a_token_is_read_changed_and_deleted(service: Service) -> None:
    token = await service.make(ttl=60)
    path = f"/token/{token}"
    _, answer = await service.ask("PATCH", path, {"expire": NOW + 90})
    assert answer["data"] == [{"scopes": SCOPES, "expire": NOW + 90, "token": token}]
    _, answer = await service.ask("PATCH", path, {"scopes": SCOPES[:2]})
    assert answer["data"] == [{"scopes": SCOPES[:2], "expire": NOW + 90, "token": token}]
    _, answer = await service.ask("PATCH", path, {"ttl": 30})
    assert answer["data"][0]["expire"] == NOW + 30
    # PUT replaces all, and has no `ttl`: one year, unless it names a date.
    _, answer = await service.ask("PUT", path, {"scopes": SCOPES, "ttl": 30})
    assert answer["data"] == [{"scopes": SCOPES, "expire": NOW + YEAR, "token": token}]
    assert (await service.ask("GET", path))[1]["data"] == answer["data"]
    status, answer = await service.ask("DELETE", path)
    assert (status, answer) == (200, {"success": True, "message": "1 deleted token", "error": None})
    assert await service.knock(token) == 401
    operations = ["create_token", *["update_token"] * 4, "get_token", "delete_token", "list"]
    assert [one.operation for one in service.simulator.requests] == operations
    assert all(token not in one.path for one in service.simulator.requests)


@pytest.mark.parametrize(
    ("method", "body", "status", "code"),
    [
        ("GET", None, 402, 125),
        ("PUT", {"scopes": SCOPES}, 404, 170),
        ("PATCH", {"ttl": 5}, 404, 290),
        ("DELETE", None, 404, 150),
    ],
)
async def test_an_unknown_token(
    service: Service, method: str, body: object, status: int, code: int
) -> None:
    expired = await service.make(ttl=60)
    await service.simulator.advance(60)
    for token in ("5f8041e42efdfc468b6e60ea", expired):
        answered, answer = await service.ask(method, f"/token/{token}", body)
        assert (answered, answer["error"]) == (status, code)


@pytest.mark.parametrize(("method", "code"), [("PUT", 160), ("PATCH", 280), ("DELETE", 140)])
async def test_only_single_tokens_can_be_changed(service: Service, method: str, code: int) -> None:
    status, answer = await service.ask(method, "/token", {"scopes": SCOPES})
    assert (status, answer["error"]) == (403, code)
    assert answer["message"] == "Only single tokens are enabled for this method"


@pytest.mark.parametrize(
    ("method", "body", "code"),
    [
        ("PUT", {}, 270),
        ("PUT", {"scopes": ["x"]}, 270),
        ("PATCH", {}, 310),
        ("PATCH", {"scopes": ["x"]}, 270),
    ],
    ids=ascii,
)
async def test_refusals_of_a_change(service: Service, method: str, body: object, code: int) -> None:
    token = await service.make(ttl=60)
    status, answer = await service.ask(method, f"/token/{token}", body)
    assert (status, answer["error"]) == (406, code)
    assert await service.expiry(token) == NOW + 60


@pytest.mark.parametrize("by", ["Basic x", "Basic eDp5", "Bearer simulator-token"])
async def test_only_the_account_has_access(service: Service, by: str) -> None:
    token = await service.make()
    for method, path in (
        ("POST", "/token"),
        ("GET", "/token"),
        ("GET", f"/token/{token}"),
        ("PUT", f"/token/{token}"),
        ("PATCH", f"/token/{token}"),
        ("DELETE", f"/token/{token}"),
        ("GET", "/credit"),
    ):
        status, answer = await service.ask(method, path, {"scopes": SCOPES}, by=by)
        assert (status, answer["success"]) == (401, False)
    assert list(service.simulator.oauth.tokens) == [token]


async def test_the_credit(service: Service) -> None:
    status, answer = await service.ask("GET", "/credit")
    assert (status, answer["data"], answer["success"]) == (200, {"credit": 7.0}, True)
    assert service.simulator.requests[0].operation == "get_wallet"


async def test_both_versions_have_the_same_tokens(service: Service) -> None:
    token = await service.make(ttl=60)
    _, answer = await service.ask("GET", f"/tokens/{token}")
    assert (answer["token"], answer["expireAt"]) == (token, "2027-01-15T08:01:00+00:00")
    _, answer = await service.ask("POST", "/tokens", {"scopes": SCOPES, "ttl": 90})
    assert await service.expiry(answer["token"]) == NOW + 90


async def test_faults_strike_before_or_after(service: Service) -> None:
    simulator = service.simulator
    simulator.faults.add(Fault.reset(), on="create_token")
    simulator.faults.add(Fault.reset(after_apply=True), on="create_token")
    for made in (0, 1):
        with pytest.raises(aiohttp.ClientError):
            await service.make()
        assert len(simulator.oauth.tokens) == made
    simulator.faults.add(Fault.reset(), on="update_token")
    (token,) = simulator.oauth.tokens
    with pytest.raises(aiohttp.ClientError):
        # Not a PUT: aiohttp's client would repeat it.
        await service.ask("PATCH", f"/token/{token}", {"scopes": SCOPES[:1]})
    assert simulator.oauth.tokens[token].scopes == SCOPES
