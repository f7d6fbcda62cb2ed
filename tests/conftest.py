"""What every test of the client stands on: one backend, and a simulator on a real socket."""

from collections.abc import AsyncIterator

import pytest

from gateway_sms_async import GatewayClient, RetryPolicy
from gateway_sms_async.testing import Simulator

# Retries without the waits of real life.
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
