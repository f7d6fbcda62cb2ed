"""Journals in PostgreSQL beside files: a write, a campaign, and how soon another process takes over.

A process that is killed: `python -m benchmarks.bench_postgres URL DATABASE`. Left out where PostgreSQL is
not installed.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway_sms_async import Campaigns, GatewayError
from gateway_sms_async._journal.journal import Journal
from gateway_sms_async._journal.records import CloseRefused
from gateway_sms_async.postgres import PostgresJournals
from tests.support.servers import postgres_programs, started

from ._figures import Figure, Result, Size, ratio, spread
from ._measure import ROOT, Server, client, numbers, serve, take_turns

_WRITES = {"tiny": 20, "small": 2_000, "full": 10_000}
_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
_KILLED_AFTER = 60
"""Requests of a campaign after which its process is killed."""


def run(size: Size, runs: int) -> Result:
    result = Result()
    if "initdb" not in postgres_programs():
        result.remarks.append("PostgreSQL is not installed")
        return result
    with started("postgres") as database, serve() as server:
        journals = PostgresJournals(database.url)
        asyncio.run(journals.install())
        _add_writes(result, journals, _WRITES[size], runs)
        count = _RECIPIENTS[size]
        taken = take_turns(
            runs,
            {
                "postgres": lambda: asyncio.run(_campaign(server.url, count, journals)),
                "file": lambda: asyncio.run(_campaign(server.url, count, None)),
            },
        )
        what = f"{count:,} plain recipients: wall time with PostgreSQL beside a file"
        result.figures.append(Figure(what, ratio(taken["postgres"], taken["file"]), "x"))
        takeovers = [
            asyncio.run(_take_over(server, database.url, f"taken {turn}")) for turn in range(runs)
        ]
        what = "from SIGKILL to the first request of another process"
        result.figures.append(Figure(what, spread(takeovers), "s"))
    return result


def _add_writes(result: Result, journals: PostgresJournals, count: int, runs: int) -> None:
    """Measure intents one after another, each durable before the next."""
    for name in ("PostgreSQL", "a file"):
        times: list[list[float]] = []
        for turn in range(runs):
            with tempfile.TemporaryDirectory() as folder:
                place: Any = (
                    journals[f"writes {turn}"]
                    if name == "PostgreSQL"
                    else Path(folder) / "campaign.db"
                )
                times.append(asyncio.run(_writes(place, count)))
        rates = [count / sum(one) for one in times]
        worst = [statistics.quantiles(one, n=100)[98] * 1e3 for one in times]
        result.figures.append(Figure(f"durable writes a second to {name}", spread(rates), "/s"))
        result.figures.append(Figure(f"a durable write to {name}: p99", spread(worst), "ms"))


async def _writes(place: Any, count: int) -> list[float]:
    async with client("http://127.0.0.1:1") as gateway:
        # Nobody listens there: the campaign stops at once, and its journal stays.
        with suppress(GatewayError):
            await gateway.send_bulk(numbers(10), sender="ACME", body="Ciao", journal=place)
    journal, _ = await Journal.open(place)
    times: list[float] = []
    try:
        for _ in range(count):
            began = time.perf_counter()
            await journal.intend(CloseRefused(0))
            times.append(time.perf_counter() - began)
    finally:
        await journal.close()
    return times


async def _campaign(url: str, count: int, journals: PostgresJournals | None) -> float:
    with tempfile.TemporaryDirectory() as folder:
        place: Any = Path(folder) / "c.db" if journals is None else journals[str(time.time_ns())]
        async with client(url) as gateway:
            began = time.perf_counter()
            await gateway.send_bulk(numbers(count), sender="ACME", body="Ciao", journal=place)
            return time.perf_counter() - began


async def _take_over(server: Server, database: str, name: str) -> float:
    """Kill a process in the middle of a campaign; return the seconds until another one goes on."""
    server.stats()
    module = ("-m", "benchmarks.bench_postgres", server.url, database, name)
    first = await asyncio.create_subprocess_exec(sys.executable, *module, cwd=ROOT)
    requests = 0
    while requests < _KILLED_AFTER:
        await asyncio.sleep(0.05)
        requests += sum(server.stats()["requests"].values())
    async with (
        client(server.url, rate=50.0) as gateway,
        Campaigns(gateway, PostgresJournals(database)) as campaigns,
    ):
        await _until(lambda: campaigns.status(name) is not None)
        first.kill()
        await first.wait()
        killed = time.perf_counter()
        before = gateway.stats.requests
        await _until(lambda: gateway.stats.requests > before)
        return time.perf_counter() - killed


async def _until(is_so: Callable[[], bool]) -> None:
    while True:
        if is_so():
            return
        await asyncio.sleep(0.005)


async def _killed(url: str, database: str, name: str) -> None:
    async with client(url, rate=50.0) as gateway:
        journal = PostgresJournals(database)[name]
        people = numbers(1_000_000)
        await gateway.send_bulk(people, sender="ACME", body="Ciao", journal=journal)


if __name__ == "__main__":
    asyncio.run(_killed(*sys.argv[1:]))
