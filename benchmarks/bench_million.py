"""A campaign to the simulator, which counts the recipients itself. Needs the extra `cli`.

The client runs in its own process: `python -m benchmarks.bench_million URL RECIPIENTS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
import urllib.request
from typing import Any

from gateway_sms_async import GatewayClient

from ._figures import Figure, Result, Size, spread
from ._measure import child, numbers, peak_mb, process

_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}


def run(size: Size, runs: int) -> Result:
    count = _RECIPIENTS[size]
    taken = [_one(count) for _ in range(runs)]
    what = f"{count:,} plain recipients to the simulator"
    return Result(
        [
            Figure(f"{what}: wall time", spread(one["wall_s"] for one in taken), "s"),
            Figure(f"{what}: CPU", spread(one["cpu_s"] for one in taken), "s"),
            Figure(f"{what}: peak memory", spread(one["peak_mb"] for one in taken), "MB"),
        ],
        {"the last run": taken[-1]},
    )


def _one(count: int) -> dict[str, Any]:
    with process("-m", "gateway_sms_async", "simulator", "--port", "0") as url:
        found: dict[str, Any] = child("bench_million", url, count)
        with urllib.request.urlopen(f"{url}/_simulator") as response:
            found["simulator"] = json.loads(response.read())
    return found


async def _campaign(url: str, count: int) -> dict[str, Any]:
    async with GatewayClient("simulator-token", base_url=url, rate=None) as gateway:
        wall, cpu = time.perf_counter(), time.process_time()
        receipt = await gateway.send_bulk(numbers(count), sender="ACME", body="Ciao")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "accepted": receipt.accepted,
        "complete": receipt.complete,
        "requests": receipt.requests,
        "messages": len(receipt.message_ids),
        "wall_s": wall,
        "cpu_s": cpu,
        "peak_mb": peak_mb(),
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_campaign(sys.argv[1], int(sys.argv[2])))))
