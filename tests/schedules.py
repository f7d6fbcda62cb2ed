"""The seeded proof: any campaign under any fault, dialect, cancellation and kill.

`draw(seed)` makes up a schedule, `run(schedule)` plays it in virtual time against the simulator
over a real Unix socket and judges the receipts by the simulator's ledger alone. The same seed is
the same schedule and the same trace on the wire.

    python -m tests.schedules --count 100000 --jobs 2      many seeds
    python -m tests.schedules --seed 4711                  one, with its trace and the verdict
    python -m tests.schedules --directed                   one for each cell of the matrix
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import gc
import hashlib
import importlib
import inspect
import multiprocessing
import os
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

import aiohttp
import anyio

import gateway_sms_async as library
from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    GatewayError,
    Progress,
    Receipt,
    Recipient,
    RetryPolicy,
    _transport,
)
from gateway_sms_async.testing import Dialect, Fault, RecordedRequest, Simulator

from .virtual_time import DeadlockError, EndlessError, ReplayLoop

# --- the matrix: what may strike what ----------------------------------------------------------

OPERATIONS = ("open", "append", "close", "send", "get", "recipients", "list", "delete")
READS = frozenset({"get", "recipients", "list"})
WRITES = frozenset(OPERATIONS) - READS
PUTS = frozenset({"append", "close"})

Cell = tuple[str, str, str]
"""Operation, kind of fault, and whether it strikes before or after the gateway has applied."""


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how it is made, what it may strike, and when.

    What a complete refusal may not do (apply anything) and what a yes to a DELETE may not do
    (nothing) are axioms: no kind here breaks one.
    """

    make: Callable[[Random, bool], Fault]
    sides: tuple[str, ...] = ("before", "after")
    on: frozenset[str] = frozenset(OPERATIONS)
    rare: bool = False


def _refusal(code: int, error: int | None = None, wait: float | None = None) -> Kind:
    return Kind(lambda _, __: Fault.status(code, error, retry_after=wait), ("before",))


def _status(code: int, *, envelope: bool = True, wait: float | None = None) -> Kind:
    return Kind(
        lambda _, after: Fault.status(code, envelope=envelope, retry_after=wait, after_apply=after)
    )


def _plain(make: Callable[..., Fault], **more: Any) -> Kind:
    return Kind(lambda _, after: make(after_apply=after), **more)


def _page(code: int) -> Kind:
    return Kind(lambda _, after: Fault.html(code, after_apply=after))


def _partial(then: Callable[[], Fault | None]) -> Kind:
    return Kind(
        lambda _, __: Fault.partial(then=then()), ("after",), frozenset(WRITES - {"delete"})
    )


_DELAYS = (0.3, 2.0, 8.0, 31.0, 70.0, 200.0, 600.0)

KINDS: dict[str, Kind] = {
    "reset": _plain(Fault.reset),
    "close": _plain(Fault.close),
    "hang": _plain(Fault.hang),
    "truncate": _plain(Fault.truncate),
    "invalid json": _plain(Fault.invalid_json),
    "empty": _plain(Fault.empty),
    "double encoded": _plain(Fault.double_encoded, sides=("after",)),
    "drip": Kind(lambda rng, after: Fault.drip(rng.choice((1.0, 5.0)), after_apply=after)),
    "late": Kind(lambda rng, _: Fault.late(rng.choice(_DELAYS)), ("before",), WRITES),
    "lost": Kind(lambda _, __: Fault.lost(), ("before",), WRITES - {"delete"}),
    "partial": _partial(lambda: None),
    "partial, reset": _partial(lambda: Fault.reset(after_apply=True)),
    "partial, 500": _partial(lambda: Fault.status(500, after_apply=True)),
    "page 200": _page(200),
    "page 403": _page(403),
    "page 404": _page(404),
    "page 502": _page(502),
    "400": _refusal(400),
    "401": _refusal(401),
    "402": _refusal(402, 201),
    "403": _refusal(403),
    "406": _refusal(406, 210),
    "408": _status(408, envelope=False),
    "413": _refusal(413),
    "422": _refusal(422),
    "422/212": dataclasses.replace(_refusal(422, 212), on=PUTS),
    "422/221": dataclasses.replace(_refusal(422, 221), on=frozenset({"delete"})),
    "429": _refusal(429),
    "429, wait": _refusal(429, wait=17),
    "500": _status(500),
    "500, plain": _status(500, envelope=False),
    "503, wait": _status(503, wait=9),
    "504": _status(504, envelope=False),
    "redirect": Kind(lambda _, after: Fault.redirect("http://localhost/", after_apply=after)),
    "oversized": _plain(Fault.oversized, rare=True),
    "gzip bomb": _plain(Fault.gzip_bomb, rare=True),
}
if hasattr(Fault, "repeat"):
    KINDS["repeat"] = Kind(
        lambda rng, _: Fault.repeat(rng.choice((0.0, *_DELAYS))), ("after",), PUTS
    )

RARITY = 0.001
"""How often a kind that is slow to play is not left out."""

CELLS: tuple[Cell, ...] = tuple(
    (operation, name, side)
    for operation in OPERATIONS
    for name, kind in KINDS.items()
    if operation in kind.on and not kind.rare
    for side in (kind.sides if operation in WRITES else kind.sides[:1])
)

