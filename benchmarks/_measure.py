"""How all benches measure: alternating runs, CPU of this process, child processes, the server.

Candidates alternate after a warm-up, and every other round runs in reverse order, so that a machine
that becomes slower does not favor one of them.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from gateway_sms_async import GatewayClient

ROOT = Path(__file__).parent.parent

Work = Callable[[], Awaitable[object]]
Opened = Callable[[], AbstractAsyncContextManager[Work]]
"""Opens a client and yields the work to measure; opening the client is not measured."""


def take_turns(
    runs: int, candidates: Mapping[str, Callable[[], float]], *, warm_up: bool = True
) -> dict[str, list[float]]:
    """Run the candidates alternately; return the measurements of each, run by run."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    if warm_up:
        for candidate in candidates.values():
            candidate()
    for turn in range(runs):
        for name in candidates if turn % 2 == 0 else reversed(list(candidates)):
            taken[name].append(candidates[name]())
    return taken


def cpu_of(
    opened: Opened, units: int, loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Callable[[], float]:
    """Return a candidate that measures CPU microseconds per unit, in its own event loop."""

    def measured() -> float:
        with asyncio.Runner(loop_factory=loop) as runner:
            return runner.run(_cpu_of(opened)) / units * 1e6

    return measured


async def _cpu_of(opened: Opened) -> float:
    async with opened() as work:
        gc.collect()
        began = time.process_time()
        await work()
        return time.process_time() - began


async def drive(once: Work, count: int, in_flight: int) -> None:
    """Call `once` `count` times, with at most `in_flight` calls at once."""
    left = iter(range(count))

    async def worker() -> None:
        for _ in left:
            await once()

    if in_flight == 1:
        await worker()
    else:
        await asyncio.gather(*(worker() for _ in range(in_flight)))


@asynccontextmanager
async def client(
    url: str, *, rate: float | None = None, burst: int = 1, concurrency: int = 8
) -> AsyncGenerator[GatewayClient]:
    """Open a client of this library, without a rate limit by default."""
    async with GatewayClient(
        "token", base_url=url, rate=rate, burst=burst, concurrency=concurrency
    ) as gateway:
        yield gateway


def numbers(count: int) -> Iterator[str]:
    """Yield well-formed numbers."""
    return (f"+39-340{n:07}" for n in range(count))


def recipients_with_fields(count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield well-formed numbers with fields."""
    return ((f"+39-340{n:07}", {"name": f"customer {n}", "city": "Roma"}) for n in range(count))


class Server:
    """The server of `server.py`, in its own process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def stats(self) -> dict[str, Any]:
        """Return its figures since the last call: see `server.Server.stats`."""
        with urllib.request.urlopen(f"{self.url}/_stats") as response:
            stats: dict[str, Any] = json.loads(response.read())
        return stats


@contextmanager
def serve(*, delay: float = 0.0, returns_custom: bool = False) -> Generator[Server]:
    """Run the server of `server.py`, which delays each response by `delay` seconds."""
    options = ["custom"] if returns_custom else []
    with process("-m", "benchmarks.server", str(delay), *options) as url:
        yield Server(url)


@contextmanager
def process(*command: str) -> Generator[str]:
    """Run a server in its own process, and yield the URL that it prints first."""
    with subprocess.Popen(
        [sys.executable, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as running:
        assert running.stdout is not None
        try:
            yield "http://" + running.stdout.readline().strip().partition("http://")[2]
        finally:
            running.terminate()


def child(module: str, *arguments: object, python: str | Path = sys.executable) -> Any:
    """Run a module of this package in its own process, and return the JSON that it prints."""
    done = subprocess.run(
        [python, "-m", f"benchmarks.{module}", *map(str, arguments)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    return json.loads(done.stdout)


def peak_mb() -> float:
    """Return the peak memory of this process, in MB."""
    status = Path("/proc/self/status")
    if status.exists():
        # `ru_maxrss` of a child starts with the value of its parent, so it is too large here.
        [line] = [one for one in status.read_text().splitlines() if one.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
