"""One stored login that several processes renew: a refresh token works once."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import ApiKey, AuthenticationError, GatewayClient, RetryPolicy
from gateway_sms_async._auth.account import Account
from gateway_sms_async._auth.api_key import RenewedToken
from gateway_sms_async.testing import Fault, RecordedRequest, Simulator

PATIENT = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=20)


@pytest.fixture
async def file(simulator: Simulator, tmp_path: Path) -> Path:
    """Return a file with a token that is due for renewal."""
    path = tmp_path / "token"
    source = ApiKey(simulator.email, simulator.api_key, oauth_url=simulator.oauth_url, file=path)
    await source.token()
    change(path, made_at=time.time() - 1000, expires_at=time.time() + 60)
    return path


def token_in(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text())["token"]


def change(file: Path, **token: float) -> None:
    kept = json.loads(file.read_text())
    kept["token"] |= token
    file.write_text(json.dumps(kept))


def process(simulator: Simulator, file: Path, *, with_key: bool = False) -> RenewedToken:
    """Return a source as a process of its own would have it."""
    account = Account(
        email=simulator.email,
        api_key=simulator.api_key if with_key else None,
        oauth_url=simulator.oauth_url,
        sandbox=False,
    )
    return RenewedToken(account, ttl=1000, name="test", file=file)


async def run(simulator: Simulator, source: RenewedToken) -> int:
    """Make one call, as a command does."""
    async with GatewayClient(source, base_url=simulator.url, rate=None, retry=PATIENT) as client:
        return len(await client.messages.list())


def asked(simulator: Simulator, operation: str) -> int:
    return sum(one.operation == operation for one in simulator.requests)


def slow_answers(operation: str) -> Callable[[RecordedRequest], Fault | None]:
    """Carry these requests out at once, and answer them slowly."""
    return lambda request: Fault.drip(0.002) if request.operation == operation else None


async def winner_first(simulator: Simulator, *sources: RenewedToken) -> list[Any]:
    first, *others = sources
    tasks = [asyncio.create_task(run(simulator, first))]
    while not asked(simulator, "refresh_token"):
        await asyncio.sleep(0.001)
    tasks += [asyncio.create_task(run(simulator, one)) for one in others]
    return await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("count", [2, 6])
async def test_the_others_take_the_token_of_the_first(
    simulator: Simulator, file: Path, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    simulator.faults.plan = slow_answers("refresh_token")
    sources = [process(simulator, file) for _ in range(count)]
    assert await winner_first(simulator, *sources) == [0] * count
    assert asked(simulator, "list") == count, "none used the token that was deleted"
    assert caplog.records == []
    tokens = {await one.token() for one in sources}
    assert tokens == {token_in(file)["value"]}


async def test_an_expired_login_is_renewed_by_one_as_well(
    simulator: Simulator, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    change(file, expires_at=time.time() - 1)
    simulator.faults.plan = slow_answers("refresh_token")
    sources = [process(simulator, file) for _ in range(2)]
    assert await winner_first(simulator, *sources) == [0, 0]
    assert caplog.records == []


async def test_with_the_key_nobody_waits(simulator: Simulator, file: Path) -> None:
    simulator.faults.plan = slow_answers("refresh_token")
    sources = [process(simulator, file, with_key=True) for _ in range(2)]
    assert await winner_first(simulator, *sources) == [0, 0]
    assert asked(simulator, "create_token") == 2, "the second one by the loser, with its key"


async def test_a_login_that_nobody_renews_is_gone(simulator: Simulator, file: Path) -> None:
    simulator.oauth.revoke_all()
    source = process(simulator, file)
    async with GatewayClient(
        source, base_url=simulator.url, rate=None, retry=RetryPolicy(max_elapsed=2)
    ) as client:
        with pytest.raises(AuthenticationError, match="log in again"):
            await client.messages.list()


async def test_a_login_that_was_deleted_meanwhile_is_not_waited_for(
    simulator: Simulator, file: Path
) -> None:
    source = process(simulator, file)
    simulator.oauth.revoke_all()

    def forget(request: RecordedRequest) -> None:
        if request.operation == "refresh_token":
            file.unlink(missing_ok=True)

    simulator.faults.plan = forget
    with pytest.raises(AuthenticationError, match="log in again"):
        await run(simulator, source)