KNOBS: dict[str, tuple[Any, ...]] = {
    "empty_close": (False,),
    "merge_repeats": (True,),
    "list_while_open": (False,),
    "object_lists": (False,),
    "charge_at": ("put",),
    "custom_returned": (False,),
    "put_as_created": (True,),
    "max_recipients": (2, 5),
    "refuse_missing_fields": (True,),
    "strict_slashes": (True,),
    "put_closes": (True,),
    "lose_concurrent": (True,),
    "list_grows": (2.0, 40.0),
    "repeat_puts": (True,),
    "max_per_message": (3, 10),
    "rewrite_numbers": (True,),
    "invalid_named": (0, 1),
    "list_invalid": (True,),
    "list_limit": (3, 20),
    "split_close": (True,),
}
"""The other answers to the open questions. The axiom breakers are none of them."""

_KNOWN_KNOBS = frozenset(one.name for one in dataclasses.fields(Dialect))
_MAY_BLOCK = frozenset(
    {
        "object_lists",
        "refuse_missing_fields",
        "max_recipients",
        "max_per_message",
        "invalid_named",
        "list_limit",
        "split_close",
        "lose_concurrent",
        "repeat_puts",
        "list_grows",
        "rewrite_numbers",
        "list_while_open",
    }
)
"""Knobs under which a campaign may rightly stop before its end."""


# --- a schedule --------------------------------------------------------------------------------


class Item(NamedTuple):
    """One recipient of the source. `number` is None when it can only be refused."""

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
class End:
    """How one life of the campaign is ended from outside, if it is not done before.

    `how`: cancel, timeout, scope, stop, aclose; kill; fail (a write to the journal does).
    `at`: a time, a round of the loop, a request that leaves, a commit of the journal; `when` is
    which. A kill strikes on one `side` of it, `lag` rounds later.
    """

    how: str
    at: str
    when: float
    side: str = "before"
    lag: int = 0


