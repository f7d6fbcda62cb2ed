"""A simulator with a client that does not wait long, and a small campaign."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway_sms_async import BulkSendError, GatewayClient, Receipt, RetryPolicy
from gateway_sms_async.testing import Dialect, Simulator

from .accounting import numbers

QUICK = RetryPolicy(base_delay=0.001, max_delay=0.01, max_elapsed=0.5)


@asynccontextmanager
async def pair(**knobs: Any) -> AsyncIterator[tuple[Simulator, GatewayClient]]:
    """Yield a simulator in this dialect and a client of it."""
    async with (
        Simulator(dialect=Dialect(**knobs)) as simulator,
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway,
    ):
        yield simulator, gateway


async def send(
    gateway: GatewayClient, count: int = 40, **settings: Any
) -> tuple[Receipt, BulkSendError | None]:
    """Send to `count` recipients, twenty on a message in batches of seven, six and so on."""
    settings = {"batch_size": 7, "recipients_per_message": 20, "concurrency": 2, **settings}
    recipients = settings.pop("recipients", None) or numbers(count)
    try:
        return await gateway.send_bulk(recipients, sender="ACME", body="Ciao", **settings), None
    except BulkSendError as error:
        return error.receipt, error
