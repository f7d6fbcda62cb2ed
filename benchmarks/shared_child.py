"""One worker of the bench of shared rates: `python -m benchmarks.shared_child URL RATE WHERE SECONDS CODES`.

It sends for SECONDS, at most RATE requests a second, which it shares at WHERE ("own": it does not). CODES
is how many single sends come in a second; 0 for as many as the rate allows. It waits for a line before
it begins, and prints how many seconds each send took, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time

from gateway_sms_async import GatewayClient, SharedRate

_IN_FLIGHT = 4


async def _send(gateway: GatewayClient, taken: list[float]) -> None:
    began = time.perf_counter()
    await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
    taken.append(time.perf_counter() - began)


async def _as_many_as_allowed(gateway: GatewayClient, end: float) -> list[float]:
    taken: list[float] = []

    async def worker() -> None:
        while time.perf_counter() < end:
            await _send(gateway, taken)

    await asyncio.gather(*(worker() for _ in range(_IN_FLIGHT)))
    return taken


async def _as_they_come(gateway: GatewayClient, end: float, per_second: float) -> list[float]:
    chance = random.Random()
    taken: list[float] = []
    async with asyncio.TaskGroup() as sends:
        while time.perf_counter() < end:
            sends.create_task(_send(gateway, taken))
            await asyncio.sleep(chance.expovariate(per_second))
    return taken


async def main(url: str, rate: float, where: str, seconds: float, codes: float) -> None:
    shared = rate if where == "own" else SharedRate(where, rate, account=url)
    async with GatewayClient("token", base_url=url, rate=shared) as gateway:
        print("ready", flush=True)
        sys.stdin.readline()
        end = time.perf_counter() + seconds
        if codes:
            taken = await _as_they_come(gateway, end, codes)
        else:
            taken = await _as_many_as_allowed(gateway, end)
    print(json.dumps(taken))


if __name__ == "__main__":
    _, url, rate, where, seconds, codes = sys.argv
    asyncio.run(main(url, float(rate), where, float(seconds), float(codes)))
