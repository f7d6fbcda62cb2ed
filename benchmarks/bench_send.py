"""What a send costs, beside the same requests by hand and beside httpx.

    python -m benchmarks.bench_send [send|bulk|million ...] [--json] [--runs N]

`send`: CPU of one `messages.send`. `bulk`: CPU of a recipient in `send_bulk`, plain numbers, batch
500. `million`: a million plain recipients to the simulator in a process of its own: wall time,
CPU, peak memory, and the simulator's own count. Every figure but the last is a ratio of medians
of runs that took turns in one process after a warm-up.
"""

import argparse
import asyncio
import gc
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import httpx

from gateway_sms_async import GatewayClient

from . import floor

_SENDS = 1_000
_RIVAL_SENDS = 100
_RECIPIENTS = 1_000_000
_BATCH = 500
_PER_MESSAGE = 20_000
_CONCURRENCY = 8

Run = Callable[[], Awaitable[None]]


@contextmanager
def server(*command: str) -> Iterator[str]:
    """Run a server in a process of its own and yield its address."""
    with subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield "http://" + process.stdout.readline().strip().partition("http://")[2]
        finally:
            process.terminate()


def numbers(count: int) -> Iterator[str]:
    """Well-formed numbers, made as they are asked for."""
    return (f"+39-340{n:07}" for n in range(count))


def cpu_of(run: Run) -> float:
    """CPU seconds of this process for one run."""
    gc.collect()
    started = time.process_time()
    asyncio.run(run())  # type: ignore[arg-type]
    return time.process_time() - started


def compare(runs: int, per: dict[str, int], candidates: dict[str, Run]) -> dict[str, Any]:
    """Let the candidates take turns; CPU microseconds a unit, as [min, median, max]."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for turn in range(runs + 1):
        for name, run in candidates.items():
            seconds = cpu_of(run)
            if turn:
                taken[name].append(seconds / per[name] * 1e6)
    return {
        name: [round(f(all_), 3) for f in (min, statistics.median, max)]
        for name, all_ in taken.items()
    }


def bench_send(url: str, runs: int) -> dict[str, Any]:
    """One message after another."""

    async def ours() -> None:
        async with GatewayClient("token", base_url=url, rate=None) as gateway:
            for _ in range(_SENDS):
                await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")

    async def rival() -> None:
        async with httpx.AsyncClient(headers={"Authorization": "Bearer token"}) as client:
            for _ in range(_RIVAL_SENDS):
                body = {"sender": "ACME", "body": "Ciao", "recipients": "+39-3401234567"}
                (await client.post(f"{url}/messages/", json=body)).json()

    figures = compare(
        runs,
        {"ours": _SENDS, "floor": _SENDS, "httpx": _RIVAL_SENDS},
        {
            "ours": ours,
            "floor": lambda: floor.send_many(url, _SENDS),
            "httpx": rival,
        },
    )
    return figures | ratios(figures, "us CPU a send")


def bench_bulk(url: str, runs: int) -> dict[str, Any]:
    """A million plain numbers from a generator, validated and each once."""

    async def ours() -> None:
        async with GatewayClient("token", base_url=url, rate=None) as gateway:
            receipt = await gateway.send_bulk(numbers(_RECIPIENTS), sender="ACME", body="Ciao")
            assert receipt.complete

    figures = compare(
        runs,
        {"ours": _RECIPIENTS, "floor": _RECIPIENTS},
        {
            "ours": ours,
            "floor": lambda: floor.send_bulk(
                url,
                numbers(_RECIPIENTS),
                batch_size=_BATCH,
                per_message=_PER_MESSAGE,
                concurrency=_CONCURRENCY,
            ),
        },
    )
    return figures | ratios(figures, "us CPU a recipient")


def ratios(figures: dict[str, Any], unit: str) -> dict[str, Any]:
    ours = figures["ours"][1]
    return {
        "unit": unit,
        **{
            f"ours / {name}": round(ours / all_[1], 2)
            for name, all_ in figures.items()
            if name != "ours"
        },
    }


def bench_million(_url: str, _runs: int) -> dict[str, Any]:
    """A million to the simulator; needs the command line's extra."""
    grown: dict[int, float] = {}
    figures: dict[str, Any] = {}
    for count in (10_000, _RECIPIENTS):
        figures = json.loads(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.bench_send", "--child", str(count)],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
        )
        grown[count] = figures["peak_rss_mb"]
    figures["peak_rss_mb_at_10000"] = grown[10_000]
    figures["growth_mb"] = round(grown[_RECIPIENTS] - grown[10_000], 1)
    return figures


def child(count: int) -> dict[str, Any]:
    """One campaign in a fresh process, so that its peak memory is its own."""
    with server("-m", "gateway_sms_async", "simulator", "--port", "0") as url:

        async def campaign() -> dict[str, Any]:
            async with GatewayClient("simulator-token", base_url=url, rate=None) as gateway:
                started, cpu = time.perf_counter(), time.process_time()
                receipt = await gateway.send_bulk(numbers(count), sender="ACME", body="Ciao")
                wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            return {
                "recipients": count,
                "accepted": receipt.accepted,
                "complete": receipt.complete,
                "requests": receipt.requests,
                "messages": len(receipt.message_ids),
                "wall_s": round(wall, 2),
                "cpu_s": round(cpu, 2),
                "cpu_us_a_recipient": round(cpu / count * 1e6, 3),
                "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            }

        figures = asyncio.run(campaign())
        figures["simulator"] = httpx.get(f"{url}/_simulator").json()
        return figures


BENCHES = {"send": bench_send, "bulk": bench_bulk, "million": bench_million}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("bench", nargs="*", choices=[[], *BENCHES])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(options.child)))
        return
    results: dict[str, Any] = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("aiohttp", "msgspec", "httpx", "gateway-sms-async")},
    }
    with server("-m", "benchmarks.server") as url:
        for name in options.bench or BENCHES:
            results[name] = BENCHES[name](url, options.runs)
            if not options.json:
                print(name, json.dumps(results[name], indent=2), flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
