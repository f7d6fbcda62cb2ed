"""Draws schedules that meet what a campaign rarely meets by itself."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any

from .common import draw_interruption, pick
from .plan import (
    BLIND_FOR,
    LIFTED,
    Ceiling,
    Interruption,
    Outsider,
    Pin,
    Schedule,
    SingleSend,
    line,
)


def _draw_pages(rng: Random, schedule: Schedule) -> Schedule:
    """Draw lists of overlapping pages, which every message needs."""
    dialect = [knob for knob in schedule.dialect if not knob[0].startswith("list_")]
    return dataclasses.replace(
        schedule,
        mode=pick(rng, {"verify": 3, "plain": 1}),
        dialect=(*dialect, ("list_pages", rng.choice((2, 3, 5)))),
    )


def _draw_closed_elsewhere(rng: Random, schedule: Schedule) -> Schedule:
    """Draw messages side by side that others close, while a request about one of them hangs."""
    size = rng.randint(1, 3)
    which = rng.choice(("append", "append", "get", "recipients", "close"))
    hangs = Pin(
        which, rng.randrange(4), rng.choice(("hang", "drip")), rng.choice(("before", "after"))
    )
    pins = [Pin("append", later, "closed by others", "before") for later in range(1, 8)]
    return dataclasses.replace(
        schedule,
        source=line(rng.randint(12, 40)),
        unroutable=(),
        body="Ciao",
        batch_size=size,
        recipients_per_message=size * rng.randint(3, 5),
        concurrency=rng.randint(2, 4),
        mode=pick(rng, {"plain": 3, "verify": 1}),
        dialect=(),
        share=0.0,
        delay=rng.choice((0.0, 0.5)),
        timeout=30.0,
        # Once: a message may be closed after the last look at it, and no client could know.
        pins=(hangs, rng.choice(pins)),
        processes=(None,),
    )


def _draw_outsider(rng: Random, schedule: Schedule) -> Schedule:
    """Draw that others close all messages, and that only a call of the user's shows it."""
    size = rng.randint(1, 3)
    which = rng.choice(("append", "get", "recipients", "open"))
    hangs = Pin(which, rng.randrange(4), "hang", rng.choice(("before", "after")))
    at = round(rng.uniform(0.0, 3.0), 3)
    how = pick(rng, {"stop": 6, "cancel": 2})
    ends: list[Interruption | None] = [None]
    if rng.random() < 0.8:
        end = round(max(0.0, at + rng.uniform(-0.5, 4.0)), 3)
        ends = [Interruption(how=how, at="time", when=end)]
    journal = rng.random() < 0.7
    resumes = journal and rng.random() < 0.3
    if resumes:
        first = Interruption(how="stop", at="time", when=round(rng.uniform(0.0, 3.0), 3))
        ends.insert(0, first)
        at = rng.choice((0.0, at))
    return dataclasses.replace(
        schedule,
        source=line(rng.randint(4, 30)),
        unroutable=(),
        body="Ciao",
        journal=journal,
        batch_size=size,
        recipients_per_message=size * rng.randint(2, 5),
        concurrency=rng.randint(1, 4),
        rate=rng.choice((1, 2, 5, None)),
        mode=pick(rng, {"plain": 3, "verify": 1}),
        dialect=(),
        share=0.0,
        delay=rng.choice((0.0, 0.5, 2.0)),
        timeout=30.0,
        ceiling=None,
        raised=None,
        pins=(hangs,) if rng.random() < 0.6 else (),
        outsider=Outsider(
            at, round(rng.uniform(0.0, 2.0), 3), rng.randrange(4), process=int(resumes)
        ),
        processes=tuple(ends),
    )


def _draw_held_copies(rng: Random, schedule: Schedule) -> Schedule:
    """Draw refused closes of which a copy arrives later, between two processes or in the next one."""
    pins = [
        Pin("close", index, "copy held", rng.choice(("before", "after")))
        for index in rng.sample(range(3), rng.randint(1, 2))
    ]
    ends = [draw_interruption(rng, journal=True, may_be_none=0.7) for _ in range(rng.randint(1, 2))]
    return dataclasses.replace(
        schedule, journal=True, ceiling=None, pins=tuple(pins), processes=tuple(ends)
    )


def _draw_anonymous(rng: Random, schedule: Schedule) -> Schedule:
    """Draw opens side by side whose answers name nothing that tells one from another."""
    size = rng.randint(1, 3)
    dialect: list[tuple[str, Any]] = [("custom_returned", False)]
    if rng.random() < 0.2:
        dialect.append(("list_while_open", False))
    slow = rng.choice(("drip", "drip", "hang", "late"))
    pins = [
        Pin("open", 0, slow, "before" if slow == "late" else "after"),
        Pin("open", rng.choice((1, 1, 2, 3)), "mixed up", "after"),
    ]
    if rng.random() < 0.8:
        # It ends before it has closed anything, so that a resume has to decide.
        kind = rng.choice(("403", "401"))
        pins += (Pin("get", look, kind, "before") for look in range(BLIND_FOR))
    return dataclasses.replace(
        schedule,
        source=line(rng.randint(8, 30)),
        unroutable=(),
        body="Ciao",
        batch_size=size,
        recipients_per_message=size * rng.randint(2, 4),
        concurrency=rng.randint(3, 4),
        mode=pick(rng, {"plain": 3, "careful": 2, "verify": 1}),
        dialect=tuple(dialect),
        # One open after the other, so that the next batch names the message before another opens.
        rate=10.0,
        timeout=30.0,
        delay=rng.choice((0.0, 0.1, 1.0)),
        journal=True,
        share=0.0,
        pins=tuple(pins),
        processes=(draw_interruption(rng, journal=True, may_be_none=0.7), None),
    )


