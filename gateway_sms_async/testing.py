"""For users' own tests: the gateway's simulator, and what it takes to make it misbehave.

async with Simulator() as simulator:
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        simulator.fail_next("PUT", after_apply=True)
        ...  # send
        simulator.assert_sent({"+39 340 1234567": "Ciao Anna"})

Deliveries of an hour, followed without waiting, a tenth of them failing, a few never final:

async with Simulator(
    frozen=True, deliveries=Deliveries(spread=3600, undelivered=0.1, pending=0.01)
) as simulator:
    ...  # send
    await simulator.advance(1800)  # half of them are final now; callbacks were made
    assert [callback.status for callback in simulator.callbacks] == [200]
"""

from ._simulator import (
    Deliveries,
    Dialect,
    Fault,
    Faults,
    Gateway,
    IssuedToken,
    OAuthService,
    RecordedCallback,
    RecordedRequest,
    Simulator,
    Text,
)

__all__ = [
    "Deliveries",
    "Dialect",
    "Fault",
    "Faults",
    "Gateway",
    "IssuedToken",
    "OAuthService",
    "RecordedCallback",
    "RecordedRequest",
    "Simulator",
    "Text",
]
