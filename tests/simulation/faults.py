"""Decides which request meets which fault, and takes notes of everything on the wire."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from gateway_sms_async.testing import Fault, RecordedRequest
from tests.support.virtual_time import ReplayLoop

from .matrix import KINDS, OPERATIONS, Cell
from .plan import Schedule


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


@dataclass
class Note:
    """One request. `arrived` and `answered` say where in the order of all events; `body` and
    `status` are the gateway's own answer, which `spoilt` may still keep from the client.
    """

    request: RecordedRequest
    at: float
    life: int
    fault: str
    arrived: int
    answered: int | None = None
    status: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    spoilt: Fault | None = None

    @property
    def message_id(self) -> str:
        """The message in the path; of a POST the one that it made."""
        pieces = self.request.path.strip("/").split("/")
        if len(pieces) > 1:
            return pieces[1]
        document = self.document
        return str(document["id"]) if document else ""

    @property
    def document(self) -> dict[str, Any] | None:
        """The message as the gateway's own answer shows it."""
        data = self.body.get("data") if self.body.get("success") else None
        if isinstance(data, list):
            data = data[0] if len(data) == 1 else None
        return data if isinstance(data, dict) and "transaction" in data else None

    @property
    def may_be_heard(self) -> bool:
        """Whether the client may have read the gateway's own answer."""
        if self.answered is None:
            return False
        return self.spoilt is None or self.spoilt.kind in {"double_encoded", "drip"}

    @property
    def rejected(self) -> bool:
        """Whether the client may have read a complete no."""
        if self.answered is None:
            return False
        status, envelope = self.status, not self.body.get("success")
        if not self.may_be_heard:
            assert self.spoilt is not None
            if self.spoilt.kind in {"status", "html"}:
                status = self.spoilt.code or 0
                envelope = self.spoilt.kind == "status" and self.spoilt.envelope
            elif self.spoilt.kind in {"empty", "invalid_json"}:
                # Spoilt is only the body: a no by its status alone is still one.
                envelope = False
            else:
                return False
        return status in {401, 413, 429} or (envelope and status in {400, 402, 403, 404, 406, 422})


class Weather:
    """Decides about every request, by its operation and its number alone, and takes notes."""

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
        self.notes: list[Note] = []
        self.fair = False
        self.life = 0
        self.cells: Counter[Cell] = Counter()

    def fault(self, request: RecordedRequest) -> Fault | None:
        """Say what strikes this request."""
        operation = request.operation
        index = self._seen[operation]
        self._seen[operation] += 1
        name, side, rng = self._decide(operation, index)
        words = name and f"{name} ({side})"
        self.notes.append(
            Note(request, self._loop.time(), self.life, words, arrived=next(self._events))
        )
        if not name:
            return None
        self.cells[operation, name, side] += 1
        return KINDS[name].make(rng, side == "after")

    def carried(
        self, request: RecordedRequest, status: int, body: dict[str, Any], spoilt: Fault | None
    ) -> None:
        """Take note of the gateway's answer, and of what is still to strike it."""
        for note in reversed(self.notes):
            if note.request is request:
                note.answered = next(self._events)
                note.status, note.body, note.spoilt = status, body, spoilt
                return

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
        for note in self.notes:
            request = note.request
            message = ""
            if request.path.count("/") > 1 and request.path != "/messages/":
                message = request.path.split("/")[2]
            place = places.setdefault(message, len(places) + 1) if message else 0
            lines.append(
                Line(
                    round(note.at - self._began, 6),
                    note.life,
                    request.operation,
                    place,
                    _count_recipients(request.body),
                    note.fault,
                    request.applied,
                    request.status,
                )
            )
        return lines


def _count_recipients(body: object) -> int:
    recipients = body.get("recipients") if isinstance(body, dict) else None
    return len(recipients) if isinstance(recipients, list) else int(recipients is not None)