class Pin(NamedTuple):
    """The `index`-th request of an operation (from 0) meets this kind of fault."""

    operation: str
    index: int
    kind: str
    side: str


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Everything that a run does not leave to the client. The last life has no faults."""

    seed: int
    source: tuple[Item, ...] = ()
    asynchronous: bool = False
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
    lives: tuple[End | None, ...] = (None,)

    def describe(self) -> str:
        """Return what differs from the plainest schedule, an option a line."""
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
        luck = rng.random()
        if luck < 0.04:
            items.append(Item(rng.choice(_MALFORMED), None, "str", None))
            continue
        place = rng.randrange(n) if luck < 0.12 and n else n
        digits = f"{first + place:07}"
        number = f"+39-340{digits}"
        text = number if luck > 0.3 else f"0039 340 {digits}"
        fields = (("name", f"N{n}"),) if rng.random() < with_fields else None
        items.append(Item(text, fields, rng.choice(("str", "recipient")), number))
    return tuple(items)


def _draw_dialect(rng: Random) -> tuple[tuple[str, Any], ...]:
    if rng.random() < 0.6:
        return ()
    names = rng.sample(sorted(KNOBS), rng.randint(1, 4))
    return tuple((name, rng.choice(KNOBS[name])) for name in names)


def _draw_end(rng: Random, *, journal: bool, may_be_none: float) -> End | None:
    if rng.random() < may_be_none:
        return None
    hows = {"cancel": 2, "timeout": 1, "scope": 1, "stop": 2, "aclose": 1}
    if journal:
        hows |= {"kill": 12, "fail": 1}
    how = _pick(rng, hows)
    if how in {"kill", "fail"}:
        at = "commit" if how == "fail" else rng.choice(("commit", "request"))
        side = rng.choice(("before", "after"))
        return End(how=how, at=at, when=rng.randint(1, 14), side=side, lag=rng.choice((0, 1, 3, 8)))
    if how == "timeout" or rng.random() < 0.4:
        return End(how=how, at="time", when=round(rng.expovariate(1 / rng.choice((0.3, 6, 60))), 3))
    return End(how=how, at="round", when=rng.randint(1, rng.choice((30, 200, 600))))


def draw(seed: int) -> Schedule:
    """Make up a schedule; the same one each time."""
    rng = Random(seed)
    body, with_fields = "Ciao", 0.0
    if rng.random() < 0.25:
        body, with_fields = "Ciao {{name}}", rng.choice((0.8, 1.0))
    source = _draw_source(rng, with_fields=with_fields)
    journal = rng.random() < 0.5
    lives = 1 if not journal else _pick(rng, {1: 4, 2: 3, 3: 2, 4: 1})
    most = max(1, len(source) // 6)
    kinds = [name for name, kind in KINDS.items() if not kind.rare or rng.random() < RARITY]
    targets = OPERATIONS
    dialect = _draw_dialect(rng)
    alone = rng.random() < 0.15
    if alone:
        # The only way to a plain send, to most deletes, and to a search for what was lost.
        source, lives = source[:6], min(lives, 2)
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
        lives=tuple(
            _draw_end(rng, journal=journal, may_be_none=0.6 if not journal else 0.3)
            for _ in range(lives)
        ),
    )


def _line(count: int) -> tuple[Item, ...]:
    numbers = [f"+39-340{n:07}" for n in range(count)]
    return tuple(Item(number, None, "str", number) for number in numbers)


def directed() -> list[Schedule]:
    """Return one schedule for each cell of the matrix, which hits it for certain."""
    return [_direct(index, cell) for index, cell in enumerate(CELLS)]


def _direct(index: int, cell: Cell) -> Schedule:
    operation, kind, side = cell
    pins = [Pin(operation, 0, kind, side)]
    options: dict[str, Any] = {"source": _line(7), "batch_size": 2, "mode": "verify"}
    if operation in {"send", "list", "delete"}:
        # One recipient and no empty close: it is deleted, and sent plainly.
        options = {"source": _line(1), "dialect": (("empty_close", False),)}
    if operation == "list":
        pins.insert(0, Pin("send", 0, "reset", "after"))
    return Schedule(seed=-1 - index, cell=cell, pins=tuple(pins), **options)


def reachable(cell: Cell | None) -> bool:
    """Tell whether the library makes such requests: it lists recipients only to verify."""
    return cell is not None and (cell[0] != "recipients" or "verify" in _SEND_OPTIONS)


# --- the weather: which request meets what -----------------------------------------------------


class Line(NamedTuple):
    """One request as the trace shows it; `message` counts them in the order of appearance."""

    at: float
    life: int
    operation: str
    message: int
    recipients: int
    fault: str
    applied: bool
    status: int | None

    def __str__(self) -> str:
        message = f"message {self.message}" if self.message else ""
        return (
            f"{self.at:10.3f}  life {self.life}  {self.operation:<10} {message:<11}"
            f"{self.recipients:>3} recipients  {self.fault or '-':<24}"
            f"{'applied' if self.applied else '':<8} {self.status or ''}"
        )


class _Weather:
    """Decides about every request, by its operation and its number alone, and takes notes."""

    def __init__(self, schedule: Schedule, loop: ReplayLoop) -> None:
        self._schedule = schedule
        self._loop = loop
        self._began = loop.time()
        self._seen: Counter[str] = Counter()
        self._arrived = 0
        self._pins = {(pin.operation, pin.index): pin for pin in schedule.pins}
        self._by_operation = {
            operation: tuple(name for name in schedule.kinds if operation in KINDS[name].on)
            for operation in schedule.targets
        }
        self._notes: list[tuple[RecordedRequest, float, int, str]] = []
        self.fair = False
        self.life = 0
        self.cells: Counter[Cell] = Counter()

    def fault(self, request: RecordedRequest) -> Fault | None:
        """Say what strikes this request."""
        operation = request.operation
        index = self._seen[operation]
        self._seen[operation] += 1
        name, side, rng = self._decide(operation, index)
        self._notes.append((request, self._loop.time(), self.life, name and f"{name} ({side})"))
        if not name:
            return None
        self.cells[operation, name, side] += 1
        return KINDS[name].make(rng, side == "after")

    def _decide(self, operation: str, index: int) -> tuple[str, str, Random]:
        schedule = self._schedule
        rng = Random((schedule.seed * 1009 + OPERATIONS.index(operation)) * 100_003 + index)
        pin = self._pins.get((operation, index))
        if self.fair:
            return "", "", rng
        if pin is not None:
            return pin.kind, pin.side, rng
        names = self._by_operation.get(operation)
        if not names or rng.random() >= schedule.share:
            return "", "", rng
        name = rng.choice(names)
        return name, rng.choice(KINDS[name].sides), rng

    def delay(self, request: RecordedRequest) -> float:
        """Say how long this request and its answer are on the way."""
        self._arrived += 1
        most = 0.0 if self.fair else self._schedule.delay
        if not most:
            return 0.0
        rng = Random(self._schedule.seed * 1_000_003 + self._arrived)
        return rng.choice((0.0, 0.1, 0.5, 1.0)) * most * rng.random()

    def trace(self) -> list[Line]:
        """Return what was on the wire so far."""
        places: dict[str, int] = {}
        lines: list[Line] = []
        for request, at, life, fault in self._notes:
            message = ""
            if request.path.count("/") > 1 and request.path != "/messages/":
                message = request.path.split("/")[2]
            place = places.setdefault(message, len(places) + 1) if message else 0
            lines.append(
                Line(
                    round(at - self._began, 6),
                    life,
                    request.operation,
                    place,
                    _count_recipients(request.body),
                    fault,
                    request.applied,
                    request.status,
                )
            )
        return lines


def _count_recipients(body: object) -> int:
    recipients = body.get("recipients") if isinstance(body, dict) else None
    return len(recipients) if isinstance(recipients, list) else int(recipients is not None)


# --- the judge ---------------------------------------------------------------------------------


def _key(number: str) -> str:
    return "".join(filter(str.isdigit, number))


class Judge:
    """Holds receipts against the ledger. Knows the source, and nothing of the library's insides."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._lacks = "{{" in schedule.body and not schedule.allow_missing_fields
        self._by_gateway = {_key(number) for number in schedule.unroutable}
        self._no_objects = dict(schedule.dialect).get("object_lists") is False
        self.repeated = dict(schedule.dialect).get("repeat_puts") is True

    def _people(self, total: int) -> tuple[set[int], int, dict[str, int]]:
        """Return positions refused before a request, how many repeats, and the rest's places."""
        refused: set[int] = set()
        repeats = 0
        places: dict[str, int] = {}
        for position, item in enumerate(self._schedule.source[:total]):
            if item.number is None or (self._lacks and item.fields is None):
                refused.add(position)
            elif _key(item.number) in places:
                repeats += 1
            else:
                places[_key(item.number)] = position
        return refused, repeats, places

    def doubles(self, ledger: Mapping[str, int], receipt: Receipt | None) -> Iterator[str]:
        """Nobody is texted twice; behind a proxy that repeats, nobody without it being said."""
        twice = {_key(number) for number, times in ledger.items() if times > 1}
        if twice and self.repeated and self._schedule.mode != "careful":
            if receipt is None:
                return
            twice -= {_key(number) for number in (*receipt.doubled, *receipt.unknown)}
        if twice:
            yield f"texted twice: {sorted(twice)}"

    def check(self, receipt: Receipt, ledger: Mapping[str, int]) -> Iterator[str]:
        """Everyone is accounted for once, and as the ledger has it."""
        yield from self.doubles(ledger, receipt)
        texted = {_key(number) for number in ledger}
        refused, repeats, places = self._people(receipt.total)
        if not 0 <= receipt.total <= len(self._schedule.source):
            yield f"total {receipt.total} of a source of {len(self._schedule.source)}"
        named = {
            name: [_key(number) for number in getattr(receipt, name)]
            for name in ("doubled", "unknown", "unsent")
        }
        rest = len(receipt.invalid) + receipt.duplicates + receipt.excluded
        parts = receipt.accepted + rest + sum(map(len, named.values()))
        if parts != receipt.total:
            yield f"the parts add up to {parts}, not to {receipt.total}"
        if receipt.duplicates != repeats or receipt.excluded:
            yield f"{receipt.duplicates} duplicates, {receipt.excluded} excluded of {repeats} repeats"
        yield from self._check_invalid(receipt, refused, places, texted)
        invalid = {one.position for one in receipt.invalid}
        left = {key for key, place in places.items() if place not in invalid}
        for name, keys in named.items():
            if len(set(keys)) != len(keys) or not left.issuperset(keys):
                yield f"{name} names somebody twice, or in another part too, or a stranger"
            left -= set(keys)
        if gone := texted.intersection(named["unsent"]):
            yield f"texted though called unsent: {sorted(gone)}"
        if len(left) != receipt.accepted:
            yield f"accepted {receipt.accepted}, but {len(left)} are left over"
        if missing := left - texted:
            yield f"not texted though called accepted: {sorted(missing)}"
        if (
            strangers := texted
            - left
            - set(named["doubled"])
            - set(named["unknown"])
            - invalid_keys(places, invalid)
            - set(named["unsent"])
        ):
            yield f"texted, and in no part of the receipt: {sorted(strangers)}"
        if receipt.complete and (named["unknown"] or named["unsent"] or named["doubled"]):
            yield "complete, though somebody is unknown, unsent or doubled"

    def _check_invalid(
        self, receipt: Receipt, refused: set[int], places: Mapping[str, int], texted: set[str]
    ) -> Iterator[str]:
        positions = [one.position for one in receipt.invalid]
        if len(set(positions)) != len(positions):
            yield "invalid names a place twice"
        if not refused <= set(positions):
            yield f"not called invalid: places {sorted(refused - set(positions))}"
        source = self._schedule.source
        for one in receipt.invalid:
            if one.position >= len(source) or source[one.position].text != one.number:
                yield f"invalid at place {one.position} is not what stood there"
            elif one.position not in refused:
                key = _key(source[one.position].number or "")
                if places.get(key) != one.position:
                    yield f"called invalid at place {one.position}, which is a repeat"
                elif key in texted:
                    yield f"texted though called invalid: {key}"
                elif key not in self._by_gateway and not self._no_objects:
                    yield f"called invalid, which the gateway never said: {key}"


