"""CPU of one `messages.send`, compared with the same by hand, httpx and the vendor's SDK.

With one call in flight and with sixteen: a single call pays alone for the wake-ups of the event
loop, which several calls share.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial

from . import floor, rivals
from ._figures import Figure, Result, Size, ratio, spreads
from ._measure import Opened, Work, client, cpu_of, drive, serve, take_turns

_SENDS = {"tiny": 20, "small": 1_000, "full": 4_000}
_RIVAL_SENDS = {"tiny": 5, "small": 200, "full": 500}
IN_FLIGHT = (1, 16)


def many(opened: Opened, count: int, in_flight: int) -> Opened:
    """Open `opened`, and do its work `count` times, `in_flight` at once."""

    @asynccontextmanager
    async def opened_many() -> AsyncGenerator[Work]:
        async with opened() as once:
            # Open every connection before the measurement.
            await drive(once, 4 * in_flight, in_flight)
            yield lambda: drive(once, count, in_flight)

    return opened_many


def ours(url: str, in_flight: int) -> Opened:
    """Send with this library."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        async with client(url, concurrency=in_flight) as gateway:

            async def send() -> None:
                await gateway.messages.send(sender="ACME", body="Ciao", recipients="+39-3401234567")

            yield send

    return opened


def run(size: Size, runs: int) -> Result:
    result = Result()
    count, few = _SENDS[size], _RIVAL_SENDS[size]
    sdk: dict[str, Callable[[], float]] = {}
    with serve() as server:
        url = server.url
        if size == "tiny":
            result.remarks.append("the vendor's SDK is skipped in size tiny")
        else:
            try:
                python = rivals.sdk_python()
            except RuntimeError as error:
                result.remarks.append(f"the vendor's SDK is skipped: {error}")
            else:
                sdk["sdk"] = partial(rivals.sdk_cpu, python, url, few)
        for in_flight in IN_FLIGHT:
            candidates: dict[str, tuple[Opened, int]] = {
                "ours": (ours(url, in_flight), count),
                "floor": (partial(floor.sending, url), count),
                "httpx": (partial(rivals.httpx_sending, url, in_flight), few),
            }
            taken = take_turns(
                runs,
                {
                    name: cpu_of(many(opened, units, in_flight), units)
                    for name, (opened, units) in candidates.items()
                }
                | sdk,
            )
            result.details[f"{in_flight} in flight, us CPU a send"] = spreads(taken)
            result.figures += _figures(taken, in_flight)
        stats = server.stats()
        result.details["server's CPU / wall"] = round(stats["cpu_s"] / stats["wall_s"], 2)
    return result


def _figures(taken: dict[str, list[float]], in_flight: int) -> list[Figure]:
    what = f"CPU of a `send`, {in_flight} in flight"
    figures = [Figure(f"{what}, beside the floor", ratio(taken["ours"], taken["floor"]), "x", 1.25)]
    for name, words in (("httpx", "httpx: its CPU"), ("sdk", "the vendor's SDK: its CPU")):
        if name in taken:
            value = ratio(taken[name], taken["ours"])
            figures.append(Figure(f"{what}, beside {words} / ours", value, "x", 10, least=True))
    return figures