def _draw_raise(rng: Random, schedule: Schedule) -> Schedule:
    """Draw an exception right after the answer to a close, and what follows."""
    error = Interruption(
        how="raise", at="close answer", when=rng.randint(1, 3), error=rng.choice(("memory", "base"))
    )
    return dataclasses.replace(schedule, processes=(error, *schedule.processes[1:]))


def _draw_twins(rng: Random, schedule: Schedule) -> Schedule:
    """Draw a message of many batches, of which one is lost and another one repeated.

    The second copy lands after the batch that is lost and before the next one, so that every count
    that the gateway shows is the right one.
    """
    size = rng.choice((1, 2, 3, 4, 10, 11, 12))
    source = line(size * rng.randint(5, 12) if size < 10 else rng.randint(50, 70))
    repeated = rng.randrange(len(source) // size - 3)
    return dataclasses.replace(
        schedule,
        source=source,
        unroutable=(),
        body="Ciao",
        batch_size=size,
        recipients_per_message=20_000,
        mode=pick(rng, {"plain": 4, "verify": 1}),
        dialect=(),
        share=0.0,
        delay=0.0,
        rate=10.0,
        pins=(
            Pin("append", repeated, "repeat soon", "after"),
            Pin("append", repeated + 1, "lost", "before"),
        ),
        processes=(None,),
    )


def _draw_ceiling(rng: Random, schedule: Schedule) -> Schedule:
    """Draw a ceiling, and how it is raised."""
    most = len(schedule.source) + 3

    def ceiling() -> Ceiling:
        which = rng.choice(("recipients", "recipients", "cost", "cost", "both"))
        cost = schedule.price * rng.randint(1, most)
        return Ceiling(
            recipients=rng.randint(1, most) if which != "cost" else None,
            cost=cost if which != "recipients" else None,
        )

    processes = schedule.processes
    if schedule.journal and rng.random() < 0.5:
        # Resumed with the same ceiling, which then stops what is left of the first process.
        processes = (processes[0], None)
    dialect = schedule.dialect
    if rng.random() < 0.3:
        dialect = (*(knob for knob in dialect if knob[0] != "charge_at"), ("charge_at", "put"))
    first = ceiling()
    price = schedule.price
    if first.cost is not None and rng.random() < 0.15:
        price = rng.choice((Decimal(0), Decimal("-0.03")))
    return dataclasses.replace(
        schedule,
        ceiling=first,
        raised=pick(rng, {None: 1, LIFTED: 2, ceiling(): 1}) if schedule.journal else None,
        price=price,
        dialect=dialect,
        processes=processes,
    )


def _draw_sends(rng: Random, schedule: Schedule) -> Schedule:
    """Draw single sends, some of which have a reference that others have too."""
    shared = rng.random() < 0.4
    numbers = iter([item.number for item in line(12) if item.number])
    sends = tuple(
        SingleSend(
            numbers=tuple(islice(numbers, pick(rng, {1: 6, 2: 3, 3: 1}))),
            at=pick(rng, {0.0: 3, rng.uniform(0, 5): 2, rng.uniform(5, 400): 1}),
            client=rng.choice((0, 0, 1)),
            reference="order-1" if shared and rng.random() < 0.7 else None,
            cancel=pick(rng, {None: 6, round(rng.expovariate(1 / 3), 3): 1}),
        )
        for _ in range(rng.randint(1, 4))
    )
    texted = [number for one in sends for number in one.numbers]
    # Not of an answer that says that everything was taken, and is wrong: it cannot be checked.
    # Nor is an answer that was mixed up, if its reference belongs to two calls.
    never = {"lost", "copy held", "closed by others", *(("mixed up",) if shared else ())}
    return dataclasses.replace(
        schedule,
        source=(),
        sends=sends,
        journal=False,
        body="Ciao",
        ceiling=None,
        unroutable=tuple(rng.sample(texted, 1)) if rng.random() < 0.2 else (),
        share=rng.choice((0.06, 0.3, 0.6)),
        kinds=tuple(kind for kind in schedule.kinds if kind not in never),
        targets=rng.choice((("send",), ("send", "list", "get", "recipients"))),
        processes=(None,),
    )


SPECIAL: dict[Callable[[Random, Schedule], Schedule] | None, float] = {
    _draw_ceiling: 0.14,
    _draw_twins: 0.015,
    _draw_closed_elsewhere: 0.02,
    _draw_outsider: 0.02,
    _draw_pages: 0.02,
    _draw_raise: 0.04,
    _draw_held_copies: 0.03,
    _draw_anonymous: 0.03,
    _draw_sends: 0.05,
    None: 0.635,
}
