"""CPU of a recipient in `send_bulk`, compared with the same requests by hand, and with httpx.

The recipients come from a generator, without duplicates, in batches of 500: plain numbers, and
numbers with fields that the text uses. All figures include the generator's own CPU; the details
also show it alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from . import floor, rivals
from ._figures import Figure, Result, Size, ratio, spreads
from ._measure import (
    Opened,
    Work,
    client,
    cpu_of,
    numbers,
    recipients_with_fields,
    serve,
    take_turns,
)
from .bench_send import many

_RECIPIENTS = {"tiny": 2_000, "small": 100_000, "full": 1_000_000}
_RIVAL_RECIPIENTS = {"tiny": 2_000, "small": 40_000, "full": 100_000}
_RIVAL_SENDS = {"tiny": 5, "small": 200, "full": 500}


class Kind(NamedTuple):
    """A kind of recipients, and their text."""

    what: str
    source: Callable[[int], Iterator[Any]]
    body: str
    pack: Callable[[list[Any]], Any] | None
    pack_json: Callable[[list[Any]], Any] | None


def _dicts(batch: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    return [{"number": number, "fields": fields} for number, fields in batch]


PLAIN = Kind("plain numbers", numbers, "Ciao", None, None)
FIELDS = Kind("with fields", recipients_with_fields, "Ciao {{name}}", floor.objects, _dicts)


def ours(url: str, kind: Kind, count: int, **settings: Any) -> Opened:
    """Send with this library; `settings` are further arguments of `send_bulk`."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        async with client(url) as gateway:

            async def work() -> None:
                receipt = await gateway.send_bulk(
                    kind.source(count), sender="ACME", body=kind.body, **settings
                )
                assert receipt.accepted == count

            yield work

    return opened


def by_hand(url: str, kind: Kind, count: int) -> Opened:
    """Send the same with the code of `floor.py`."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        async with floor.requesting(url) as request:
            yield lambda: floor.send_all(
                request, kind.source(count), count, body=kind.body, pack=kind.pack
            )

    return opened


def by_httpx(url: str, kind: Kind, count: int) -> Opened:
    """Send the same with httpx."""

    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        async with rivals.httpx_requesting(url, floor.CONCURRENCY) as request:
            yield lambda: floor.send_all(
                request, kind.source(count), count, body=kind.body, pack=kind.pack_json
            )

    return opened


def _source_alone(kind: Kind, count: int) -> Opened:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Work]:
        async def work() -> None:
            deque(kind.source(count), maxlen=0)

        yield work

    return opened


def _bench(kind: Kind, size: Size, runs: int) -> Result:
    count, few, sends = _RECIPIENTS[size], _RIVAL_RECIPIENTS[size], _RIVAL_SENDS[size]
    with serve() as server:
        url = server.url
        # httpx costs least with one request at a time.
        one_each = many(lambda: rivals.httpx_sending(url, 1), sends, 1)
        taken = take_turns(
            runs,
            {
                "ours": cpu_of(ours(url, kind, count), count),
                "floor": cpu_of(by_hand(url, kind, count), count),
                "httpx, batched": cpu_of(by_httpx(url, kind, few), few),
                "httpx, a POST each": cpu_of(one_each, sends),
                "the generator alone": cpu_of(_source_alone(kind, count), count),
            },
        )
    what = f"CPU of a recipient in bulk, {kind.what}"
    figures = [Figure(f"{what}, beside the floor", ratio(taken["ours"], taken["floor"]), "x", 2.5)]
    for name in ("httpx, batched", "httpx, a POST each"):
        value = ratio(taken[name], taken["ours"])
        figures.append(Figure(f"{what}, beside {name}: its CPU / ours", value, "x"))
    details = {"recipients": count, "us CPU a recipient": spreads(taken)}
    return Result(figures, details)


def run(size: Size, runs: int) -> Result:
    return _bench(PLAIN, size, runs)


def run_fields(size: Size, runs: int) -> Result:
    return _bench(FIELDS, size, runs)
