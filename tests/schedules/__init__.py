"""The seeded proof: any campaign under any fault, dialect, cancellation and kill.

`draw(seed)` makes up a schedule, `run(schedule)` plays it and judges it: receipts by the
simulator's ledger alone (`judge`), requests by the rules of the protocol (`wire`). What may
happen is `matrix`, when it does is `weather`, how a process ends is `life`.
"""

from .draw import End, Schedule, directed, draw, line
from .many import Summary, run_in_processes, run_many, schedule_of
from .matrix import CELLS
from .run import run

__all__ = [
    "CELLS",
    "End",
    "Schedule",
    "Summary",
    "directed",
    "draw",
    "line",
    "run",
    "run_in_processes",
    "run_many",
    "schedule_of",
]
