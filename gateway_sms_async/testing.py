"""For users' own tests: the gateway's simulator, and what it takes to make it misbehave.

async with Simulator() as simulator:
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        ...
"""

from .simulator import Dialect, Fault, Faults, Gateway, RecordedRequest, Simulator

__all__ = ["Dialect", "Fault", "Faults", "Gateway", "RecordedRequest", "Simulator"]
