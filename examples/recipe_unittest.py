"""A user's own tests with unittest; run them with `python -m unittest recipe_unittest`.

They need no event loop of their own. `unittest.IsolatedAsyncioTestCase` works in the same way.
"""

import asyncio
import unittest

from gateway_sms_async import GatewayClient, Message, OutcomeUnknownError
from gateway_sms_async.testing import Deliveries, Simulator

ANNA = "+39 340 1234567"


async def send(simulator: Simulator, name: str, number: str) -> Message:
    """Stands for your own code, which gets the simulator's address and token."""
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
        return await gateway.messages.send(
            sender="ACME", body=f"Ciao {name}", recipients=number, reference=f"greet-{name}"
        )


def greet(simulator: Simulator, name: str, number: str) -> Message:
    return asyncio.run(send(simulator, name, number))


async def is_delivered(simulator: Simulator, message: Message) -> bool:
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        return (await gateway.wait_delivered(message.id, timeout=5)).complete


class GreetingTests(unittest.TestCase):
    def setUp(self) -> None:
        simulator = Simulator(frozen=True, deliveries=Deliveries(spread=3600))
        self.simulator = self.enterContext(simulator)

    def test_anna_is_greeted(self) -> None:
        greet(self.simulator, "Anna", ANNA)
        self.simulator.assert_sent({ANNA: "Ciao Anna"})

    def test_a_lost_answer_does_not_lead_to_a_second_text(self) -> None:
        self.simulator.fail_next("send", after_apply=True)
        greet(self.simulator, "Anna", ANNA)
        self.assertEqual(self.simulator.sent_to(ANNA), ["Ciao Anna"])

    def test_an_unknown_outcome_is_reported(self) -> None:
        self.simulator.fail_next("send", after_apply=True)
        self.simulator.fail_next("list", status=403)
        with self.assertRaises(OutcomeUnknownError):
            greet(self.simulator, "Anna", ANNA)

    def test_an_hour_of_deliveries_takes_no_time(self) -> None:
        message = greet(self.simulator, "Anna", ANNA)
        asyncio.run(self.simulator.advance(3600))
        self.assertTrue(asyncio.run(is_delivered(self.simulator, message)))
