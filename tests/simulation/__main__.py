"""The command line of the seeded proof: `python -m tests.simulation`, with

- `--count 100000 --jobs 2`: many seeds;
- `--seed 4711`: one seed, with its trace and result;
- `--postgres`: the same with journals in PostgreSQL;
- `--directed`: one schedule for each cell of the matrix.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterable, Sequence

from gateway_sms_async.postgres import PostgresJournals
from tests.support.servers import started

from .many import Summary, run_in_processes, schedule_of
from .matrix import CELLS
from .run import run
from .stores import ADDRESS


def _write(text: object = "") -> None:
    sys.stdout.write(f"{text}\n")


def _show(seed: int) -> int:
    schedule = schedule_of(seed)
    _write(schedule.describe())
    outcome = run(schedule)
    _write()
    for line in outcome.trace:
        _write(line)
    _write()
    for label, receipt in outcome.receipts:
        _write(f"{label}: {receipt}")
    for line in outcome.lines:
        _write(line)
    texted_twice = {number: n for number, n in outcome.ledger.items() if n > 1}
    _write(f"ledger: {len(outcome.ledger)} texted, twice: {texted_twice or 'none'}")
    _write(f"events: {dict(outcome.events)}")
    _write(f"fingerprint: {outcome.digest()}")
    _write("\n".join(outcome.wrong) or "right")
    return 1 if outcome.wrong else 0


def _fingerprints(seeds: Iterable[int]) -> int:
    for seed in seeds:
        _write(f"{seed} {run(schedule_of(seed)).digest()}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="run one seed and show its trace")
    parser.add_argument(
        "--directed", action="store_true", help="run one schedule for each cell of the matrix"
    )
    parser.add_argument(
        "--fingerprints", action="store_true", help="print a fingerprint for each seed"
    )
    parser.add_argument(
        "--postgres", action="store_true", help="keep the journals in a PostgreSQL that is started"
    )
    options = parser.parse_args(arguments)
    if options.postgres and ADDRESS not in os.environ:
        with started("postgres") as server:
            os.environ[ADDRESS] = server.url
            asyncio.run(PostgresJournals(server.url).install())
            return main(arguments)
    seeds: Sequence[int] = range(options.start, options.start + options.count)
    if options.seed is not None:
        return _show(options.seed)
    if options.directed:
        seeds = range(-1, -1 - len(CELLS), -1)
    if options.fingerprints:
        return _fingerprints(seeds)
    began = time.perf_counter()
    total = Summary()
    for chunk in run_in_processes(seeds, options.jobs):
        total.merge(chunk)
        for seed, words in chunk.wrong.items():
            sys.stderr.write(f"\nseed {seed}: {words[0]}\n")
        seconds = time.perf_counter() - began
        sys.stderr.write(
            f"\r{total.count} schedules, {len(total.wrong)} wrong, "
            f"{total.count / seconds:.0f} a second"
        )
    sys.stderr.write("\n")
    _write(total.report())
    missed = set(CELLS) - set(total.cells)
    fewest = min(((n, cell) for cell, n in total.cells.items()), default=None)
    thin = sum(total.cells[cell] * 100 < total.count for cell in CELLS)
    _write(
        f"{len(CELLS) - len(missed)} of {len(CELLS)} cells hit, {sum(total.cells.values())} faults"
    )
    _write(
        f"{thin} cells less than 100 times per 10,000; fewest hits: {fewest}; missed: {sorted(missed) if len(missed) < 30 else len(missed)}"
    )
    _write(f"events: {dict(total.events.most_common(30))}")
    _write(
        f"{total.requests / max(1, total.count):.1f} requests and "
        f"{total.rounds / max(1, total.count):.0f} rounds a schedule; slowest: "
        f"{total.slowest[0]:.2f} s, seed {total.slowest[1]}"
    )
    seconds = time.perf_counter() - began
    _write(f"{total.count / seconds:.1f} schedules a second, {seconds:.0f} s, {options.jobs} jobs")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:
        # The order of sets depends on it, and the same seed must give the same run.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
