"""One campaign in a database, sent by three workers: time, CPU and peak memory of each process.

The processes: `python -m benchmarks.bench_workers URL DATABASE start RECIPIENTS SHARDS`, and `work`. Left
out where PostgreSQL is not installed.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import Any

from gateway_sms_async import Campaigns
from gateway_sms_async.postgres import PostgresJournals
from tests.support.servers import postgres_programs, started

from ._figures import Figure, Result, Size, spread
from ._measure import ROOT, Server, child, client, numbers, peak_mb, serve

_WORKERS = 3
_RECIPIENTS = {"tiny": 4_000, "small": 400_000, "full": 50_000_000}
_SHARDS = {"tiny": 3, "small": 6, "full": 64}


def run(size: Size, runs: int) -> Result:
    result = Result()
    if "initdb" not in postgres_programs():
        result.remarks.append("PostgreSQL is not installed")
        return result
    taken = [_campaign(_RECIPIENTS[size], _SHARDS[size]) for _ in range(runs)]
    what = f"{_RECIPIENTS[size]:,} plain recipients in {_SHARDS[size]} shards"
    for name, unit in (
        ("until all are in the database", "s"),
        ("peak memory of the process that starts it", "MB"),
        ("wall time of three workers", "s"),
        ("CPU of a recipient, all workers together", "us"),
        ("peak memory of the largest worker", "MB"),
    ):
        result.figures.append(Figure(f"{what}: {name}", spread([one[name] for one in taken]), unit))
    result.details["requests"] = [one["requests"] for one in taken]
    return result


def _campaign(count: int, shards: int) -> dict[str, float]:
    with started("postgres") as database, serve(returns_custom=True) as server:
        asyncio.run(PostgresJournals(database.url).install())
        begun = child("bench_workers", server.url, database.url, "start", count, shards)
        began = time.perf_counter()
        workers = [_worker(server, database.url) for _ in range(_WORKERS)]
        done = [json.loads(one.communicate()[0]) for one in workers]
        wall = time.perf_counter() - began
        accepted = asyncio.run(_accepted(server.url, database.url))
        assert accepted == count, accepted
        requests = sum(server.stats()["requests"].values())
    return {
        "until all are in the database": begun["wall_s"],
        "peak memory of the process that starts it": begun["peak_mb"],
        "wall time of three workers": wall,
        "CPU of a recipient, all workers together": sum(one["cpu_s"] for one in done) / count * 1e6,
        "peak memory of the largest worker": max(one["peak_mb"] for one in done),
        "requests": requests,
    }


def _worker(server: Server, database: str) -> subprocess.Popen[str]:
    command = ("-m", "benchmarks.bench_workers", server.url, database, "work")
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)


async def _accepted(url: str, database: str) -> int:
    async with client(url) as gateway:
        receipt = await Campaigns(gateway, PostgresJournals(database), run=False).receipt("spring")
        return receipt.accepted


async def _start(url: str, database: str, count: str, shards: str) -> dict[str, Any]:
    async with client(url) as gateway:
        campaigns = Campaigns(gateway, PostgresJournals(database), run=False)
        began = time.perf_counter()
        people = numbers(int(count))
        await campaigns.start("spring", people, sender="ACME", body="Ciao", shards=int(shards))
        return {"wall_s": time.perf_counter() - began, "peak_mb": peak_mb()}


async def _work(url: str, database: str) -> dict[str, Any]:
    began = time.process_time()
    async with client(url) as gateway:
        campaigns = Campaigns(gateway, PostgresJournals(database), run=False)

        async def run_what_waits() -> None:
            while waiting := await campaigns.waiting():
                await campaigns.run_shard(*waiting[0])

        await asyncio.gather(run_what_waits(), run_what_waits())
    return {"cpu_s": time.process_time() - began, "peak_mb": peak_mb()}


if __name__ == "__main__":
    arguments = sys.argv[1:]
    url, database, what, *more = arguments
    called = _start(url, database, *more) if what == "start" else _work(url, database)
    print(json.dumps(asyncio.run(called)))
