"""Peak memory of a campaign from a generator, and the part of the check for duplicates.

Each figure is from its own process: `python -m benchmarks.bench_memory WHAT COUNT [URL]`.
"""

from __future__ import annotations

import asyncio
import json
import sys

from gateway_sms_async._recipients.number_set import NumberSet

from ._figures import Figure, Result, Size, spread
from ._measure import child, client, numbers, peak_mb, serve

_FEW = {"tiny": 1_000, "small": 10_000, "full": 10_000}
_MANY = {"tiny": 4_000, "small": 1_000_000, "full": 1_000_000}
_MOST = {"tiny": 20_000, "small": 2_000_000, "full": 10_000_000}


def run(size: Size, runs: int) -> Result:
    few, many, most = _FEW[size], _MANY[size], _MOST[size]
    campaign: list[float] = []
    check: list[float] = []
    largest: list[float] = []
    with serve() as server:
        for _ in range(runs):
            campaign.append(
                _peak("campaign", many, server.url) - _peak("campaign", few, server.url)
            )
            check.append(_peak("check", many) - _peak("check", few))
            largest.append(_peak("check", most) - _peak("check", 0))
    what = f"peak memory of {many:,} recipients beyond that of {few:,}"
    result = Result([Figure(what, spread(campaign), "MB", 100)])
    rest = [all_ - part for all_, part in zip(campaign, check, strict=True)]
    holding = f"the check for duplicates holding {most:,} numbers"
    result.figures += [
        Figure("of that, the check for duplicates", spread(check), "MB"),
        Figure("of that, everything else", spread(rest), "MB", 15),
        Figure(holding, spread(largest), "MB", 150),
    ]
    return result


def _peak(what: str, count: int, url: str = "") -> float:
    return float(child("bench_memory", what, count, url))


async def _campaign(count: int, url: str) -> None:
    async with client(url) as gateway:
        receipt = await gateway.send_bulk(numbers(count), sender="ACME", body="Ciao")
        assert receipt.accepted == count


def _check(count: int) -> None:
    seen = NumberSet()
    assert all(seen.add(int(number.replace("-", ""))) for number in numbers(count))


def main(what: str, count: int, url: str) -> None:
    """Run it, and print the peak memory of this process in MB."""
    if what == "campaign":
        asyncio.run(_campaign(count, url))
    else:
        _check(count)
    print(json.dumps(peak_mb()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
