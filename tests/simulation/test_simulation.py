"""The proof in small: seeded campaigns under faults, dialects, cancellation and kills.

The whole of it is `python -m tests.simulation`; here are a thousand seeds of it, one schedule for
each cell of the matrix, and tests that the proof itself is worth something.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support.mutations import PLANTS, Plant, schedules_until_found
from ..support.paths import ROOT
from .many import run_many
from .matrix import CELLS
from .plan import Schedule, directed, draw
from .regressions import FOUND
from .run import run

pytestmark = [pytest.mark.proof, pytest.mark.timeout(120)]

SEEDS = 1_000
CHUNKS = 10


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_any_campaign_tells_the_truth(chunk: int) -> None:
    summary = run_many(range(chunk, SEEDS, CHUNKS))
    assert not summary.wrong, summary.report()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_cell_of_the_matrix(chunk: int) -> None:
    schedules = directed()
    assert [schedule.cell for schedule in schedules] == list(CELLS)
    wrong: list[str] = []
    for schedule in schedules[chunk::CHUNKS]:
        outcome = run(schedule)
        if schedule.cell not in outcome.cells:
            wrong.append(f"{schedule.seed}: {schedule.cell} was not hit")
        wrong += [f"--seed {schedule.seed}: {words}" for words in outcome.wrong]
    assert not wrong, "\n".join(wrong)


def test_the_same_seed_is_the_same_run() -> None:
    for seed in range(25):
        first, second = run(draw(seed)), run(draw(seed))
        assert first.trace == second.trace, f"--seed {seed}"
        assert first.digest() == second.digest(), f"--seed {seed}"


def test_the_same_seed_is_the_same_run_in_another_process() -> None:
    told = {fingerprints("1"), fingerprints("2")}
    assert len(told) == 1


def fingerprints(hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--fingerprints", "--count", "25"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 25
    return done.stdout


@pytest.mark.parametrize("schedule", FOUND.values(), ids=FOUND)
def test_what_was_wrong_once(schedule: Schedule) -> None:
    outcome = run(schedule)
    assert not outcome.wrong, "\n".join([*map(str, outcome.trace), *outcome.wrong])


# --- it bites ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # broken code leaves what it likes behind
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    assert schedules_until_found(plant) is not None
