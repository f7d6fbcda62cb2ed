"""A schedule, and how it is drawn from a seed.

A `Schedule` decides everything in a run that the client does not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from gateway_sms_async import Recipient

from .matrix import CELLS, KINDS, KNOBS, OPERATIONS, RARITY, Cell


class Item(NamedTuple):
    """One recipient of the source. `number` is None if the recipient must be refused."""

    text: str
    fields: tuple[tuple[str, str], ...] | None
    form: str
    number: str | None

    def value(self) -> Any:
        fields = None if self.fields is None else dict(self.fields)
        if self.form == "recipient":
            return Recipient(self.text, fields)
        return self.text if fields is None else (self.text, fields)


@dataclass(frozen=True, kw_only=True)
class Interruption:
    """How one process of the campaign is ended from outside, unless it ends before.

    - `how`: cancel, timeout, scope, stop, aclose, kill, fail (a write to the journal fails), or
      raise (an exception that nobody expects; the process goes on with what it makes of it).
    - `at`: "time", "round" of the loop, "request" that leaves, "answer" or "close answer" that
      arrives, "commit" of the journal; `when` is the seconds, or the number of the round, request, answer or commit.
    - `side`, `lag`: a kill happens before or after the point, this many rounds later.
    - `error`: what is raised: "memory" (a MemoryError), or "base" (no Exception at all).
    """

    how: str
    at: str
    when: float
    side: str = "before"
    lag: int = 0
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """The most recipients and euro of a campaign; None: no ceiling, or on resume the one before."""

    recipients: int | None = None
    cost: Decimal | None = None


LIFTED = Ceiling(recipients=1_000_000, cost=Decimal(1_000_000))


class Pin(NamedTuple):
    """The request number `index` (from 0) of an operation meets this kind of fault."""

    operation: str
    index: int
    kind: str
    side: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Everything in a run that the client does not decide. The last process has no faults."""

    seed: int
    source: tuple[Item, ...] = ()
    asynchronous: bool = False
    stubborn: str = ""
    """How often an asynchronous source swallows a cancellation: "", "once" or "always"."""
    pace: float = 0.0
    body: str = "Ciao"
    allow_missing_fields: bool = False
    unroutable: tuple[str, ...] = ()
    batch_size: int = 2
    concurrency: int = 2
    recipients_per_message: int = 20_000
    mode: str = "plain"
    journal: bool = False
    journal_rounds: int = 0
    rate: float | None = None
    price: Decimal = Decimal("0.03")
    ceiling: Ceiling | None = None
    raised: Ceiling | None = None
    """The ceiling that the last process is resumed with."""
    timeout: float = 5.0
    max_attempts: int = 5
    max_elapsed: float = 120.0
    dialect: tuple[tuple[str, Any], ...] = ()
    share: float = 0.0
    kinds: tuple[str, ...] = ()
    targets: tuple[str, ...] = OPERATIONS
    pins: tuple[Pin, ...] = ()
    cell: Cell | None = None
    delay: float = 0.0
    processes: tuple[Interruption | None, ...] = (None,)

    @property
    def is_blind(self) -> bool:
        """Whether the first look at a message is refused, after which nothing is closed."""
        refused = {Pin("get", 0, kind, "before") for kind in ("401", "403")}
        return not refused.isdisjoint(self.pins)

    def describe(self) -> str:
        """Return the options that differ from the default schedule, one per line."""
        lines: list[str] = []
        for one in dataclasses.fields(self):
            value = getattr(self, one.name)
            if one.name == "source":
                value = [
                    (item.text, *(item[1:3] if item.fields is not None else ())) for item in value
                ]
            if value != one.default or one.name in {"seed", "mode"}:
                lines.append(f"{one.name:>23} = {value!r}")
        return "\n".join(lines)


def _pick(rng: Random, chances: Mapping[Any, float]) -> Any:
    return rng.choices(list(chances), list(chances.values()))[0]


_MALFORMED = ("", "340 1234567", "+39", "ciao", "+44 (0)7911 123456", "+999 12345678")