def invalid_keys(places: Mapping[str, int], invalid: set[int]) -> set[str]:
    return {key for key, place in places.items() if place in invalid}


# --- a run -------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a run came to. `wrong` is empty, or says what is."""

    schedule: Schedule
    receipts: list[tuple[str, Receipt]] = field(default_factory=list)
    ledger: Counter[str] = field(default_factory=Counter)
    trace: list[Line] = field(default_factory=list)
    cells: Counter[Cell] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Return a fingerprint of the trace and the receipts."""
        receipts = [
            (label, dataclasses.replace(one, elapsed=0, message_ids=(), open_message_ids=()))
            for label, one in self.receipts
        ]
        text = repr((self.trace, [(label, one.to_dict()) for label, one in receipts]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class _Cable(aiohttp.UnixConnector):
    """The client's connections, which a kill cuts all at once."""

    def __init__(self, path: str) -> None:
        super().__init__(path, limit=0, force_close=False, keepalive_timeout=5.0)
        self._transports: list[Any] = []
        self._cut = False

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        connection = await super().connect(*args, **kwargs)
        if connection.transport not in self._transports:
            self._transports.append(connection.transport)
        if self._cut:
            connection.close()
        self._check()
        return connection

    def _check(self) -> None:
        if self._cut:
            raise aiohttp.ClientConnectionError("the process is dead")

    def cut(self) -> None:
        """Let nothing through any more; what is in the kernel's buffers still arrives."""
        self._cut = True
        for transport in self._transports:
            transport.abort()


class _SimulatorOnPath(Simulator):
    """The simulator on a Unix socket, until it has a `path` of its own."""

    def __init__(self, *, path: str, **settings: Any) -> None:
        super().__init__(**settings)
        self._path = path

    @property
    def url(self) -> str:
        return "http://localhost"

    async def start_listening(self) -> None:
        loop = asyncio.get_running_loop()
        self._socket = await loop.create_unix_server(self._listener, self._path, backlog=1024)


_Simulator = Simulator if "path" in inspect.signature(Simulator).parameters else _SimulatorOnPath
_SEND_OPTIONS = frozenset(inspect.signature(GatewayClient.send_bulk).parameters)
HAS_JOURNAL = "journal" in _SEND_OPTIONS
_JOURNAL_ERROR: Any = getattr(library, "JournalError", ())
_NUMBERS = re.compile(r"[0-9a-f]{24}|[0-9]+")
_EPOCH = 1_700_000_000.0
_CANCEL_WITHIN = 5.1
_LONGEST = 3600.0 * 24
_MOST_ROUNDS = 400_000


