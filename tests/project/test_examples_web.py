"""The examples for web services: each is a real process on a real socket, checked by the ledger."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from gateway_sms_async import CallbackSigner
from gateway_sms_async.testing import Simulator

from ..support.paths import ROOT

CHILD = ROOT / "tests" / "support" / "children" / "example_child.py"
APPS = ["aiohttp_app", "fastapi_app", "starlette_app"]
NUMBER = "+39-3401234567"
SECRET = "at least sixteen secret bytes"
CAMPAIGN = [f"+39-340{n:07}" for n in range(6_000)]

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> str:
    for needed in {
        "fastapi_app": ["fastapi", "uvicorn"],
        "starlette_app": ["starlette", "uvicorn"],
    }.get(request.param, []):
        pytest.importorskip(needed, reason="it is in the extra `dev`")
    return request.param


class Service:
    """One address, on which one process after another serves the example."""

    def __init__(self, app: str, simulator: Simulator, folder: Path) -> None:
        self.printed: list[str] = []
        self._app = app
        self._folder = folder
        self._listening = socket.socket()
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONUNBUFFERED": "1",
            "OPENAPI_TOKEN": simulator.token,
            "GATEWAY_SMS_BASE_URL": simulator.url,
            "CALLBACK_SECRET": SECRET,
            "CALLBACK_URL": f"{self.url}/callbacks",
        }

    def close(self) -> None:
        self._listening.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Start the process; at the end, send it SIGTERM and check that it ends cleanly."""
        descriptor = self._listening.fileno()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "dev", CHILD, self._app, str(descriptor)),
            cwd=self._folder,
            env=self.environment,
            pass_fds=(descriptor,),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            printed, errors = await asyncio.wait_for(process.communicate(), 20)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self.printed += printed.decode().splitlines()
        assert process.returncode in {0, -signal.SIGTERM, -signal.SIGKILL}, errors.decode()
        assert "Traceback" not in errors.decode(), errors.decode()
        assert "never" not in errors.decode(), errors.decode()


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(sent_after=0.0, delivered_after=0.2) as running:
        yield running


