"""Runs many schedules, in one or several processes, and adds up the results."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import FrameType

from .draw import direct, draw
from .matrix import CELLS, Cell
from .plan import Schedule
from .run import Outcome, run

_CHUNK = 100


@dataclass
class Summary:
    """The sums of many runs."""

    count: int = 0
    wrong: dict[int, list[str]] = field(default_factory=dict)
    cells: Counter[Cell] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    rounds: int = 0
    slowest: tuple[float, int] = (0.0, 0)

    def add(self, outcome: Outcome, seconds: float) -> None:
        seed = outcome.schedule.seed
        self.count += 1
        if outcome.wrong:
            self.wrong[seed] = outcome.wrong
        self.cells += outcome.cells
        self.events += outcome.events
        self.requests += len(outcome.trace)
        self.rounds += outcome.rounds
        self.slowest = max(self.slowest, (seconds, seed))

    def merge(self, other: Summary) -> None:
        self.count += other.count
        self.wrong |= other.wrong
        self.cells += other.cells
        self.events += other.events
        self.requests += other.requests
        self.rounds += other.rounds
        self.slowest = max(self.slowest, other.slowest)

    @property
    def missed(self) -> list[Cell]:
        """The cells that no fault has hit."""
        return [cell for cell in CELLS if not self.cells[cell]]

    def report(self, most: int = 20) -> str:
        """Return which seeds are wrong, why, and the command that reproduces each."""
        lines = [f"{self.count} schedules, {len(self.wrong)} wrong"]
        for seed, words in sorted(self.wrong.items())[:most]:
            lines.append(f"  python -m tests.simulation --seed {seed}    # {words[0]}")
        return "\n".join(lines)


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed; directed schedules have negative seeds."""
    return draw(seed) if seed >= 0 else direct(-1 - seed)


def run_many(seeds: Iterable[int], *, guard: float | None = None, enough: int = 0) -> Summary:
    """Run seeds one after another.

    `guard` is the most real seconds for one seed. It stops after `enough` wrong seeds; 0 means
    never.
    """
    summary = Summary()
    for number, seed in enumerate(seeds):
        started = time.perf_counter()
        schedule = schedule_of(seed)
        with _guarded(guard):
            try:
                outcome = run(schedule)
            except _StuckError:
                outcome = Outcome(schedule, wrong=[f"hung: more than {guard} real seconds"])
        summary.add(outcome, time.perf_counter() - started)
        if enough and len(summary.wrong) >= enough:
            break
        if number % 50 == 49:
            gc.collect()
    return summary


class _StuckError(KeyboardInterrupt):
    """A KeyboardInterrupt, since only that propagates through everything the loop runs."""


@contextlib.contextmanager
def _guarded(seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return

    def stuck(_signal: int, _frame: FrameType | None) -> None:
        raise _StuckError

    before = signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _work(seeds: Sequence[int]) -> Summary:
    return run_many(seeds, guard=10.0)


def run_in_processes(seeds: Sequence[int], jobs: int) -> Iterator[Summary]:
    """Run many seeds in worker processes, and yield the sums of each chunk."""
    chunks = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(_work, chunks)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_work, chunks)
