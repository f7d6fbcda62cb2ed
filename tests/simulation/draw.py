"""Draws a schedule from a seed, or takes the one that hits a cell of the matrix."""

from __future__ import annotations

import dataclasses
from random import Random
from typing import Any

from .common import draw_common, pick
from .matrix import CELLS
from .plan import Pin, Schedule, line
from .special import SPECIAL

SHARDS_FROM = 60_000_000
"""The first seed whose campaign may be in shards: schedules that are known by their seed stay."""


def draw(seed: int) -> Schedule:
    """Draw the schedule of a seed; always the same one."""
    schedule = draw_common(seed)
    rng = Random(f"more of {seed}")
    special = pick(rng, SPECIAL)
    if special is not None:
        schedule = special(rng, schedule)
    if schedule.asynchronous and rng.random() < 0.2:
        stubborn, pace = rng.choice(("once", "always")), rng.choice((0.01, 1.0, 20.0))
        schedule = dataclasses.replace(schedule, stubborn=stubborn, pace=pace)
    if seed >= SHARDS_FROM and schedule.journal:
        shards = pick(Random(f"shards of {seed}"), {1: 3, 2: 1, 3: 1, 5: 1})
        schedule = dataclasses.replace(schedule, shards=shards)
    return schedule


def directed() -> list[Schedule]:
    """Return one schedule for each cell of the matrix; each is certain to hit its cell."""
    return [direct(index) for index in range(len(CELLS))]


def direct(index: int) -> Schedule:
    """Return the schedule that is certain to hit one cell; its seed is negative."""
    cell = CELLS[index]
    operation, kind, side = cell
    pins = [Pin(operation, 0, kind, side)]
    options: dict[str, Any] = {"source": line(7), "batch_size": 2, "mode": "verify"}
    if operation in {"send", "list", "delete"}:
        # One recipient and no empty close: the message is deleted, and a single send replaces it.
        options = {"source": line(1), "dialect": (("empty_close", False),)}
    if operation == "recipient":
        # It seems that the list leaves out the invalid recipients, which the answers do not name.
        options |= {
            "unroutable": tuple(item.number for item in line(2)),
            "dialect": (("invalid_named", 0),),
        }
    if operation == "list":
        pins.insert(0, Pin("send", 0, "reset", "after"))
    if kind == "copy held":
        options |= {"journal": True, "processes": (None, None)}
    if kind == "mixed up":
        # Another message must come before.
        options |= {"concurrency": 1, "recipients_per_message": 5, "source": line(24)}
        if operation == "send":
            options |= {"source": line(2), "recipients_per_message": 1}
        pins = [Pin(operation, later, kind, side) for later in range(1, 9)]
    return Schedule(seed=-1 - index, cell=cell, pins=tuple(pins), **options)
