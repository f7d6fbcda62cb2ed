"""The command line: `python -m benchmarks NAME`, `--list`, or `summary` for docs/performance.md.

With `--json` it prints one object: `date`, `python`, `machine`, `system`, `cores`, `packages`
(versions), `size`, `runs` and `benches`. Each bench has `figures`, a list of `{what, value: [min,
median, max], unit, goal, met}` (`goal` and `met` are null if there is no goal), `details` and
`remarks`.
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
    """The module of a bench, its default number of runs, and its line in `--list`."""

    module: str
    runs: int
    line: str
    function: str = "run"


BENCHES = {
    "send": Bench(
        "bench_send", 7, "CPU of one send, compared with the floor, httpx and the vendor's SDK"
    ),
    "bulk": Bench("bench_bulk", 5, "CPU of a recipient in bulk, compared with the floor and httpx"),
    "fields": Bench("bench_bulk", 5, "the same for recipients with fields", "run_fields"),
    "journal": Bench(
        "bench_journal", 3, "what a journal adds to a recipient, and to the time under a rate"
    ),
    "wall": Bench("bench_wall", 3, "time of a campaign, compared with the ideal, 50 ms round trip"),
    "decode": Bench("bench_decode", 9, "reports to typed objects, compared with orjson to dicts"),
    "limiter": Bench(
        "bench_limiter",
        3,
        "the rate reached, the fullest window, CPU of an acquisition without a wait",
    ),
    "shared": Bench(
        "bench_shared", 3, "one rate for several processes: its use, its excess, and codes' waits"
    ),
    "postgres": Bench("bench_postgres", 3, "journals in PostgreSQL, compared with files"),
    "workers": Bench("bench_workers", 1, "a campaign in a database, sent by three workers"),
    "shards": Bench("bench_shards", 3, "a campaign in shards, compared with one journal"),
    "memory": Bench(
        "bench_memory", 3, "peak memory by recipients, and of the check for duplicates"
    ),
    "import": Bench("bench_import", 15, "importing the package, compared with importing aiohttp"),
    "together": Bench("bench_together", 3, "how long a send waits while a campaign runs"),
    "uvloop": Bench("bench_uvloop", 5, "CPU of a send and of a recipient under uvloop"),
    "numbers": Bench(
        "bench_numbers", 9, "reading a number, by its form, compared with phonenumbers"
    ),
    "check": Bench("bench_check", 3, "CPU and memory of checking a list before it is sent"),
    "callbacks": Bench(
        "bench_callbacks", 5, "CPU of parsing a callback, and callbacks a second of each handler"
    ),
    "million": Bench("bench_million", 3, "a campaign to the simulator"),
    "delivery": Bench(
        "bench_delivery", 1, "requests, bytes and memory of polling deliveries for an hour"
    ),
    "grow": Bench("bench_grow", 1, "time, CPU and memory by recipients, batch, requests in flight"),
}
_NOT_IN_SUMMARY = {
    "shared",
    "shards",
    "postgres",
    "workers",
    "numbers",
    "check",
    "callbacks",
    "grow",
}
_SUMMARY = "summary"


def run(name: str, size: Size, runs: int | None) -> Result:
    """Run one bench in this process."""
    bench = BENCHES[name]
    module = importlib.import_module(f".{bench.module}", __package__)
    found: Result = getattr(module, bench.function)(size, bench.runs if runs is None else runs)
    return found


def document(benches: dict[str, Any], size: Size, runs: int | None) -> dict[str, Any]:
    """Return the JSON of these benches."""
    return environment() | {"size": size, "runs": runs, "benches": benches}


def _in_its_own_process(name: str, size: Size, runs: int | None) -> dict[str, Any]:
    """Run one bench in a fresh process; a failure becomes a remark."""
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
    """Run all benches of the table, print the table, and write everything to `out`."""
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
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", choices=[*BENCHES, _SUMMARY])
    parser.add_argument("--list", action="store_true", help="list the benches")
    parser.add_argument("--json", action="store_true", help="print only JSON")
    parser.add_argument("--runs", type=int, help="runs of each candidate after the warm-up")
    parser.add_argument("--size", choices=get_args(Size), default="small")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results.json")
    chosen = parser.parse_args()
    if chosen.runs is not None and chosen.runs < 1:
        parser.error("--runs must be at least 1")
    if chosen.list:
        for name, bench in BENCHES.items():
            print(f"{name:10}{bench.line}")
    elif chosen.name is None:
        parser.error("name a bench, or use --list")
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