class _Run:
    """One schedule while it is played."""

    def __init__(self, schedule: Schedule, loop: ReplayLoop, room: Path) -> None:
        self.schedule = schedule
        self.loop = loop
        self.outcome = Outcome(schedule)
        self._room = room
        self._journal = room / "0" / "campaign.db"
        self._judge = Judge(schedule)
        self._weather = _Weather(schedule, loop)
        self._simulator: Any = None
        self._life: _Life | None = None

    # The hooks, called from inside the library

    def passing(self, what: str, side: str) -> None:
        """Take note of a request that leaves, or of a commit of the journal."""
        if self._life is not None:
            self._life.passing(what, side)

    # From here on, the campaign

    async def play(self) -> None:
        schedule = self.schedule
        known = {name: value for name, value in schedule.dialect if name in _KNOWN_KNOBS}
        self._simulator = _Simulator(
            path=str(self._room / "s"),
            dialect=Dialect(**known),
            clock=lambda: _EPOCH + self.loop.time(),
        )
        async with self._simulator as simulator:
            simulator.faults.plan = self._weather.fault
            if hasattr(simulator, "delay"):
                simulator.delay = self._weather.delay
            else:
                simulator.latency = schedule.delay / 4
            if hasattr(simulator.gateway, "unroutable"):
                simulator.gateway.unroutable = set(schedule.unroutable)
            last = await self._play_lives()
            simulator.land_late()
            self._judge_now("at the very end", last)
            self._judge_liveness(last)
            await asyncio.sleep(0)
        self._finish()

    async def _play_lives(self) -> Receipt | None:
        lives = list(self.schedule.lives)
        if self.schedule.journal and HAS_JOURNAL:
            lives.append(None)
        receipt: Receipt | None = None
        for number, end in enumerate(lives):
            self._weather.life = number
            self._weather.fair = number > 0 and number == len(lives) - 1
            receipt, done = await self._live(number, end)
            if done or not (self.schedule.journal and HAS_JOURNAL):
                break
        if receipt is not None and self.schedule.journal and HAS_JOURNAL and done:
            await self._resume_what_is_done(receipt)
        return receipt

    async def _live(self, number: int, end: End | None) -> tuple[Receipt | None, bool]:
        """Play one life; return its receipt if there is one, and whether it came to its end."""
        gateway, cable = self._make_client()
        life = self._life = _Life(self, end, gateway, cable)
        before = len(self._simulator.requests)
        await gateway.open()
        receipt: Receipt | None = None
        done = False
        try:
            task = asyncio.ensure_future(life.guard(lambda: self._campaign(gateway, life)))
            life.begin(task)
            await asyncio.wait([task], timeout=_LONGEST)
            if not task.done():
                self._say(number, "did not end within a day")
                task.cancel()
                await asyncio.wait([task])
            receipt, done = self._read_result(number, life, task)
            if life.cancels and self.loop.time() - life.struck_at > _CANCEL_WITHIN:
                self._say(number, f"took {self.loop.time() - life.struck_at} s to be cancelled")
        finally:
            self._life = None
            life.finish()
            await gateway.aclose()
        if life.killed:
            # The dead tell nothing: what is left is the copy of the journal.
            self._journal = life.copy
            receipt, done = None, False
        requests = len(self._simulator.requests) - before
        if requests > self._most_requests():
            self._say(number, f"{requests} requests")
        self._judge_now(f"after life {number}", receipt)
        if self.schedule.journal and HAS_JOURNAL:
            written = await self._judge_journal(number)
            receipt = receipt or written
        elif receipt is None and not life.killed:
            self._judge_progress(number, life)
        return receipt, done

    def _make_client(self) -> tuple[GatewayClient, _Cable]:
        schedule = self.schedule
        cable = _Cable(str(self._room / "s"))
        gateway = GatewayClient(
            self._simulator.token,
            base_url=self._simulator.url,
            connector=lambda: cable,
            rate=schedule.rate,
            concurrency=schedule.concurrency,
            timeout=schedule.timeout,
            retry=RetryPolicy(max_attempts=schedule.max_attempts, max_elapsed=schedule.max_elapsed),
        )
        return gateway, cable

    async def _campaign(self, gateway: Any, life: _Life) -> Receipt:
        schedule = self.schedule
        if self._resumes:
            self.outcome.events["resumed"] += 1
            return await gateway.resume_bulk(
                self._journal, on_progress=life.told.append, stop=life.stop
            )
        options: dict[str, Any] = {
            "batch_size": schedule.batch_size,
            "recipients_per_message": schedule.recipients_per_message,
            "allow_missing_fields": schedule.allow_missing_fields,
            "careful": schedule.mode == "careful",
            "verify": "always" if schedule.mode == "verify" else "auto",
            "journal": self._journal if schedule.journal else None,
        }
        if schedule.journal:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
        return await gateway.send_bulk(
            self._source(),
            sender="ACME",
            body=schedule.body,
            on_progress=life.told.append,
            stop=life.stop,
            **{name: value for name, value in options.items() if name in _SEND_OPTIONS},
        )

    def _source(self) -> Any:
        values = [item.value() for item in self.schedule.source]
        if not self.schedule.asynchronous:
            return iter(values)

        async def source() -> AsyncIterator[Any]:
            for value in values:
                await asyncio.sleep(self.schedule.pace)
                yield value

        return source()

    @property
    def _resumes(self) -> bool:
        return self.schedule.journal and HAS_JOURNAL and self._journal.exists()

    def _read_result(
        self, number: int, life: _Life, task: asyncio.Task[Receipt]
    ) -> tuple[Receipt | None, bool]:
        if task.cancelled():
            if not (life.cancels or life.killed):
                self._say(number, "was cancelled by nobody")
            return None, False
        error = task.exception()
        if error is None:
            return task.result(), True
        if isinstance(error, BulkSendError):
            self.outcome.events[f"ended: {_NUMBERS.sub('#', error.reason)[:60]}"] += 1
            return error.receipt, False
        allowed = isinstance(error, TimeoutError) and life.cancels
        allowed = allowed or (isinstance(error, _JOURNAL_ERROR) and life.fails)
        # Closed before it was even called.
        allowed = allowed or (isinstance(error, RuntimeError) and life.too_late)
        allowed = allowed or life.killed
        if not allowed:
            self._say(number, f"raised {type(error).__name__}: {error}")
        return None, False

    async def _judge_journal(self, number: int) -> Receipt | None:
        """Read the receipt that the journal has, and hold it to the same."""
        if not self._journal.exists():
            if self._simulator.requests:
                self._say(number, "sent something, and left no journal")
            return None
        try:
            written = await library.read_journal(self._journal)  # type: ignore[attr-defined]
        except GatewayError as error:
            self._say(number, f"the journal cannot be read: {type(error).__name__}: {error}")
            return None
        self._judge_now(f"the journal after life {number}", written)
        return written

    async def _resume_what_is_done(self, receipt: Receipt) -> None:
        before = len(self._simulator.requests)
        gateway, _ = self._make_client()
        again: Receipt | None = None
        async with gateway:
            with contextlib.suppress(GatewayError):
                again = await gateway.resume_bulk(self._journal)  # type: ignore[attr-defined]
        if len(self._simulator.requests) != before:
            self.outcome.wrong.append("a finished journal was resumed, and sent requests")
        if again is None or again.to_dict() != receipt.to_dict():
            self.outcome.wrong.append("a finished journal was resumed to another receipt")

    # The verdict

    def _say(self, number: int, words: str) -> None:
        self.outcome.wrong.append(f"life {number}: {words}")

    def _judge_now(self, label: str, receipt: Receipt | None) -> None:
        cells = self._weather.cells
        self._judge.repeated |= any(name == "repeat" for _, name, _ in cells)
        ledger = self._simulator.ledger
        wrong = self._judge.doubles(ledger, None)
        if receipt is not None:
            self.outcome.receipts.append((label, receipt))
            wrong = self._judge.check(receipt, ledger)
        self.outcome.wrong += [f"{label}: {words}" for words in wrong]

    def _judge_progress(self, number: int, life: _Life) -> None:
        """Nobody has a receipt, but the last report of progress was made on the way out."""
        if not life.told:
            return
        told: Progress = life.told[-1]
        texted = len(self._simulator.ledger)
        if not told.accepted <= texted <= told.accepted + told.unknown:
            self._say(number, f"{texted} were texted, but the last report was {told}")
        parts = told.accepted + told.invalid + told.duplicates + told.unknown + told.unsent
        if parts != told.read:
            self._say(number, f"the parts of {told} add up to {parts}")

    def _judge_liveness(self, receipt: Receipt | None) -> None:
        """Without faults, in a sane dialect and with nobody unknown, it must come to its end."""
        schedule = self.schedule
        journal = schedule.journal and HAS_JOURNAL
        quiet = not self._weather.cells and schedule.lives == (None,)
        quiet = quiet and schedule.delay < schedule.timeout
        if _MAY_BLOCK & {name for name, _ in schedule.dialect} or not (journal or quiet):
            return
        if receipt is None or not (receipt.complete or receipt.unknown or receipt.doubled):
            self.outcome.wrong.append(f"did not come to its end: {receipt}")
        elif quiet and not receipt.complete:
            self.outcome.wrong.append(f"nothing was in its way, and still: {receipt}")

    def _most_requests(self) -> int:
        schedule = self.schedule
        batches = len(schedule.source) // min(schedule.batch_size, schedule.recipients_per_message)
        return 150 + 40 * (batches + 2)

    def _finish(self) -> None:
        outcome = self.outcome
        outcome.ledger = self._simulator.ledger
        outcome.trace = self._weather.trace()
        outcome.cells = self._weather.cells
        outcome.rounds = self.loop.rounds
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            outcome.wrong.append(f"left running: {sorted(map(repr, left))}")


