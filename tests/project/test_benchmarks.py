"""The benches run end to end, and their JSON has the shape that `python -m benchmarks` documents.

At the tiny size, where no figure means anything: none is looked at.
"""

import json
import subprocess
import sys

import pytest

from ..support.paths import ROOT

pytest.importorskip("httpx", reason="the benches need the extra `dev`")

NAMES = [
    "send",
    "bulk",
    "fields",
    "journal",
    "wall",
    "decode",
    "limiter",
    "shared",
    "postgres",
    "workers",
    "shards",
    "memory",
    "import",
    "together",
    "uvloop",
    "numbers",
    "check",
    "callbacks",
    "million",
    "delivery",
    "grow",
]


def benchmarks(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    ).stdout


def python(program: str) -> str:
    # The benches are no part of what is installed: they are found from the checkout alone.
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
    ).stdout


def test_the_list_names_every_bench_with_a_line() -> None:
    lines = benchmarks("--list").splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_a_bench_runs_and_its_json_is_as_documented(name: str) -> None:
    found = json.loads(benchmarks(name, "--json", "--size", "tiny", "--runs", "1"))
    assert {"date", "python", "machine", "system", "cores", "packages"} < found.keys()
    assert (found["size"], found["runs"]) == ("tiny", 1)
    [bench] = found["benches"].values()
    assert bench.keys() == {"figures", "details", "remarks"}
    assert bench["figures"] or bench["remarks"] or bench["details"]
    for figure in bench["figures"]:
        assert figure.keys() == {"what", "value", "unit", "goal", "met"}
        assert len(figure["value"]) == 3
        assert sorted(figure["value"]) == figure["value"]
        assert (figure["goal"] is None) == (figure["met"] is None)


def test_a_goal_is_a_bound_on_the_median() -> None:
    program = """
from benchmarks._figures import Figure, ratio, spread, table
assert ratio([1, 4, 9], [1, 2, 3]) == (1, 2, 3)
value = spread([3, 1, 2])
assert value == (1, 2, 3)
assert Figure("a", value, "x").met is None
assert Figure("a", value, "x", 2).met and not Figure("a", value, "x", 1.9).met
assert Figure("a", value, "x", 2, least=True).met
assert not Figure("a", value, "x", 2.1, least=True).met
print(table([Figure("a", value, "x", 2).to_dict(), Figure("b", value, "MB").to_dict()]))
"""
    assert python(program).splitlines()[2:] == [
        "| a | 2.00 x (1.00 to 3.00) | ≤ 2 x | yes |",
        "| b | 2.00 MB (1.00 to 3.00) |  |  |",
    ]


def test_the_fullest_window_is_found_among_all() -> None:
    program = """
from random import Random
from benchmarks.bench_limiter import excess
chance = Random(1)
for _ in range(200):
    times = sorted(chance.uniform(0, 3) for _ in range(chance.randint(2, 12)))
    rate, burst = chance.choice([1, 2, 5]), chance.choice([1, 3])
    windows = [(i, j) for i in range(len(times)) for j in range(i, len(times))]
    most = max(j - i + 1 - rate * (times[j] - times[i]) - burst for i, j in windows)
    assert abs(excess(times, rate, burst) - most) < 1e-9
"""
    python(program)
