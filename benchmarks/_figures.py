"""The results of a bench: figures, some with a goal, and further details; and how they are shown.

Every bench returns a `Result`; only the command line prints.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, NamedTuple

Size = Literal["tiny", "small", "full"]
"""`tiny` only shows that a bench runs; `small` takes seconds; the goals are for `full`."""

_PACKAGES = ("gateway-sms-async", "aiohttp", "msgspec", "httpx", "orjson", "uvloop", "phonenumbers")


class Spread(NamedTuple):
    """The smallest, the median and the largest of several runs."""

    low: float
    median: float
    high: float


def spread(values: Iterable[float]) -> Spread:
    """Return the spread of several runs."""
    known = sorted(values)
    return Spread(known[0], statistics.median(known), known[-1])


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Compare run by run, so that a slowdown of both candidates cancels out."""
    return spread(our / their for our, their in zip(ours, theirs, strict=True))


@dataclass(frozen=True)
class Figure:
    """One row of the table. `goal` is the maximum for the median, or the minimum with `least`."""

    what: str
    value: Spread
    unit: str
    goal: float | None = None
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, None if there is no goal."""
        if self.goal is None:
            return None
        return self.value.median >= self.goal if self.least else self.value.median <= self.goal

    @property
    def goal_text(self) -> str:
        """The goal as shown in the table."""
        if self.goal is None:
            return ""
        return f"{'≥' if self.least else '≤'} {self.goal:g} {self.unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the figure for JSON."""
        return {
            "what": self.what,
            "value": [round(one, 4) for one in self.value],
            "unit": self.unit,
            "goal": self.goal_text or None,
            "met": self.met,
        }


@dataclass
class Result:
    """The result of one bench. `text` is printed as it is; `details` go into the JSON."""

    figures: list[Figure] = field(default_factory=list[Figure])
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    remarks: list[str] = field(default_factory=list[str])
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the result for JSON."""
        return {
            "figures": [figure.to_dict() for figure in self.figures],
            "details": self.details,
            "remarks": self.remarks,
        }


def environment() -> dict[str, Any]:
    """Return where and when it was measured, and the versions of the packages."""
    versions: dict[str, str] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "packages": versions,
    }


def table(figures: Iterable[Mapping[str, Any]]) -> str:
    """Return figures, in their JSON form, as a Markdown table."""
    lines = [
        "| what is measured | figure (smallest to largest) | goal | met |",
        "|---|---|---|---|",
    ]
    for figure in figures:
        low, median, high = map(_number, figure["value"])
        met = {True: "yes", False: "**no**", None: ""}[figure["met"]]
        shown = f"{median} {figure['unit']} ({low} to {high})"
        lines.append(f"| {figure['what']} | {shown} | {figure['goal'] or ''} | {met} |")
    return "\n".join(lines)


def spreads(taken: Mapping[str, Sequence[float]], *, digits: int = 3) -> dict[str, list[float]]:
    """Return the spread of each candidate for the details: [min, median, max]."""
    return {name: [round(one, digits) for one in spread(all_)] for name, all_ in taken.items()}


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 20:
        return f"{value:.1f}"
    # Adding zero turns a negative zero into zero.
    return f"{round(value, 2) + 0.0:.2f}"
