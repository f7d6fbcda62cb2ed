"""The limiter: the rate reached, the fullest window, and the CPU of an acquisition without a wait.

Departures are timed at the limiter, and again when the server receives them. The latter include
the jitter between the two processes.
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
    """Return by how many requests the fullest window exceeds `rate * W + burst`, negative if none.

    Only windows that begin and end with a departure matter: a longer one contains no more.
    """
    most = float("-inf")
    lowest = float("inf")
    for n, at in enumerate(departures):
        ahead = n - rate * at
        lowest = min(lowest, ahead)
        most = max(most, ahead - lowest + 1 - burst)
    return most


def _mean_off(departures: Sequence[float], rate: float, burst: int) -> float:
    """Return the deviation of the mean rate in percent; the first burst takes no time."""
    took = departures[-1] - departures[0]
    return ((len(departures) - burst) / took / rate - 1) * 100


async def _sends(url: str, rate: float, burst: int, count: int) -> None:
    async with client(url, rate=rate, burst=burst, concurrency=_CONCURRENCY) as gateway:

        async def send() -> None:
            await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")

        await drive(send, count, _CONCURRENCY)


async def _at_the_limiter(rate: float, burst: int, count: int) -> list[float]:
    limiter = RateLimiter(rate=rate, burst=burst, concurrency=_CONCURRENCY)
    loop = asyncio.get_running_loop()
    departures: list[float] = []

    async def depart() -> None:
        slot = await limiter.acquire(urgent=True)
        await slot.depart()
        departures.append(loop.time())
        slot.release()

    await drive(depart, count, _CONCURRENCY)
    return departures


async def _acquisitions(count: int) -> float:
    limiter = RateLimiter(rate=1e9, burst=1_000, concurrency=1)
    began = time.process_time()
    for _ in range(count):
        slot = limiter.try_acquire() or await limiter.acquire(urgent=True)
        await slot.depart()
        slot.release()
    return (time.process_time() - began) / count * 1e6


def run(size: Size, runs: int) -> Result:
    result = Result()
    with serve() as server:
        for rate, seconds in _SECONDS[size].items():
            for burst in _BURSTS:
                _one(result, server, (rate, burst, round(rate * seconds) + burst), runs)
    passes = take_turns(runs, {"pass": lambda: asyncio.run(_acquisitions(_PASSES[size]))})
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
        departures = asyncio.run(_at_the_limiter(rate, burst, count))
        # Rounded: the clock is read again some microseconds after the token was taken.
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
