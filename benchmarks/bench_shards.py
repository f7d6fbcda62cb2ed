"""A campaign in shards beside one journal: time, CPU and peak memory, by the length of the list.

The client runs in its own process: `python -m benchmarks.bench_shards URL RECIPIENTS SHARDS`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway_sms_async import Progress

from ._figures import Figure, Result, Size, ratio, spread
from ._measure import child, client, numbers, peak_mb, serve

_RECIPIENTS = {"tiny": 4_000, "small": 400_000, "full": 10_000_000}
_SHARDS = {"tiny": 2, "small": 4, "full": 16}


def run(size: Size, runs: int) -> Result:
    count, shards = _RECIPIENTS[size], _SHARDS[size]
    taken: dict[int, list[dict[str, Any]]] = {1: [], shards: []}
    with serve() as server:
        for turn in range(runs):
            for each in taken if turn % 2 == 0 else reversed(list(taken)):
                taken[each].append(child("bench_shards", server.url, count, each))

    def of(name: str, each: int) -> list[float]:
        return [one[name] for one in taken[each]]

    what = f"{count:,} plain recipients in {shards} shards"
    return Result(
        [
            Figure(f"{what}: until all are in the journals", spread(of("kept_s", shards)), "s"),
            Figure(f"{what}: wall time", spread(of("wall_s", shards)), "s"),
            Figure(f"{what}: peak memory", spread(of("peak_mb", shards)), "MB"),
            Figure(
                f"{what}: wall time beside one journal",
                ratio(of("wall_s", shards), of("wall_s", 1)),
                "x",
            ),
            Figure(
                f"{what}: CPU beside one journal", ratio(of("cpu_s", shards), of("cpu_s", 1)), "x"
            ),
            Figure(
                f"{what}: peak memory beside one journal",
                ratio(of("peak_mb", shards), of("peak_mb", 1)),
                "x",
            ),
        ],
        {"the last runs": {str(each): done[-1] for each, done in taken.items()}},
    )


async def _campaign(url: str, count: int, shards: int) -> dict[str, Any]:
    kept = 0.0

    def report(_: Progress) -> None:
        nonlocal kept
        # The first report of a campaign whose list is in its journals.
        if not kept and journal.exists():
            kept = time.perf_counter() - wall

    with tempfile.TemporaryDirectory() as folder:
        journal = Path(folder) / "campaign.db"
        async with client(url) as gateway:
            wall, cpu = time.perf_counter(), time.process_time()
            receipt = await gateway.send_bulk(
                numbers(count),
                sender="ACME",
                body="Ciao",
                journal=journal,
                shards=shards,
                on_progress=report,
            )
            taken, cpu = time.perf_counter() - wall, time.process_time() - cpu
    assert receipt.complete, receipt
    return {"wall_s": taken, "cpu_s": cpu, "peak_mb": peak_mb(), "kept_s": kept or taken}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_campaign(sys.argv[1], *map(int, sys.argv[2:])))))