class _Life:
    """One process: it begins, may be ended from outside, and can be killed at any point."""

    def __init__(self, run: _Run, end: End | None, gateway: GatewayClient, cable: _Cable) -> None:
        self._run = run
        self._end = end
        self._gateway = gateway
        self._cable = cable
        self._passed: Counter[str] = Counter()
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self.stop = asyncio.Event()
        self.told: list[Progress] = []
        self.killed = False
        self.cancels = False
        self.fails = False
        self.too_late = False
        self.struck_at = 0.0
        self.copy = run._journal

    async def guard(self, campaign: Callable[[], Coroutine[Any, Any, Receipt]]) -> Receipt:
        """Run the campaign inside whatever may cancel it."""
        end = self._end
        self.too_late = self._closing is not None
        if end is not None and end.how == "timeout":
            try:
                async with asyncio.timeout(end.when) as limit:
                    return await campaign()
            finally:
                self.cancels = limit.expired()
                self.struck_at = limit.when() or 0.0
        if end is None or end.how != "scope":
            return await campaign()
        with self._scope:
            return await campaign()
        # A scope swallows the cancellation; what is awaited has nothing to return.
        raise asyncio.CancelledError

    def begin(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        end, loop = self._end, self._run.loop
        if end is None or end.how == "timeout":
            return
        if end.at == "time":
            self._timer = loop.call_later(end.when, self._strike)
        elif end.at == "round":
            loop.at_round(loop.rounds + int(end.when), self._strike)

    def finish(self) -> None:
        """Take note that the campaign is over: nothing can strike it any more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()

    def passing(self, what: str, side: str) -> None:
        """Strike, if this is the point."""
        if side == "before":
            self._passed[what] += 1
        end = self._end
        if self._over or end is None or end.at != what or end.side != side:
            return
        if self._passed[what] != end.when:
            return
        if end.how == "fail":
            self.fails = True
            self._run.outcome.events["a failed write"] += 1
            raise sqlite3.OperationalError("disk I/O error")
        if end.lag:
            loop = self._run.loop
            loop.at_round(loop.rounds + end.lag, self._kill)
        else:
            self._kill()

    def _strike(self) -> None:
        assert self._end is not None
        assert self._task is not None
        if self._over or self._task.done():
            return
        how = self._end.how
        self.struck_at = self._run.loop.time()
        self._run.outcome.events[how] += 1
        self.cancels = how in {"cancel", "scope"}
        if how == "cancel":
            self._task.cancel()
        elif how == "scope":
            self._scope.cancel()
        elif how == "stop":
            self.stop.set()
        else:
            self._closing = self._run.loop.create_task(self._gateway.aclose())

    def _kill(self) -> None:
        """End the process in the middle: the journal stays as it is, the sockets close."""
        if self.killed or self._over:
            return
        self.killed = True
        self._run.outcome.events["killed"] += 1
        journal = self._run._journal
        self.copy = journal.parent.parent / str(int(journal.parent.name) + 1) / journal.name
        self.copy.parent.mkdir()
        for file in journal.parent.glob(journal.name + "*"):
            shutil.copy(file, self.copy.parent / file.name)
        self._cable.cut()
        # What still runs writes to the old journal and to dead sockets.
        if self._task is not None:
            self._run.loop.call_soon(self._task.cancel)


# --- the hooks ---------------------------------------------------------------------------------


@contextlib.contextmanager
def _hooked(run: _Run) -> Iterator[None]:
    """Let the run see requests leave and the journal commit, and own the clock and the dice."""
    with contextlib.ExitStack() as stack:

        def patch(owner: Any, name: str, value: Any) -> Any:
            original = getattr(owner, name)
            setattr(owner, name, value)
            stack.callback(setattr, owner, name, original)
            return original

        transport = _transport.Transport
        attempt = transport.attempt

        @functools.wraps(attempt)
        def attempting(self: Any, *args: Any, leave: Any, **kwargs: Any) -> Any:
            async def leaving() -> None:
                await leave()
                run.passing("request", "before")
                run.loop.call_soon(run.passing, "request", "after")

            return attempt(self, *args, leave=leaving, **kwargs)

        patch(transport, "attempt", attempting)
        store = _store()
        for name in ("add_people", "publish", "commit"):
            if hasattr(store, name):
                patch(store, name, _watched(getattr(store, name), run))
        patch(time, "time", lambda: _EPOCH + run.loop.time())
        yield


def _watched(write: Callable[..., Any], run: _Run) -> Callable[..., Any]:
    """Let the run see a write to the journal begin and end."""

    @functools.wraps(write)
    def watched(*args: Any, **kwargs: Any) -> Any:
        run.passing("commit", "before")
        done = write(*args, **kwargs)
        run.passing("commit", "after")
        return done

    return watched


@functools.cache
def _store() -> Any:
    try:
        return importlib.import_module("gateway_sms_async._store").Store
    except (ImportError, AttributeError):
        return None


@functools.cache
def _house() -> str | None:
    """Return where rooms are made, for a socket and journals each: in memory, if that can be had."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) else None


def run(schedule: Schedule) -> Outcome:
    """Play a schedule in a fresh loop, and judge it."""
    room = Path(tempfile.mkdtemp(prefix="schedule-", dir=_house()))
    loop = ReplayLoop(most_rounds=_MOST_ROUNDS, executor_rounds=schedule.journal_rounds)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(_complaint(context)))
    playing = _Run(schedule, loop, room)
    state = random.getstate()
    random.seed(schedule.seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        with _hooked(playing):
            loop.run_until_complete(playing.play())
    except Exception as error:
        word = "hung" if isinstance(error, EndlessError | DeadlockError) else "broke"
        playing.outcome.wrong.append(f"{word}: {type(error).__name__}: {error}")
        playing.outcome.trace = playing._weather.trace()
        _abandon(loop)
    finally:
        loop.close()
        random.setstate(state)
        shutil.rmtree(room, ignore_errors=True)
        if collects:
            gc.enable()
    playing.outcome.wrong += [f"the loop: {words}" for words in complaints]
    return playing.outcome


def _abandon(loop: ReplayLoop) -> None:
    """End what a run that went wrong has left."""
    with contextlib.suppress(Exception):
        for _ in range(3):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))


