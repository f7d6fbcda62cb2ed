"""Fixtures of all tests: one backend, and a simulator and a client on a real socket."""

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from gateway_sms_async import GatewayClient
from gateway_sms_async.testing import Simulator

from .support.policy import QUICK
from .support.virtual_time import PatientLoop


@pytest.fixture(scope="session", autouse=True)
def _no_login(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the account of the user that runs the tests: it is neither used nor changed."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("OPENAPI_") or name == "GATEWAY_SMS_BASE_URL":
                patch.delenv(name)
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": PatientLoop}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as running:
        yield running


@pytest.fixture
async def gateway(simulator: Simulator) -> AsyncIterator[GatewayClient]:
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
    ) as client:
        yield client