@pytest.fixture
async def service(app: str, simulator: Simulator, tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(app, simulator, tmp_path)
    yield service
    service.close()


@pytest.fixture
async def http(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url, timeout=aiohttp.ClientTimeout(20)) as session:
        yield session


async def put(http: aiohttp.ClientSession, path: str, body: object) -> tuple[int, object]:
    async with http.put(path, json=body) as response:
        return response.status, await response.json()


async def look(http: aiohttp.ClientSession, name: str) -> dict[str, object]:
    async with http.get(f"/sent/{name}") as response:
        assert response.status == 200
        return await response.json()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():
        await asyncio.sleep(0.02)


def code(number: str) -> dict[str, object]:
    return {"number": number}


def campaign(numbers: list[str]) -> dict[str, object]:
    return {"numbers": numbers, "text": "Ciao"}


async def test_a_code_is_sent_once_and_can_be_looked_up(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with service.running():
        assert await put(http, "/codes/login-1", code(NUMBER)) == (200, {"look": "/sent/login-1"})
        assert await put(http, "/codes/login-1", code(NUMBER)) == (202, {"look": "/sent/login-1"})
        assert await look(http, "login-1") == {"sent": True}
        requests = len(simulator.requests)
        assert await look(http, "login-2") == {"sent": False}
        assert len(simulator.requests) == requests, "a name that was never used asks the gateway"
    assert simulator.ledger == {NUMBER: 1}
    [message] = simulator.gateway.messages.values()
    assert re.fullmatch("Your code is [0-9]{6}", message.text)


async def test_a_lost_answer_is_202_and_the_message_is_found_later(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with service.running():
        simulator.fail_next("send", after_apply=True)
        # The library looks for the message at once; let it find nothing yet.
        simulator.fail_next("list", status=503, times=None)
        status, answer = await put(http, "/codes/login-1", code(NUMBER))
        assert (status, answer) == (202, {"look": "/sent/login-1"})
        async with http.get("/sent/login-1") as response:
            assert response.status == 503, "it is not known yet"
        simulator.faults.clear()
        assert await look(http, "login-1") == {"sent": True}
        assert (await put(http, "/codes/login-1", code(NUMBER)))[0] == 202
    assert simulator.ledger == {NUMBER: 1}


async def test_not_sent_and_perhaps_sent_have_different_statuses(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with service.running():
        assert (await put(http, "/codes/login-1", code("340 1234567")))[0] == 422
        simulator.fail_next("send", status=402)
        assert (await put(http, "/codes/login-2", code(NUMBER)))[0] == 503
    assert not simulator.ledger


async def test_a_campaign_runs_in_the_background_and_callbacks_arrive(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    async with service.running():
        numbers = [*CAMPAIGN[:1_200], "340 1234567"]
        assert await put(http, "/campaigns/spring", campaign(numbers)) == (
            202,
            {"look": "/sent/spring"},
        )
        assert await put(http, "/campaigns/spring", campaign(numbers)) == (
            202,
            {"look": "/sent/spring"},
        )

        async def complete() -> bool:
            return (await look(http, "spring"))["state"] == "complete"

        async def reported() -> bool:
            return len(simulator.callbacks) == 2

        await until(complete)
        await until(reported)
        progress = (await look(http, "spring"))["progress"]
    assert isinstance(progress, dict)
    assert (progress["accepted"], progress["invalid"]) == (1_200, 1)
    assert simulator.ledger == dict.fromkeys(CAMPAIGN[:1_200], 1)
    assert [callback.status for callback in simulator.callbacks] == [200, 200]
    assert service.printed == ["spring is in state 1", "spring is in state 2"]


@pytest.mark.parametrize("path", ["/callbacks", "/callbacks/"])
async def test_callbacks_need_no_redirect(
    service: Service, http: aiohttp.ClientSession, path: str
) -> None:
    address = CallbackSigner(SECRET).url(service.url + path, reference="spring")
    callback = {"id": "0123456789abcdef01234567", "state": 2}
    async with service.running():
        for url, status in ((address, 200), (service.url + path, 404)):
            async with http.post(url, json=callback, allow_redirects=False) as response:
                assert response.status == status
    assert service.printed == ["spring is in state 2"]


@pytest.mark.parametrize("address", ["", "http://sms.example.com/callbacks", "sms.example.com"])
async def test_a_wrong_callback_url_stops_the_start(service: Service, address: str) -> None:
    service.environment["CALLBACK_URL"] = address
    with pytest.raises(AssertionError, match="base must"):
        async with service.running() as process:
            await asyncio.wait_for(process.wait(), 20)


async def test_a_campaign_in_flight_at_sigterm_resumes_at_the_next_start(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    simulator.delay = lambda request: 0.2 if request.operation in {"append", "close"} else 0
    async with service.running():
        assert (await put(http, "/campaigns/spring", campaign(CAMPAIGN)))[0] == 202

        async def in_flight() -> bool:
            return sum(request.operation == "append" for request in simulator.requests) >= 3

        await until(in_flight)
        assert (await look(http, "spring"))["state"] == "running"
    assert not simulator.ledger
    sent_before = len(simulator.requests)
    assert sent_before < 12

    simulator.delay = None
    async with service.running():

        async def complete() -> bool:
            return (await look(http, "spring"))["state"] == "complete"

        await until(complete)
    assert simulator.ledger == dict.fromkeys(CAMPAIGN, 1)

    # A complete campaign stays complete, without another request.
    requests = len(simulator.requests)
    async with service.running():
        await until(complete)
        assert (await put(http, "/campaigns/spring", campaign(CAMPAIGN)))[0] == 202
        progress = (await look(http, "spring"))["progress"]
    assert isinstance(progress, dict)
    assert (progress["total"], progress["accepted"]) == (6_000, 6_000)
    assert len(simulator.requests) == requests


async def test_a_killed_process_loses_no_recipient(
    service: Service, http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    simulator.delay = lambda request: 0.2 if request.operation in {"append", "close"} else 0
    async with service.running() as process:
        assert (await put(http, "/campaigns/spring", campaign(CAMPAIGN)))[0] == 202
        process.kill()  # after the 202 the whole list is in the journal
        await process.wait()
    assert len(simulator.ledger) < len(CAMPAIGN)
    simulator.delay = None
    async with service.running():

        async def complete() -> bool:
            return (await look(http, "spring"))["state"] == "complete"

        await until(complete)
    assert simulator.ledger == dict.fromkeys(CAMPAIGN, 1)
