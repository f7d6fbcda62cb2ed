"""The limiter: the rate that is reached, what any window holds, and what a free pass costs.

Departures are taken where the limiter lets them go, and again as the server sees them arrive, where
the way between the two processes adds its own unrest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from gateway_sms_async._http.limiter import RateLimiter

from ._figures import Figure, Result, Size, spread, spreads
from ._measure import Server, client, drive, serve, take_turns

_SECONDS = {
    "tiny": {1_000: 0.1},
    "small": {10: 2.0, 100: 1.0, 1_000: 1.0},
    "full": {10: 5.0, 100: 3.0, 1_000: 3.0},
}
_BURSTS = (1, 10)
_PASSES = {"tiny": 1_000, "small": 50_000, "full": 200_000}
_CONCURRENCY = 32


def excess(departures: Sequence[float], rate: float, burst: int) -> float:
    """Return by how much the fullest of all windows is above `rate * W + burst`; below 0: under it.

    A window begins and ends with a departure: a longer one holds no more.
    """
    most = float("-inf")
    lowest = float("inf")
    for n, at in enumerate(departures):
        ahead = n - rate * at
        lowest = min(lowest, ahead)
        most = max(most, ahead - lowest + 1 - burst)
    return most


def _mean_off(departures: Sequence[float], rate: float, burst: int) -> float:
    """Return by how many percent the mean rate is off; the first burst needs no time."""
    took = departures[-1] - departures[0]
    return ((len(departures) - burst) / took / rate - 1) * 100


async def _sends(url: str, rate: float, burst: int, count: int) -> None:
    async with client(url, rate=rate, burst=burst, concurrency=_CONCURRENCY) as gateway:

        async def send() -> None:
            await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")

        await drive(send, count, _CONCURRENCY)


async def _at_the_gate(rate: float, burst: int, count: int) -> list[float]:
    gate = RateLimiter(rate=rate, burst=burst, concurrency=_CONCURRENCY)
    loop = asyncio.get_running_loop()
    departures: list[float] = []

    async def depart() -> None:
        slot = await gate.acquire(urgent=True)
        await slot.depart()
        departures.append(loop.time())
        slot.release()

    await drive(depart, count, _CONCURRENCY)
    return departures


async def _free_passes(count: int) -> float:
    gate = RateLimiter(rate=1e9, burst=1_000, concurrency=1)
    began = time.process_time()
    for _ in range(count):
        slot = gate.try_acquire() or await gate.acquire(urgent=True)
        await slot.depart()
        slot.release()
    return (time.process_time() - began) / count * 1e6


def run(size: Size, runs: int) -> Result:
    result = Result()
    with serve() as server:
        for rate, seconds in _SECONDS[size].items():
            for burst in _BURSTS:
                _one(result, server, (rate, burst, round(rate * seconds) + burst), runs)
    passes = take_turns(runs, {"pass": lambda: asyncio.run(_free_passes(_PASSES[size]))})
    result.details["us CPU a free pass"] = spreads(passes)["pass"]
    result.figures.append(Figure("limiter: CPU of a free pass", spread(passes["pass"]), "µs", 10))
    return result


def _one(result: Result, server: Server, setting: tuple[int, int, int], runs: int) -> None:
    rate, burst, count = setting
    off: list[float] = []
    above: list[float] = []
    above_seen: list[float] = []
    for _ in range(runs):
        server.stats()
        asyncio.run(_sends(server.url, rate, burst, count))
        arrivals: list[float] = server.stats()["arrivals"]
        off.append(_mean_off(arrivals, rate, burst))
        above_seen.append(excess(arrivals, rate, burst))
        departures = asyncio.run(_at_the_gate(rate, burst, count))
        # The clock is read once more just after the token was taken, some microseconds later.
        above.append(round(excess(departures, rate, burst), 2))
    what = f"limiter, {rate:,}/s, burst {burst}"
    result.figures += [
        Figure(f"{what}: mean rate off by", spread(map(abs, off)), "%", 1),
        Figure(f"{what}: fullest window above rate · W + burst", spread(above), "requests", 0),
    ]
    result.details[what] = {
        "requests": count,
        "mean rate off by, %": [round(one, 2) for one in spread(off)],
        "fullest window above rate * W + burst, at the server": [
            round(one, 3) for one in spread(above_seen)
        ],
    }
