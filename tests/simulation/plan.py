"""A schedule: everything in a run that the client does not decide."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from gateway_sms_async import Recipient

from .matrix import OPERATIONS, Cell


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


BLIND_FOR = 10
"""More looks than the messages that are open at a time when a refusal stops the campaign."""
_NO_LOOK = frozenset({"401", "403"})


class Pin(NamedTuple):
    """The request number `index` (from 0) of an operation meets this kind of fault."""

    operation: str
    index: int
    kind: str
    side: str


class SingleSend(NamedTuple):
    """One call of `messages.send`, by the client of this number, `at` seconds after the start.

    `reference` is None if the library chooses it. `cancel` is after how many seconds it is cancelled.
    """

    numbers: tuple[str, ...]
    at: float = 0.0
    client: int = 0
    reference: str | None = None
    cancel: float | None = None


class Outsider(NamedTuple):
    """Another client closes all open messages `at` seconds after the start of a process.

    The campaign's client is asked for one of them (number `which`) `reads_after` seconds later.
    """

    at: float
    reads_after: float
    which: int
    process: int = 0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Everything in a run that the client does not decide. The last process has no faults."""

    seed: int
    sends: tuple[SingleSend, ...] = ()
    """If there are any, these are sent instead of a campaign."""
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
    shards: int = 1
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
    outsider: Outsider | None = None
    processes: tuple[Interruption | None, ...] = (None,)

    @property
    def is_blind(self) -> bool:
        """Whether the looks of the first process are refused, so that it cannot close anything."""
        looks = {pin.index for pin in self.pins if pin.operation == "get" and pin.kind in _NO_LOOK}
        return looks.issuperset(range(BLIND_FOR))

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


def line(count: int) -> tuple[Item, ...]:
    """Return a simple source of `count` consecutive numbers."""
    numbers = [f"+39-340{n:07}" for n in range(count)]
    return tuple(Item(number, None, "str", number) for number in numbers)