def _draw_source(rng: Random, *, with_fields: float) -> tuple[Item, ...]:
    size = _pick(rng, {rng.randint(0, 3): 3, rng.randint(4, 12): 4, rng.randint(13, 40): 3})
    first = rng.randrange(1_000_000)
    items: list[Item] = []
    for n in range(size):
        chance = rng.random()
        if chance < 0.04:
            items.append(Item(rng.choice(_MALFORMED), None, "str", None))
            continue
        place = rng.randrange(n) if chance < 0.12 and n else n
        digits = f"{first + place:07}"
        number = f"+39-340{digits}"
        text = number if chance > 0.3 else f"0039 340 {digits}"
        fields = (("name", f"N{n}"),) if rng.random() < with_fields else None
        items.append(Item(text, fields, rng.choice(("str", "recipient")), number))
    return tuple(items)


def _draw_dialect(rng: Random) -> tuple[tuple[str, Any], ...]:
    if rng.random() < 0.6:
        return ()
    names = rng.sample(sorted(KNOBS), rng.randint(1, 4))
    return tuple((name, rng.choice(KNOBS[name])) for name in names)


def _draw_interruption(rng: Random, *, journal: bool, may_be_none: float) -> Interruption | None:
    if rng.random() < may_be_none:
        return None
    ways = {"cancel": 2, "timeout": 1, "scope": 1, "stop": 2, "aclose": 1, "raise": 1}
    if journal:
        ways |= {"kill": 12, "fail": 1, "raise": 3}
    how = _pick(rng, ways)
    if how == "raise":
        return Interruption(
            how=how,
            at=rng.choice(("answer", "commit")) if journal else "answer",
            when=rng.randint(1, 14),
            side=rng.choice(("before", "after")) if journal else "before",
            error=rng.choice(("memory", "base")),
        )
    if how in {"kill", "fail"}:
        at = "commit" if how == "fail" else rng.choice(("commit", "request"))
        side = rng.choice(("before", "after"))
        return Interruption(
            how=how, at=at, when=rng.randint(1, 14), side=side, lag=rng.choice((0, 1, 3, 8))
        )
    if how == "timeout" or rng.random() < 0.4:
        return Interruption(
            how=how, at="time", when=round(rng.expovariate(1 / rng.choice((0.3, 6, 60))), 3)
        )
    return Interruption(how=how, at="round", when=rng.randint(1, rng.choice((30, 200, 600))))


def draw(seed: int) -> Schedule:
    """Draw the schedule of a seed; always the same one."""
    schedule = _draw_common(seed)
    rng = Random(f"more of {seed}")
    special = _pick(rng, _SPECIAL)
    if special is not None:
        schedule = special(rng, schedule)
    if schedule.asynchronous and rng.random() < 0.2:
        stubborn, pace = rng.choice(("once", "always")), rng.choice((0.01, 1.0, 20.0))
        schedule = dataclasses.replace(schedule, stubborn=stubborn, pace=pace)
    return schedule


def _draw_pages(rng: Random, schedule: Schedule) -> Schedule:
    """Draw lists of overlapping pages, which every message needs."""
    dialect = [knob for knob in schedule.dialect if not knob[0].startswith("list_")]
    return dataclasses.replace(
        schedule,
        mode=_pick(rng, {"verify": 3, "plain": 1}),
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
        mode=_pick(rng, {"plain": 3, "verify": 1}),
        dialect=(),
        share=0.0,
        delay=rng.choice((0.0, 0.5)),
        timeout=30.0,
        # Once: a message may be closed after the last look at it, and no client could know.
        pins=(hangs, rng.choice(pins)),
        processes=(None,),
    )


def _draw_held_copies(rng: Random, schedule: Schedule) -> Schedule:
    """Draw refused closes of which a copy arrives later, between two processes or in the next one."""
    pins = [
        Pin("close", index, "copy held", rng.choice(("before", "after")))
        for index in rng.sample(range(3), rng.randint(1, 2))
    ]
    ends = [
        _draw_interruption(rng, journal=True, may_be_none=0.7) for _ in range(rng.randint(1, 2))
    ]
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
        pins.append(Pin("get", 0, rng.choice(("403", "401")), "before"))
    return dataclasses.replace(
        schedule,
        source=line(rng.randint(8, 30)),
        unroutable=(),
        body="Ciao",
        batch_size=size,
        recipients_per_message=size * rng.randint(2, 4),
        concurrency=rng.randint(3, 4),
        mode=_pick(rng, {"plain": 3, "careful": 2, "verify": 1}),
        dialect=tuple(dialect),
        # One open after the other, so that the next batch names the message before another opens.
        rate=10.0,
        timeout=30.0,
        delay=rng.choice((0.0, 0.1, 1.0)),
        journal=True,
        share=0.0,
        pins=tuple(pins),
        processes=(_draw_interruption(rng, journal=True, may_be_none=0.7), None),
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
        mode=_pick(rng, {"plain": 4, "verify": 1}),
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
        raised=_pick(rng, {None: 1, LIFTED: 2, ceiling(): 1}) if schedule.journal else None,
        price=price,
        dialect=dialect,
        processes=processes,
    )


