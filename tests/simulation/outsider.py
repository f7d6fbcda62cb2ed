"""Somebody else on the account, and another part of the program that reads what they did.

At some moment another client closes all open messages. Later the campaign's own client is asked for
one of them by a user: from that answer on the campaign must know, no matter what it asked itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from gateway_sms_async import GatewayClient, GatewayError

from .faults import FaultInjector
from .plan import Outsider


async def interfere(
    outsider: Outsider, injector: FaultInjector, simulator: Any, client: GatewayClient
) -> None:
    """Close the open messages, and read one of them with the campaign's client."""
    await asyncio.sleep(outsider.at)
    closed = injector.close_by_others(simulator)
    if not closed:
        return
    await asyncio.sleep(outsider.reads_after)
    with contextlib.suppress(GatewayError):
        await client.messages.get(closed[outsider.which % len(closed)])
