"""Runs many schedules, in one process or in several, and adds up what they came to."""

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

from .matrix import CELLS, Cell
from .plan import Schedule, direct, draw
from .run import Outcome, run

_CHUNK = 100


@dataclass
class Summary:
    """What many runs came to; adds up."""

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
        """The cells that nothing has struck."""
        return [cell for cell in CELLS if not self.cells[cell]]

    def report(self, most: int = 20) -> str:
        """Say which seeds are wrong, why, and how to see it again."""
        lines = [f"{self.count} schedules, {len(self.wrong)} wrong"]
        for seed, words in sorted(self.wrong.items())[:most]:
            lines.append(f"  python -m tests.simulation --seed {seed}    # {words[0]}")
        return "\n".join(lines)


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed; the directed ones have negative seeds."""
    return draw(seed) if seed >= 0 else direct(-1 - seed)


def run_many(seeds: Iterable[int], *, guard: float | None = None, enough: int = 0) -> Summary:
    """Run seeds one after another.

    `guard` is the real seconds that one may take; after `enough` wrong ones it ends, 0 for never.
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
    """Passes through whatever the loop runs, as only this kind does."""


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
    """Run many seeds in worker processes, and yield what each piece of them came to."""
    pieces = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(_work, pieces)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_work, pieces)
