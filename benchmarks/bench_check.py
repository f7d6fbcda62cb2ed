"""What it costs to look at a list before it is sent: rows a second, and memory at its peak.

    python -m benchmarks.bench_check [--rows N] [--runs N] [--json]

Each run is `gateway-sms check` on a CSV of that many rows with a name each, in a process of its own,
with a text that uses the name and one that does not, plain and packed. The time of the same command
on a list of one row is taken off.
"""

import argparse
import gzip
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_WITH_FIELDS = "Ciao {{name}}, ci vediamo venerdì alle 18 in via Roma"
_PLAIN = "Ciao, ci vediamo venerdì alle 18 in via Roma"
_MEASURE = """
import resource, sys
from gateway_sms_async.cli import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def write_list(path: Path, rows: int) -> None:
    """Write a list with a duplicate in a hundred rows and a wrong number in a thousand."""
    with path.open("w", encoding="utf-8") as file:
        file.write("name,number,city\n")
        for n in range(rows):
            number = "nobody" if n % 1_000 == 7 else f"+39 340 {n - (n % 100 == 99):07}"
            file.write(f"customer {n},{number},Roma\n")


def check(path: Path, body: str) -> tuple[float, float]:
    """Return (seconds, peak memory in MB) of one run."""
    command = [sys.executable, "-c", _MEASURE, "check", str(path), "--sender", "ACME"]
    began = time.perf_counter()
    done = subprocess.run(
        [*command, "--body", body, "--json"], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    looked_at: dict[str, Any] = json.loads(done.stdout)
    assert (
        looked_at["total"]
        == looked_at["recipients"] + looked_at["duplicates"] + (looked_at["invalid"]["count"])
    )
    return seconds, int(done.stderr.splitlines()[-1]) / 1024


def main() -> None:
    """Run the bench and print what it found."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, plain, packed = (
            Path(folder) / name for name in ("one.csv", "many.csv", "many.csv.gz")
        )
        write_list(one, 1)
        write_list(plain, chosen.rows)
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        found: dict[str, Any] = {}
        for name, path, body in (
            ("with a field", plain, _WITH_FIELDS),
            ("without fields", plain, _PLAIN),
            ("with a field, gzip", packed, _WITH_FIELDS),
        ):
            start, small = check(one, body)
            runs = [check(path, body) for _ in range(chosen.runs)]
            seconds = statistics.median(seconds for seconds, _ in runs) - start
            found[name] = {
                "rows a second": round(chosen.rows / seconds),
                "seconds": round(seconds, 2),
                "peak MB": round(max(peak for _, peak in runs)),
                "peak MB of one row": round(small),
            }
    if chosen.json:
        print(json.dumps(found, indent=2))
        return
    for name, figures in found.items():
        print(name, *(f"{value:,} {unit}" for unit, value in figures.items()), sep="  ")


if __name__ == "__main__":
    main()
