"""CPU of a send and of a recipient in bulk under uvloop, compared with asyncio's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ._figures import Figure, Result, Size, ratio, spreads
from ._measure import Opened, cpu_of, serve, take_turns
from .bench_bulk import PLAIN, ours as bulk
from .bench_send import many, ours as sending

_SENDS = {"tiny": 20, "small": 1_000, "full": 4_000}
_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}


def run(size: Size, runs: int) -> Result:
    try:
        import uvloop  # noqa: PLC0415 - the other benches run without it
    except ImportError:
        return Result(remarks=["skipped: uvloop is not installed"])
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop] | None] = {
        "uvloop": uvloop.new_event_loop,
        "asyncio": None,
    }
    result = Result()
    sends, recipients = _SENDS[size], _RECIPIENTS[size]
    with serve() as server:
        url = server.url
        benches: dict[str, tuple[Opened, int]] = {
            "a `send`, 1 in flight": (many(sending(url, 1), sends, 1), sends),
            "a `send`, 16 in flight": (many(sending(url, 16), sends, 16), sends),
            "a recipient in bulk": (bulk(url, PLAIN, recipients), recipients),
        }
        for what, (opened, units) in benches.items():
            taken = take_turns(
                runs, {name: cpu_of(opened, units, loop) for name, loop in loops.items()}
            )
            result.details[f"{what}, us CPU"] = spreads(taken)
            value = ratio(taken["uvloop"], taken["asyncio"])
            result.figures.append(Figure(f"CPU of {what}, uvloop beside asyncio", value, "x"))
    return result
