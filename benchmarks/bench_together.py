"""How long one interactive send waits while a campaign runs on the same client.

The unit is a turn. With a rate, a turn is the time between two departures. Without a rate it is one
round trip, so the server delays its responses.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial

from gateway_sms_async import BulkSendError, GatewayClient

from ._figures import Figure, Result, Size, spread, spreads
from ._measure import client, numbers, serve, take_turns

_PROBES = {"tiny": 5, "small": 60, "full": 150}
_ENDLESS = 10**8
_ROUND_TRIP = 0.02
_RATE = 50.0
Pools = dict[str, list[list[float]]]
_PAUSE = (0.03, 0.07)  # s; longer than a turn, so probes do not wait for each other


@asynccontextmanager
async def _campaign(gateway: GatewayClient) -> AsyncGenerator[None]:
    """Run a campaign in the background."""
    stop = asyncio.Event()
    running = asyncio.create_task(
        gateway.send_bulk(numbers(_ENDLESS), sender="ACME", body="Ciao", stop=stop)
    )
    await asyncio.sleep(_ROUND_TRIP * 3)
    try:
        yield
    finally:
        stop.set()
        with suppress(BulkSendError):
            await running


async def _latencies(url: str, rate: float | None, probes: int, *, campaign: bool) -> list[float]:
    chance = random.Random(1)
    taken: list[float] = []
    async with client(url, rate=rate) as gateway, AsyncExitStack() as meanwhile:
        if campaign:
            await meanwhile.enter_async_context(_campaign(gateway))
        for _ in range(probes):
            await asyncio.sleep(chance.uniform(*_PAUSE))
            began = time.perf_counter()
            await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")
            taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _percentile(values: list[float], part: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(part * 100) - 1]


def run(size: Size, runs: int) -> Result:
    result = Result()
    probes = _PROBES[size]
    with serve(delay=_ROUND_TRIP) as server:
        for rate, words in ((_RATE, f"{_RATE:g}/s"), (None, "no rate")):
            pools: Pools = {"alone": [], "with a campaign": []}

            def probe(name: str, rate: float | None = rate, pools: Pools = pools) -> float:
                busy = name != "alone"
                pools[name].append(asyncio.run(_latencies(server.url, rate, probes, campaign=busy)))
                return _percentile(pools[name][-1], 0.99)

            turns = {name: partial(probe, name) for name in pools}
            p99 = take_turns(runs, turns, warm_up=False)
            p50 = {name: [_percentile(one, 0.5) for one in all_] for name, all_ in pools.items()}
            result.details[f"{words}, ms"] = {"p50": spreads(p50), "p99": spreads(p99)}
            turn = _ROUND_TRIP * 1e3 if rate is None else 1e3 / rate
            for part, values, goal in (("p50", p50, None), ("p99", p99, 1)):
                later = (
                    (busy - alone) / turn
                    for busy, alone in zip(values["with a campaign"], values["alone"], strict=True)
                )
                what = f"one send beside a campaign, {words}: {part} later by"
                result.figures.append(Figure(what, spread(later), "turns", goal))
        stats = server.stats()
        result.details["server's CPU / wall"] = round(stats["cpu_s"] / stats["wall_s"], 2)
    return result
