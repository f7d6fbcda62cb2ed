"""Time and peak memory of checking a list before it is sent.

Each run is `gateway-sms check` on a CSV file with numbers and names, in its own process: with a
text that uses the name and one that does not, uncompressed and compressed. The time of the same
command on a list of one row is subtracted.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ._figures import Figure, Result, Size, spread
from ._measure import ROOT

_ROWS = {"tiny": 200, "small": 100_000, "full": 1_000_000}
_WITH_FIELDS = "Ciao {{name}}, ci vediamo venerdì alle 18 in via Roma"
_PLAIN = "Ciao, ci vediamo venerdì alle 18 in via Roma"
_MEASURE = """
import sys
from benchmarks._measure import peak_mb
from gateway_sms_async._cli.main import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(peak_mb(), file=sys.stderr)
"""


def write_list(path: Path, rows: int) -> None:
    """Write a list with a duplicate in each hundred rows and an invalid number in each thousand."""
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
        [*command, "--body", body, "--json"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    seconds = time.perf_counter() - began
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["total"] == found["recipients"] + found["duplicates"] + (found["invalid"]["count"])
    return seconds, float(done.stderr.splitlines()[-1])


def run(size: Size, runs: int) -> Result:
    rows = _ROWS[size]
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        one, plain, packed = (
            Path(folder) / name for name in ("one.csv", "many.csv", "many.csv.gz")
        )
        write_list(one, 1)
        write_list(plain, rows)
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        for name, path, body in (
            ("with a field", plain, _WITH_FIELDS),
            ("without fields", plain, _PLAIN),
            ("with a field, gzip", packed, _WITH_FIELDS),
        ):
            start, least = check(one, body)
            taken = [check(path, body) for _ in range(runs)]
            seconds = [took - start for took, _ in taken]
            what = f"`gateway-sms check`, {rows:,} rows {name}"
            result.figures += [
                Figure(f"{what}: a row", spread(one / rows * 1e6 for one in seconds), "µs"),
                Figure(f"{what}: beyond one row", spread(mb - least for _, mb in taken), "MB"),
            ]
    return result
