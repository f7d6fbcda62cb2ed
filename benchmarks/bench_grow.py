"""How time, CPU and memory grow: one parameter varies at a time, the others have their defaults.

Each point is a campaign in its own process:
`python -m benchmarks.bench_grow URL RECIPIENTS BATCH CONCURRENCY`.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any

from ._figures import Result, Size
from ._measure import child, client, numbers, peak_mb, serve

_DEFAULTS = {"recipients": 100_000, "batch": 500, "concurrency": 8, "round trip, ms": 50}
_CURVES: dict[str, dict[str, list[int]]] = {
    "tiny": {"recipients": [1_000], "concurrency": [4]},
    "small": {
        "recipients": [1_000, 10_000, 100_000, 1_000_000],
        "batch": [50, 100, 500, 1_000, 5_000],
        "concurrency": [1, 2, 4, 8, 16, 32, 64],
        "round trip, ms": [1, 50, 200],
    },
}
_CURVES["full"] = _CURVES["small"] | {"recipients": [*_CURVES["small"]["recipients"], 10_000_000]}
_MEASURED = ("wall_s", "cpu_us", "peak_mb", "requests")


def run(size: Size, runs: int) -> Result:
    defaults = _DEFAULTS | ({"recipients": 2_000, "round trip, ms": 1} if size == "tiny" else {})
    curves: dict[str, list[dict[str, Any]]] = {}
    known: dict[tuple[int, ...], dict[str, Any]] = {}
    for varied, values in _CURVES[size].items():
        curves[varied] = []
        for value in values:
            point = defaults | {varied: value}
            key = tuple(point.values())
            if key not in known:
                known[key] = _point(point, runs)
            curves[varied].append({varied: value} | known[key])
    text = "\n\n".join(_curve(varied, points) for varied, points in curves.items())
    return Result(details={"around": defaults, "curves": curves}, text=text)


def _point(point: dict[str, int], runs: int) -> dict[str, Any]:
    recipients, batch, concurrency, round_trip = point.values()
    with serve(delay=round_trip / 1000) as server:
        taken = [
            child("bench_grow", server.url, recipients, batch, concurrency) for _ in range(runs)
        ]
    return {name: round(statistics.median(one[name] for one in taken), 3) for name in _MEASURED}


def _curve(varied: str, points: list[dict[str, Any]]) -> str:
    lines = [f"{varied:>14} {'wall, s':>9} {'CPU, us each':>13} {'peak, MB':>9} {'requests':>9}"]
    lines += [
        f"{one[varied]:14,} {one['wall_s']:9.2f} {one['cpu_us']:13.2f} {one['peak_mb']:9.0f} "
        f"{one['requests']:9,.0f}"
        for one in points
    ]
    return "\n".join(lines)


async def _campaign(url: str, recipients: int, batch: int, concurrency: int) -> dict[str, Any]:
    async with client(url, concurrency=concurrency) as gateway:
        wall, cpu = time.perf_counter(), time.process_time()
        receipt = await gateway.send_bulk(
            numbers(recipients), sender="ACME", body="Ciao", batch_size=batch
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert receipt.accepted == recipients
    return {
        "wall_s": wall,
        "cpu_us": cpu / recipients * 1e6,
        "peak_mb": peak_mb(),
        "requests": receipt.requests,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_campaign(sys.argv[1], *map(int, sys.argv[2:])))))
