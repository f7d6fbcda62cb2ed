"""Cost of a journal: CPU compared with a campaign without one, and time under a typical rate."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from ._figures import Figure, Result, Size, ratio, spread, spreads
from ._measure import Opened, Work, client, cpu_of, numbers, serve, take_turns
from .bench_bulk import FIELDS, PLAIN, Kind, ours

_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
_RATE = 50.0
_AT_A_RATE = 150_000
_MOST_RUNS_AT_A_RATE = 3


def _with_journal(url: str, kind: Kind, count: int) -> Opened:
    """Send with a journal in a temporary folder."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "campaign.db"
            async with ours(url, kind, count, journal=path)() as work:
                yield work

    return opened


def run(size: Size, runs: int) -> Result:
    count = _RECIPIENTS[size]
    result = Result()
    with serve() as server:
        for kind in (PLAIN, FIELDS):
            taken = take_turns(
                runs,
                {
                    "with": cpu_of(_with_journal(server.url, kind, count), count),
                    "without": cpu_of(ours(server.url, kind, count), count),
                },
            )
            result.details[f"{kind.what}, us CPU a recipient"] = spreads(taken)
            what = f"CPU of a recipient with a journal beside without, {kind.what}"
            result.figures.append(Figure(what, ratio(taken["with"], taken["without"]), "x", 1.5))
        if size == "full":
            result.figures.append(_at_a_rate(server.url, min(runs, _MOST_RUNS_AT_A_RATE)))
        else:
            result.remarks.append(f"{_RATE:g} requests a second are measured only in size full")
    return result


def _at_a_rate(url: str, runs: int) -> Figure:
    def campaign(*, journal: bool) -> float:
        with tempfile.TemporaryDirectory() as folder:
            return asyncio.run(_wall(url, Path(folder) / "campaign.db" if journal else None))

    taken = take_turns(
        runs,
        {"with": lambda: campaign(journal=True), "without": lambda: campaign(journal=False)},
        warm_up=False,
    )
    more = (
        (with_ / without - 1) * 100
        for with_, without in zip(taken["with"], taken["without"], strict=True)
    )
    what = f"time that a journal adds at {_RATE:g} requests a second, batch 500"
    return Figure(what, spread(more), "%", 5)


async def _wall(url: str, journal: Path | None) -> float:
    async with client(url, rate=_RATE) as gateway:
        began = time.perf_counter()
        await gateway.send_bulk(numbers(_AT_A_RATE), sender="ACME", body="Ciao", journal=journal)
        return time.perf_counter() - began
