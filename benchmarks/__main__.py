"""The way in: `python -m benchmarks NAME`, `--list`, or `summary` for docs/performance.md.

With `--json`, one object: `date`, `python`, `machine`, `system`, `cores`, `packages` (versions),
`size`, `runs`, and `benches`: by name `figures`, a list of `{what, value: [min, median, max], unit,
goal, met}` (`goal` and `met` null where there is no goal), `details` and `remarks`.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, get_args

from ._figures import Result, Size, environment, table
from ._measure import ROOT


class Bench(NamedTuple):
    """Where a bench is, how often it runs unless told, and what it is about."""

    module: str
    runs: int
    line: str
    function: str = "run"


BENCHES = {
    "send": Bench("bench_send", 7, "CPU of one send, beside the floor, httpx and the vendor's SDK"),
    "bulk": Bench("bench_bulk", 5, "CPU of a recipient in bulk, beside the floor and httpx"),
    "fields": Bench("bench_bulk", 5, "the same for recipients with fields", "run_fields"),
    "journal": Bench("bench_journal", 3, "what a journal adds to a recipient, and under a rate"),
    "wall": Bench("bench_wall", 3, "time of a campaign beside the ideal, 50 ms round trip"),
    "decode": Bench("bench_decode", 9, "reports to typed objects beside orjson to dicts"),
    "limiter": Bench("bench_limiter", 3, "the rate reached, what any window holds, a free pass"),
    "memory": Bench("bench_memory", 3, "peak memory by recipients, and the check for duplicates"),
    "import": Bench("bench_import", 15, "importing the package beside importing aiohttp"),
    "together": Bench("bench_together", 3, "how long a send waits while a campaign runs"),
    "uvloop": Bench("bench_uvloop", 5, "CPU of a send and of a recipient under uvloop"),
    "numbers": Bench("bench_numbers", 9, "reading a number, form by form, beside phonenumbers"),
    "check": Bench("bench_check", 3, "what it costs to look at a list before it is sent"),
    "callbacks": Bench(
        "bench_callbacks", 5, "callbacks read, and handled a second by each handler"
    ),
    "million": Bench("bench_million", 3, "a campaign to the real simulator"),
    "delivery": Bench("bench_delivery", 1, "what it takes to follow deliveries for an hour"),
    "grow": Bench("bench_grow", 1, "time, CPU and memory by recipients, batch, requests in flight"),
}
_NOT_IN_SUMMARY = {"numbers", "check", "callbacks", "grow"}
_SUMMARY = "summary"


def run(name: str, size: Size, runs: int | None) -> Result:
    """Run one bench here."""
    bench = BENCHES[name]
    module = importlib.import_module(f".{bench.module}", __package__)
    found: Result = getattr(module, bench.function)(size, bench.runs if runs is None else runs)
    return found


def document(benches: dict[str, Any], size: Size, runs: int | None) -> dict[str, Any]:
    """Return the JSON of these benches."""
    return environment() | {"size": size, "runs": runs, "benches": benches}


def _in_its_own_process(name: str, size: Size, runs: int | None) -> dict[str, Any]:
    """Run one bench where no other has left anything; one that fails leaves a remark."""
    command = [sys.executable, "-m", "benchmarks", name, "--json", "--size", size]
    if runs is not None:
        command += ["--runs", str(runs)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
    if done.returncode:
        remark = f"failed with exit code {done.returncode}"
        return Result(remarks=[remark]).to_dict()
    found: dict[str, Any] = json.loads(done.stdout)["benches"][name]
    return found


def summary(size: Size, runs: int | None, out: Path) -> None:
    """Run all rows of the table, print it, and keep everything in `out`."""
    benches: dict[str, Any] = {}
    for name in BENCHES:
        if name not in _NOT_IN_SUMMARY:
            print(name, file=sys.stderr, flush=True)
            benches[name] = _in_its_own_process(name, size, runs)
    out.write_text(json.dumps(document(benches, size, runs), indent=2) + "\n", encoding="utf-8")
    print(table(figure for bench in benches.values() for figure in bench["figures"]))
    for name, bench in benches.items():
        for remark in bench["remarks"]:
            print(f"\n{name}: {remark}")


def _show(result: Result) -> None:
    if result.figures:
        print(table(figure.to_dict() for figure in result.figures))
    if result.text:
        print(result.text)
    elif result.details:
        print(json.dumps(result.details, indent=2))
    for remark in result.remarks:
        print(remark)


def main() -> int:
    """Read the command line, and do what it says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*BENCHES, _SUMMARY])
    parser.add_argument("--list", action="store_true", help="name the benches")
    parser.add_argument("--json", action="store_true", help="print JSON alone")
    parser.add_argument("--runs", type=int, help="turns of each candidate after the warm-up")
    parser.add_argument("--size", choices=get_args(Size), default="small")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results.json")
    chosen = parser.parse_args()
    if chosen.runs is not None and chosen.runs < 1:
        parser.error("--runs is at least 1")
    if chosen.list:
        for name, bench in BENCHES.items():
            print(f"{name:10}{bench.line}")
    elif chosen.name is None:
        parser.error("name a bench, or --list")
    elif chosen.name == _SUMMARY:
        summary(chosen.size, chosen.runs, chosen.out)
    else:
        result = run(chosen.name, chosen.size, chosen.runs)
        if chosen.json:
            found = document({chosen.name: result.to_dict()}, chosen.size, chosen.runs)
            print(json.dumps(found, indent=2))
        else:
            _show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
