"""Wall time of a campaign, compared with the shortest time that its requests can take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from . import floor
from ._figures import Figure, Result, Size, spread
from ._measure import Server, client, numbers, serve, take_turns

_RECIPIENTS = {"tiny": 4_000, "small": 200_000, "full": 200_000}
_ROUND_TRIP = {"tiny": 0.001, "small": 0.05, "full": 0.05}
_BATCH = 1_000
_IN_FLIGHT = 16


async def _ours(url: str, count: int) -> float:
    async with client(url, concurrency=_IN_FLIGHT) as gateway:
        began = time.perf_counter()
        await gateway.send_bulk(numbers(count), sender="ACME", body="Ciao", batch_size=_BATCH)
        return time.perf_counter() - began


async def _by_hand(url: str, count: int) -> float:
    async with floor.requesting(url, _IN_FLIGHT) as request:
        began = time.perf_counter()
        await floor.send_all(
            request, numbers(count), count, batch_size=_BATCH, concurrency=_IN_FLIGHT
        )
        return time.perf_counter() - began


def run(size: Size, runs: int) -> Result:
    count, round_trip = _RECIPIENTS[size], _ROUND_TRIP[size]
    stats_of: dict[str, dict[str, Any]] = {}

    def beside_ideal(name: str, server: Server, wall: float) -> float:
        stats_of[name] = stats = server.stats()
        requests: int = sum(stats["requests"].values())
        return wall / (requests / _IN_FLIGHT * round_trip)

    with serve(delay=round_trip) as server:
        taken = take_turns(
            runs,
            {
                "ours": lambda: beside_ideal("ours", server, asyncio.run(_ours(server.url, count))),
                "floor": lambda: beside_ideal(
                    "floor", server, asyncio.run(_by_hand(server.url, count))
                ),
            },
        )
    requests = stats_of["ours"]["requests"]
    total = sum(requests.values())
    what = (
        f"wall time of {count:,} recipients beside the ideal, {round_trip * 1000:g} ms round trip"
    )
    details = {
        "ideal_s": round(total / _IN_FLIGHT * round_trip, 4),
        "requests": requests,
        "share of the ideal for reads": round(requests["GET"] / total, 3),
        "share of the ideal for closes": round(requests["close"] / total, 3),
        "server's CPU / wall": round(stats_of["ours"]["cpu_s"] / stats_of["ours"]["wall_s"], 2),
    }
    return Result(
        [
            Figure(f"{what}, batch 1,000, 16 in flight", spread(taken["ours"]), "x", 1.15),
            Figure("the same by hand, one message after another", spread(taken["floor"]), "x"),
        ],
        details,
    )
