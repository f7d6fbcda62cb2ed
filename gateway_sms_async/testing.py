"""The gateway's simulator for users' tests, with faults and delivery states.

```python
from gateway_sms_async.testing import Simulator

with Simulator() as simulator:
    simulator.fail_next("PUT", after_apply=True)
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        recipients = [("+39 340 1234567", {"name": "Anna"}), ("+39 340 7654321", {"name": "Bea"})]
        await gateway.send_bulk(recipients, sender="ACME", body="Ciao {{name}}")
    simulator.assert_sent({"+39 340 1234567": "Ciao Anna", "+39 340 7654321": "Ciao Bea"})
```

An hour of deliveries without waiting: a tenth of the recipients fail, and a few never become final.

```python
from gateway_sms_async.testing import Deliveries, Simulator

deliveries = Deliveries(spread=3600, undelivered=0.1, pending=0.01)
async with Simulator(frozen=True, deliveries=deliveries) as simulator:
    async with GatewayClient(simulator.token, base_url=simulator.url) as gateway:
        numbers = [f"+39 340 {n:07}" for n in range(100)]
        message = await gateway.messages.send(sender="ACME", body="Ciao", recipients=numbers)
        await simulator.advance(1800)  # half of the recipients are final now
        statistics = (await gateway.messages.get(message.id)).statistics
        assert (statistics.delivered, statistics.error) == (43, 6)
```
"""

from ._simulator.callbacks import RecordedCallback
from ._simulator.deliveries import Deliveries
from ._simulator.dialect import Dialect
from ._simulator.faults import Fault, Faults
from ._simulator.gateway import Gateway
from ._simulator.oauth import IssuedToken, OAuthService
from ._simulator.outbox import Text
from ._simulator.requests import RecordedRequest
from ._simulator.server import Simulator

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
