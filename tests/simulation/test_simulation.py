"""A small run of the proof: seeded campaigns under faults, dialects, cancellation and kills.

`python -m tests.simulation` runs any number of seeds. Here are a thousand, one schedule for each
cell of the matrix, and tests that the proof finds planted bugs.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ..support.mutations import PLANTS, Plant, finding_of_known, first_finding
from ..support.paths import ROOT
from .draw import directed, draw
from .many import run_many
from .matrix import CELLS
from .plan import Schedule
from .regressions import FOUND
from .run import run

pytestmark = [pytest.mark.proof, pytest.mark.timeout(120)]

SEEDS = 1_000
CHUNKS = 10


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_receipt_is_true(chunk: int) -> None:
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
    found = {fingerprints("1"), fingerprints("2")}
    assert len(found) == 1


def fingerprints(hash_seed: str) -> str:
    command = [sys.executable, "-m", "tests.simulation", "--fingerprints", "--count", "25"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.count("\n") == 25
    return done.stdout


@pytest.mark.parametrize("schedule", FOUND.values(), ids=FOUND)
def test_regressions(schedule: Schedule) -> None:
    outcome = run(schedule)
    assert not outcome.wrong, "\n".join([*map(str, outcome.trace), *outcome.wrong])


# --- the proof finds bugs ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # broken code leaves tasks and sockets behind
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Plant) -> None:
    assert finding_of_known(plant) or first_finding(plant)
