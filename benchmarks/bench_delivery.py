"""Requests, bytes and memory of polling a campaign's deliveries for an hour.

The hour is on a virtual clock and takes seconds. The memory is that of a process that does nothing
else: `python -m benchmarks.bench_delivery URL MESSAGE_ID…`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp

from gateway_sms_async import GatewayClient
from gateway_sms_async._http.transport import Reply, Transport
from gateway_sms_async.testing import Deliveries, Simulator
from tests.support.virtual_time import VirtualLoop, run as run_at_once

from ._figures import Figure, Result, Size, spread
from ._measure import child, numbers, peak_mb, process

_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 100_000}
_MESSAGES = 5
# The allocator needs more for the second long list than for the first, but no more for others.
_FEW = 2
_HOUR = 3600.0


def run(size: Size, runs: int) -> Result:
    count = _RECIPIENTS[size]
    hours = [run_at_once(lambda loop: _hour(loop, count)) for _ in range(runs)]
    few, many = zip(*(_peaks(count) for _ in range(runs)), strict=True)
    more = [most - least for least, most in zip(few, many, strict=True)]
    few_recipients = _FEW * count // _MESSAGES
    what = f"{count:,} recipients followed for an hour"
    return Result(
        [
            Figure(f"{what}: requests", spread(one["requests"] for one in hours), ""),
            Figure(f"{what}: lists among them", spread(one["lists"] for one in hours), ""),
            Figure(f"{what}: received", spread(one["bytes"] / 1e6 for one in hours), "MB"),
            Figure(f"peak memory of it beyond that of {few_recipients:,}", spread(more), "MB", 5),
        ],
        {"the last hour": hours[-1], "peak MB": {"few": few[-1], "many": many[-1]}},
    )


async def _hour(loop: VirtualLoop, count: int) -> dict[str, Any]:
    """Poll `count` recipients that become final over an hour; count requests and bytes."""
    received = 0
    attempt = Transport.attempt

    async def counting(*args: Any, **kwargs: Any) -> Reply:
        nonlocal received
        reply = await attempt(*args, **kwargs)
        received += len(reply.body)
        return reply

    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory) / "gateway")
        deliveries = Deliveries(spread=_HOUR, undelivered=0.05, operator=0.5)
        async with (
            Simulator(path=path, clock=loop.time, deliveries=deliveries) as simulator,
            GatewayClient(
                simulator.token,
                base_url=simulator.url,
                rate=None,
                connector=lambda: aiohttp.UnixConnector(path),
            ) as gateway,
        ):
            ids = await _send(gateway, count)
            simulator.requests.clear()
            Transport.attempt = counting  # type: ignore[method-assign]
            began, cpu = loop.time(), time.process_time()
            try:
                found = await gateway.wait_delivered(ids, timeout=2 * _HOUR)
            finally:
                Transport.attempt = attempt  # type: ignore[method-assign]
            assert found.complete, found
            operations = Counter(one.operation for one in simulator.requests)
            return {
                "requests": operations.total(),
                "polls": operations["get"],
                "lists": operations["recipients"],
                "bytes": received,
                "seconds": loop.time() - began,
                "cpu_s_with_the_simulator": round(time.process_time() - cpu, 2),
            }


async def _send(gateway: GatewayClient, count: int) -> list[str]:
    receipt = await gateway.send_bulk(
        numbers(count), sender="ACME", body="Ciao", recipients_per_message=count // _MESSAGES
    )
    return list(receipt.message_ids)


def _peaks(count: int) -> tuple[float, float]:
    """Return the peak memory of polling the first messages of a campaign, and all of them."""
    with process("-m", "gateway_sms_async", "simulator", "--port", "0") as url:
        ids = asyncio.run(_send_to(url, count))
        few, many = (child("bench_delivery", url, *some) for some in (ids[:_FEW], ids))
        return float(few), float(many)


async def _send_to(url: str, count: int) -> list[str]:
    async with GatewayClient("simulator-token", base_url=url, rate=None) as gateway:
        return await _send(gateway, count)


async def _follow(url: str, ids: list[str]) -> None:
    async with GatewayClient("simulator-token", base_url=url, rate=None) as gateway:
        found = await gateway.wait_delivered(ids, timeout=600)
        assert found.complete, found


if __name__ == "__main__":
    asyncio.run(_follow(sys.argv[1], sys.argv[2:]))
    print(json.dumps(peak_mb()))
