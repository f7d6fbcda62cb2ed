"""Stands for what runs a recipe: Lambda, a notebook's kernel, or the clock of a scheduler.

lambda        calls the handler with the event in each line of stdin; writes what it answers
notebook N    runs all cells of the notebook N times, as Jupyter's kernel does
scheduler     runs the scheduled campaign every tenth of a second, always on one day
"""

import asyncio
import datetime as dt
import json
import os
import sys
from pathlib import Path
from typing import Self

EXAMPLES = Path(__file__).parents[3] / "examples"


class Context:
    """Lambda's own has more."""

    def get_remaining_time_in_millis(self) -> int:
        return 20_000


def run_lambda() -> None:
    from lambda_handler import handler

    for line in sys.stdin:
        try:
            answer: object = handler(json.loads(line), Context())
        except Exception as error:
            answer = type(error).__name__
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    os._exit(0)  # as Lambda ends an instance: no code of the function runs


async def run_notebook(times: int) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    notebook = json.loads((EXAMPLES / "campaign.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"] * times:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            ran = await shell.run_cell_async(source, transformed_cell=shell.transform_cell(source))
            ran.raise_error()


class Morning(dt.datetime):
    """A clock that stands still, so that the day does not end during the test."""

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        return cls(2026, 12, 1, 9, tzinfo=tz)


async def run_scheduler() -> None:
    from apscheduler.triggers.interval import IntervalTrigger

    import scheduled_campaign

    scheduled_campaign.datetime = Morning  # type: ignore[attr-defined]
    await scheduled_campaign.main(IntervalTrigger(seconds=0.1))


if __name__ == "__main__":
    sys.path.insert(0, str(EXAMPLES))
    match sys.argv[1]:
        case "lambda":
            run_lambda()
        case "notebook":
            asyncio.run(run_notebook(int(sys.argv[2])))
        case "scheduler":
            asyncio.run(run_scheduler())
