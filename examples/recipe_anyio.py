"""A user's own tests with anyio's pytest plugin; run them with `pytest`."""

from collections.abc import Iterator

import pytest

from gateway_sms_async import GatewayClient, Message, OutcomeUnknownError
from gateway_sms_async.testing import Deliveries, Simulator

pytestmark = pytest.mark.anyio


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    # In a thread of its own, so that this fixture suits every plugin and mode.
    with Simulator(frozen=True, deliveries=Deliveries(spread=3600)) as simulator:
        yield simulator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def greet(simulator: Simulator, name: str, number: str) -> Message:
    """Stands for your own code, which gets the simulator's address and token."""
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
        return await gateway.messages.send(
            sender="ACME", body=f"Ciao {name}", recipients=number, reference=f"greet-{name}"
        )


async def test_anna_is_greeted(simulator: Simulator) -> None:
    await greet(simulator, "Anna", "+39 340 1234567")
    simulator.assert_sent({"+39 340 1234567": "Ciao Anna"})


async def test_a_lost_answer_does_not_lead_to_a_second_text(simulator: Simulator) -> None:
    simulator.fail_next("send", after_apply=True)
    await greet(simulator, "Anna", "+39 340 1234567")
    assert simulator.sent_to("+39 340 1234567") == ["Ciao Anna"]


async def test_an_unknown_outcome_is_reported(simulator: Simulator) -> None:
    simulator.fail_next("send", after_apply=True)
    simulator.fail_next("list", status=403)
    with pytest.raises(OutcomeUnknownError):
        await greet(simulator, "Anna", "+39 340 1234567")


async def test_an_hour_of_deliveries_takes_no_time(simulator: Simulator) -> None:
    message = await greet(simulator, "Anna", "+39 340 1234567")
    await simulator.advance(3600)
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        assert (await gateway.wait_delivered(message.id, timeout=5)).complete
