"""`import gateway_sms_async` compared with `import aiohttp`, each in fresh processes.

Both load bytecode, as after an installation. The warm-up writes it to a temporary folder, even if
the environment disables writing bytecode.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import partial

from ._figures import Figure, Result, Size, ratio, spreads
from ._measure import ROOT, take_turns

_LEAST_RUNS = {"tiny": 1, "small": 15, "full": 31}
_MEASURE = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {module}
print([time.process_time() - cpu, time.perf_counter() - wall])
"""


def _imported(module: str, walls: list[float], environment: dict[str, str]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(module=module)],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    cpu, wall = json.loads(done.stdout)
    walls.append(wall * 1e3)
    return float(cpu * 1e3)


def run(size: Size, runs: int) -> Result:
    walls: dict[str, list[float]] = {"gateway_sms_async": [], "aiohttp": []}
    runs = max(runs, _LEAST_RUNS[size])
    with tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        taken = take_turns(
            runs,
            {name: partial(_imported, name, kept, environment) for name, kept in walls.items()},
        )
    walls = {name: kept[-runs:] for name, kept in walls.items()}
    value = ratio(taken["gateway_sms_async"], taken["aiohttp"])
    figure = Figure("CPU of `import gateway_sms_async` beside `import aiohttp`", value, "x", 1.25)
    return Result([figure], {"ms CPU": spreads(taken), "ms wall": spreads(walls)})
