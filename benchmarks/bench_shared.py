"""One rate for several processes: how much of it is used, by how much it is exceeded, and how long a code
waits; in a file, in Redis and in PostgreSQL, beside `rate / n` for each process.

The server sees when requests arrive, so the excess includes the jitter of all processes. Redis and
PostgreSQL are left out where they are not installed.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.servers import postgres_programs, started

from ._figures import Figure, Result, Size, spread
from ._measure import ROOT, Server, serve
from .bench_limiter import excess

_RATE = 40.0
_SECONDS = {"tiny": 0.2, "small": 4.0, "full": 8.0}
_PROCESSES = {"tiny": (2,), "small": (4,), "full": (4, 16)}
_CODES = 24.0  # a second, of all processes together: 60 % of the rate
_OWN = "rate / n"


def run(size: Size, runs: int) -> Result:
    result = Result()
    seconds = _SECONDS[size]
    with serve() as server, _places() as places:
        candidates = [_OWN, *places]
        for processes, busy in itertools.product(_PROCESSES[size], (1, None)):
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in candidates}
            for _ in range(runs):
                for name in candidates:
                    found[name].append(
                        _load(server, places.get(name), processes, busy or processes, seconds)
                    )
            what = f"{processes} processes, {'one' if busy else 'all'} busy"
            for name, one in found.items():
                used, above = zip(*one, strict=True)
                result.figures.append(Figure(f"{what}, {name}: rate used", spread(used), "%"))
                result.figures.append(
                    Figure(f"{what}, {name}: above rate · W + burst", spread(above), "requests")
                )
        _codes(result, server, {_OWN: None, **places}, seconds, runs)
    return result


@contextmanager
def _places() -> Generator[dict[str, str]]:
    """Start the servers, and yield each place where a rate can be shared."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        places = {"file": str(Path(folder) / "rate")}
        if shutil.which("redis-server"):
            places["redis"] = stack.enter_context(started("redis")).url
        if postgres_programs():
            places["postgres"] = stack.enter_context(started("postgres")).url
        yield places


def _load(
    server: Server, where: str | None, processes: int, busy: int, seconds: float
) -> tuple[float, float]:
    """Return the percentage of the rate that was used, and by how many requests it was exceeded."""
    server.stats()
    _run(server.url, where, processes, seconds, [0.0] * busy)
    arrivals = server.stats()["arrivals"]
    # The first one takes no time.
    took = max(arrivals[-1] - arrivals[0], 1e-9)
    return (len(arrivals) - 1) / took / _RATE * 100, excess(arrivals, _RATE, 1)


def _codes(
    result: Result, server: Server, places: dict[str, str | None], seconds: float, runs: int
) -> None:
    """Measure how long a code takes that comes to one of 4 processes, beside one process alone."""
    settings = {"one process": (None, 1), **{f"4, {name}": (places[name], 4) for name in places}}
    pools: dict[str, list[list[float]]] = {name: [] for name in settings}
    for _ in range(runs):
        for name, (where, processes) in settings.items():
            taken = _run(server.url, where, processes, seconds, [_CODES / processes] * processes)
            pools[name].append(sorted(itertools.chain.from_iterable(taken)))
    for name, runs_of_one in pools.items():
        for part in (0.5, 0.95):
            values = [one[round(part * (len(one) - 1))] * 1e3 for one in runs_of_one]
            result.figures.append(
                Figure(f"a code, {name}: p{part * 100:.0f}", spread(values), "ms")
            )
    result.details["codes a second"] = _CODES


def _run(
    url: str, where: str | None, processes: int, seconds: float, codes: Iterable[float]
) -> list[list[float]]:
    """Run one worker for each of `codes`; the rate is divided by all `processes` if not shared."""
    rate = _RATE / processes if where is None else _RATE
    children = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "benchmarks.shared_child", url),
                *map(str, (rate, where or "own", seconds, each)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for each in codes
    ]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs: list[Any] = [json.loads(child.communicate()[0]) for child in children]
    return outputs