def _complaint(context: Mapping[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"


# --- many runs ---------------------------------------------------------------------------------


@dataclass
class Summary:
    """What many runs came to; adds up."""

    count: int = 0
    wrong: dict[int, list[str]] = field(default_factory=dict)
    cells: Counter[Cell] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    rounds: int = 0
    slowest: tuple[float, int] = (0.0, 0)

    def add(self, outcome: Outcome, seconds: float) -> None:
        seed = outcome.schedule.seed
        self.count += 1
        if outcome.wrong:
            self.wrong[seed] = outcome.wrong
        self.cells += outcome.cells
        self.events += outcome.events
        self.requests += len(outcome.trace)
        self.rounds += outcome.rounds
        self.slowest = max(self.slowest, (seconds, seed))

    def merge(self, other: Summary) -> None:
        self.count += other.count
        self.wrong |= other.wrong
        self.cells += other.cells
        self.events += other.events
        self.requests += other.requests
        self.rounds += other.rounds
        self.slowest = max(self.slowest, other.slowest)

    def report(self, most: int = 20) -> str:
        """Say which seeds are wrong, why, and how to see it again."""
        lines = [f"{self.count} schedules, {len(self.wrong)} wrong"]
        for seed, words in sorted(self.wrong.items())[:most]:
            lines.append(f"  python -m tests.schedules --seed {seed}    # {words[0]}")
        return "\n".join(lines)


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of a seed; the directed ones have negative seeds."""
    return draw(seed) if seed >= 0 else _direct(-1 - seed, CELLS[-1 - seed])


def run_many(seeds: Iterable[int], *, guard: float | None = None) -> Summary:
    """Run seeds one after another. `guard` is the real seconds that one may take."""
    summary = Summary()
    for number, seed in enumerate(seeds):
        started = time.perf_counter()
        schedule = schedule_of(seed)
        with _guarded(guard):
            try:
                outcome = run(schedule)
            except _StuckError:
                outcome = Outcome(schedule, wrong=[f"hung: more than {guard} real seconds"])
        summary.add(outcome, time.perf_counter() - started)
        if number % 50 == 49:
            gc.collect()
    return summary


class _StuckError(KeyboardInterrupt):
    """Passes through whatever the loop runs, as only this kind does."""


@contextlib.contextmanager
def _guarded(seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return

    def stuck(_signal: int, _frame: FrameType | None) -> None:
        raise _StuckError

    before = signal.signal(signal.SIGALRM, stuck)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


_CHUNK = 100


def _work(seeds: Sequence[int]) -> Summary:
    return run_many(seeds, guard=10.0)


def run_in_processes(seeds: Sequence[int], jobs: int) -> Iterator[Summary]:
    """Run many seeds in worker processes, and yield what each piece of them came to."""
    pieces = [seeds[at : at + _CHUNK] for at in range(0, len(seeds), _CHUNK)]
    if jobs == 1:
        yield from map(_work, pieces)
        return
    with multiprocessing.Pool(jobs, maxtasksperchild=200) as pool:
        yield from pool.imap_unordered(_work, pieces)


def _write(text: object = "") -> None:
    sys.stdout.write(f"{text}\n")


def _show(seed: int) -> int:
    schedule = schedule_of(seed)
    _write(schedule.describe())
    outcome = run(schedule)
    _write()
    for line in outcome.trace:
        _write(line)
    _write()
    for label, receipt in outcome.receipts:
        _write(f"{label}: {receipt}")
    texted_twice = {number: n for number, n in outcome.ledger.items() if n > 1}
    _write(f"ledger: {len(outcome.ledger)} texted, twice: {texted_twice or 'nobody'}")
    _write(f"events: {dict(outcome.events)}")
    _write(f"fingerprint: {outcome.digest()}")
    _write("\n".join(outcome.wrong) or "right")
    return 1 if outcome.wrong else 0


def _fingerprints(seeds: Iterable[int]) -> int:
    for seed in seeds:
        _write(f"{seed} {run(schedule_of(seed)).digest()}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seed", type=int, help="show one")
    parser.add_argument("--directed", action="store_true", help="one for each cell instead")
    parser.add_argument("--fingerprints", action="store_true", help="print one a seed")
    options = parser.parse_args(arguments)
    seeds: Sequence[int] = range(options.start, options.start + options.count)
    if options.seed is not None:
        return _show(options.seed)
    if options.directed:
        seeds = range(-1, -1 - len(CELLS), -1)
    if options.fingerprints:
        return _fingerprints(seeds)
    started = time.perf_counter()
    total = Summary()
    for piece in run_in_processes(seeds, options.jobs):
        total.merge(piece)
        seconds = time.perf_counter() - started
        sys.stderr.write(
            f"\r{total.count} schedules, {len(total.wrong)} wrong, "
            f"{total.count / seconds:.0f} a second"
        )
    sys.stderr.write("\n")
    _write(total.report())
    missed = set(CELLS) - set(total.cells)
    fewest = min(((n, cell) for cell, n in total.cells.items()), default=None)
    thin = sum(total.cells[cell] * 100 < total.count for cell in CELLS)
    _write(
        f"{len(CELLS) - len(missed)} of {len(CELLS)} cells hit, {sum(total.cells.values())} faults"
    )
    _write(
        f"{thin} cells less than 100 times per 10,000; fewest hits: {fewest}; missed: {sorted(missed) if len(missed) < 30 else len(missed)}"
    )
    _write(f"events: {dict(total.events.most_common(30))}")
    _write(
        f"{total.requests / max(1, total.count):.1f} requests and "
        f"{total.rounds / max(1, total.count):.0f} rounds a schedule; slowest: "
        f"{total.slowest[0]:.2f} s, seed {total.slowest[1]}"
    )
    seconds = time.perf_counter() - started
    _write(f"{total.count / seconds:.1f} schedules a second, {seconds:.0f} s, {options.jobs} jobs")
    return 1 if total.wrong else 0


if __name__ == "__main__":
    if "PYTHONHASHSEED" not in os.environ:
        # Sets of numbers are laid out by it: the same seed should be the same run here, too.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.schedules", *sys.argv[1:]])
    sys.exit(main())