_SPECIAL: dict[Callable[[Random, Schedule], Schedule] | None, float] = {
    _draw_ceiling: 0.14,
    _draw_twins: 0.015,
    _draw_closed_elsewhere: 0.02,
    _draw_pages: 0.02,
    _draw_raise: 0.04,
    _draw_held_copies: 0.03,
    _draw_anonymous: 0.03,
    None: 0.705,
}


def _draw_common(seed: int) -> Schedule:
    """Draw the parts of a schedule that every campaign has."""
    rng = Random(seed)
    body, with_fields = "Ciao", 0.0
    if rng.random() < 0.25:
        body, with_fields = "Ciao {{name}}", rng.choice((0.8, 1.0))
    source = _draw_source(rng, with_fields=with_fields)
    journal = rng.random() < 0.5
    processes = 1 if not journal else _pick(rng, {1: 4, 2: 3, 3: 2, 4: 1})
    most = max(1, len(source) // 6)
    kinds = [name for name, kind in KINDS.items() if not kind.rare or rng.random() < RARITY]
    targets = OPERATIONS
    dialect = _draw_dialect(rng)
    alone = rng.random() < 0.15
    if alone:
        # One recipient per message: only this leads to single sends, most deletes, and recovery by list.
        source, processes = source[:6], min(processes, 2)
        dialect = (*(knob for knob in dialect if knob[0] != "empty_close"), ("empty_close", False))
    numbers = sorted({item.number for item in source if item.number is not None})
    unroutable = numbers and rng.random() < 0.25
    if rng.random() < 0.5:
        kinds = rng.sample(kinds, rng.randint(1, 6))
    if rng.random() < 0.3:
        targets = tuple(rng.sample(OPERATIONS, rng.randint(1, 4)))
    return Schedule(
        seed=seed,
        source=source,
        asynchronous=rng.random() < 0.3,
        pace=_pick(rng, {0.0: 4, 0.01: 1, 1.0: 1}),
        body=body,
        allow_missing_fields=rng.random() < 0.3,
        unroutable=tuple(rng.sample(numbers, rng.randint(1, min(4, len(numbers)))))
        if unroutable
        else (),
        batch_size=rng.randint(most, max(most, _pick(rng, {most: 3, most + 3: 3, 40: 1}))),
        concurrency=rng.randint(1, 4),
        recipients_per_message=1
        if alone
        else _pick(rng, {20_000: 4, rng.randint(most, 40): 4, rng.randint(1, 5) * most: 2}),
        mode=_pick(rng, {"plain": 5, "careful": 3, "verify": 2}),
        journal=journal,
        journal_rounds=_pick(rng, {0: 2, 1: 1, 5: 1, 30: 1}),
        rate=_pick(rng, {None: 3, 10.0: 1, 1.0: 0.3}),
        timeout=_pick(rng, {5.0: 2, 30.0: 2}),
        max_attempts=_pick(rng, {1: 1, 2: 1, 5: 4}),
        max_elapsed=_pick(rng, {10.0: 1, 120.0: 3}),
        dialect=dialect,
        share=_pick(rng, {0.0: 1, 0.02: 2, 0.06: 3, 0.15: 3, 0.3: 2, 0.6: 1}),
        kinds=tuple(kinds),
        targets=targets,
        delay=_pick(rng, {0.0: 4, 0.05: 2, 1.0: 2, 6.0: 1}),
        processes=tuple(
            _draw_interruption(rng, journal=journal, may_be_none=0.6 if not journal else 0.3)
            for _ in range(processes)
        ),
    )


def line(count: int) -> tuple[Item, ...]:
    """Return a simple source of `count` consecutive numbers."""
    numbers = [f"+39-340{n:07}" for n in range(count)]
    return tuple(Item(number, None, "str", number) for number in numbers)


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
