"""Decides which request meets which fault, and records everything on the wire."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any, NamedTuple

from gateway_sms_async.testing import Fault, RecordedRequest
from tests.support.virtual_time import ReplayLoop

from .guard import Guard, message_in
from .matrix import KINDS, OPERATIONS, Cell
from .plan import Schedule
from .record import RequestRecord


class Line(NamedTuple):
    """One request in the trace; `message` numbers the messages in order of appearance."""

    at: float
    process: int
    operation: str
    message: int
    recipients: int
    fault: str
    applied: bool
    status: int | None

    def __str__(self) -> str:
        message = f"message {self.message}" if self.message else ""
        return (
            f"{self.at:10.3f}  process {self.process}  {self.operation:<10} {message:<11}"
            f"{self.recipients:>3} recipients  {self.fault or '-':<24}"
            f"{'applied' if self.applied else '':<8} {self.status or ''}"
        )


class HeldCopy(NamedTuple):
    """A copy of a refused close that arrives after its process has ended.

    `at_close`: right before the next close of this message, otherwise between the two processes.
    """

    request: RecordedRequest
    process: int
    at_close: bool


class Closure(NamedTuple):
    """Others have closed messages. An answer about one of `telling` shows it to the client.

    `is_by_outsider`: it was at a moment of its own, and not right before one of the client's requests.
    """

    at: float
    process: int
    telling: tuple[str, ...]
    is_by_outsider: bool


class FaultInjector:
    """Decides about each request, by its operation and number alone, and records it."""

    def __init__(self, schedule: Schedule, loop: ReplayLoop) -> None:
        self._schedule = schedule
        self._loop = loop
        self._began = loop.time()
        self._seen: Counter[str] = Counter()
        self._arrived = 0
        self._events = itertools.count()
        self._pins = {(pin.operation, pin.index): pin for pin in schedule.pins}
        self._by_operation = {
            operation: tuple(name for name in schedule.kinds if operation in KINDS[name].on)
            for operation in schedule.targets
        }
        self.records: list[RequestRecord] = []
        self.guard = Guard(self.records)
        self.faultless = False
        self.process = 0
        self.cells: Counter[Cell] = Counter()
        self._held: list[HeldCopy] = []
        self.closed_late: set[str] = set()
        """The recipients of messages that a copy has closed after their process ended."""
        self.closed_by_others: set[str] = set()
        """The recipients of messages that others have closed."""
        self.closures: list[Closure] = []

    def fault(self, request: RecordedRequest) -> Fault | None:
        """Return the fault for this request, None for no fault."""
        operation = request.operation
        index = self._seen[operation]
        self._seen[operation] += 1
        if operation == "close":
            self.land_copies(before=request)
        name, side, rng = self._decide(operation, index)
        if name in Guard.KINDS and not self.guard.allows(name, request, self.process):
            name = ""
        description = name and f"{name} ({side})"
        self.records.append(
            RequestRecord(
                request, self._loop.time(), self.process, description, arrived=next(self._events)
            )
        )
        if not name:
            return None
        self.cells[operation, name, side] += 1
        if name == "copy held":
            self._held.append(HeldCopy(request, self.process, at_close=side == "after"))
        return KINDS[name].make(rng, side == "after")

    def still_allows(self, fault: Fault, request: RecordedRequest) -> bool:
        """Whether a fault may still affect its request, which took some time to arrive."""
        if fault.kind not in {"closed_by_others", "mixed_up"}:
            return True
        record = next(one for one in reversed(self.records) if one.request is request)
        if fault.kind == "mixed_up":
            # Another answer may have come before it than the one of which this was decided.
            allows = self.guard.allows("mixed up", request, record.process)
        else:
            allows = self.guard.all_known(request, self.process)
            if allows:
                self._note_closure((message_in(request.path),), is_by_outsider=False)
        if not allows:
            name, side = record.fault.removesuffix(")").split(" (")
            self.cells -= Counter([(request.operation, name, side)])
            record.fault = ""
        return allows

    def close_by_others(self, simulator: Any) -> list[str]:
        """Have others close all open messages; return their ids, none if no client could know."""
        closed = self.guard.closable(self.process)
        if closed:
            self._note_closure(tuple(closed), is_by_outsider=True)
            simulator.gateway.close_all()
        return closed

    def _note_closure(self, telling: tuple[str, ...], *, is_by_outsider: bool) -> None:
        for message in self.guard.simulator.gateway.messages.values():
            if message.is_open:
                self.closed_by_others.update(message.numbers)
        self.closures.append(Closure(self._loop.time(), self.process, telling, is_by_outsider))

    def land_copies(self, *, before: RecordedRequest | None = None) -> None:
        """Let the gateway have the copies that are due between processes, or before this close."""
        for copy in list(self._held):
            at_close = before is not None and before.path == copy.request.path
            if copy.process >= self.process or copy.at_close != at_close:
                continue
            self._held.remove(copy)
            message_id = copy.request.path.split("/")[2]
            gateway = self.guard.simulator.gateway
            if gateway.put(message_id, copy.request.body).body["success"]:
                self.closed_late.update(gateway.messages[message_id].numbers)

    def record_response(
        self,
        request: RecordedRequest,
        status: int,
        body: dict[str, Any],
        remaining_fault: Fault | None,
    ) -> None:
        """Record the gateway's response, and the fault that remains for it."""
        for record in reversed(self.records):
            if record.request is request:
                record.responded = next(self._events)
                record.status, record.body, record.remaining_fault = status, body, remaining_fault
                return

    def _decide(self, operation: str, index: int) -> tuple[str, str, Random]:
        schedule = self._schedule
        if operation not in OPERATIONS:
            return "", "", Random(schedule.seed)
        rng = Random((schedule.seed * 1009 + OPERATIONS.index(operation)) * 100_003 + index)
        pin = self._pins.get((operation, index))
        if self.faultless:
            return "", "", rng
        if pin is not None:
            return pin.kind, pin.side, rng
        names = self._by_operation.get(operation)
        if not names or rng.random() >= schedule.share:
            return "", "", rng
        name = rng.choice(names)
        return name, rng.choice(KINDS[name].sides_of(operation)), rng

    def delay(self, request: RecordedRequest) -> float:
        """Return the seconds that this request and its response are in transit."""
        self._arrived += 1
        most = 0.0 if self.faultless else self._schedule.delay
        if not most:
            return 0.0
        rng = Random(self._schedule.seed * 1_000_003 + self._arrived)
        return rng.choice((0.0, 0.1, 0.5, 1.0)) * most * rng.random()

    def trace(self) -> list[Line]:
        """Return what has been on the wire so far."""
        numbers: dict[str, int] = {}
        lines: list[Line] = []
        for record in self.records:
            request = record.request
            message = ""
            if request.path.count("/") > 1 and request.path != "/messages/":
                message = request.path.split("/")[2]
            number = numbers.setdefault(message, len(numbers) + 1) if message else 0
            lines.append(
                Line(
                    round(record.at - self._began, 6),
                    record.process,
                    request.operation,
                    number,
                    _count_recipients(request.body),
                    record.fault,
                    request.applied,
                    request.status,
                )
            )
        return lines


def _count_recipients(body: object) -> int:
    recipients = body.get("recipients") if isinstance(body, dict) else None
    return len(recipients) if isinstance(recipients, list) else int(recipients is not None)
