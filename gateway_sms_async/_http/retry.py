"""What may be repeated, how often, and after how long.

The table below is the whole rule; the session reads it, and the loop around it is the library
`backoff`. Only the session enters.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, ParamSpec, TypeVar

import backoff

from ..errors import GatewayError

__all__ = [
    "HOLD_CAP",
    "TABLE",
    "Action",
    "AttemptFailed",
    "AttemptResult",
    "Operation",
    "RetryBudget",
    "RetryPolicy",
    "action",
    "backoff_delay",
    "check_retry",
    "parse_retry_after",
    "repeating",
]

P = ParamSpec("P")


T = TypeVar("T")


HOLD_CAP = 300.0
"""Seconds: a longer `Retry-After` is an error, not a wait."""


class AttemptResult(Enum):
    """What one attempt came to."""

    NOT_SENT = "nothing was written"
    REJECTED = "a complete no, in the gateway's own words"
    REJECTED_401 = "the token is not accepted"
    REJECTED_429 = "too many requests"
    DONE = "a complete, readable yes"
    AMBIGUOUS = "everything else"


class Operation(Enum):
    """The requests, told apart by what repeating them would do."""

    READ = "GET"
    SEND = "POST"
    OPEN = "POST, transaction=true"
    APPEND = "PUT, transaction=true"
    CLOSE = "PUT, transaction=false"
    UPDATE = "PUT, transaction left out"
    DELETE = "DELETE"


class Action(Enum):
    """What the session does about an attempt that was not done."""

    REPEAT = "repeat after a wait"
    HOLD = "the whole session waits, then repeat"
    RENEW = "renew the token once for all, then repeat"
    RAISE = "raise: nothing was applied"
    UNKNOWN = "raise OutcomeUnknownError: the caller looks, never repeats"


_ALIKE = {
    AttemptResult.NOT_SENT: Action.REPEAT,
    AttemptResult.REJECTED: Action.RAISE,
    AttemptResult.REJECTED_401: Action.RENEW,
    AttemptResult.REJECTED_429: Action.HOLD,
}


# Only what happens to an ambiguous attempt depends on the request. Reading twice harms nobody. An
# open that was lost is an orphan which never sends, so another may be opened. All the others
# could reach somebody twice: they are looked into by whoever made them, never repeated here.
TABLE: dict[Operation, dict[AttemptResult, Action]] = {
    Operation.READ: _ALIKE | {AttemptResult.AMBIGUOUS: Action.REPEAT},
    Operation.SEND: _ALIKE | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.OPEN: _ALIKE | {AttemptResult.AMBIGUOUS: Action.REPEAT},
    Operation.APPEND: _ALIKE | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.CLOSE: _ALIKE | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.UPDATE: _ALIKE | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.DELETE: _ALIKE | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
}


def action(operation: Operation, outcome: AttemptResult) -> Action:
    """Look up what to do about an attempt that was not done."""
    return TABLE[operation][outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How long one call may try. All times in seconds.

    - `max_attempts`: 1 turns retries off.
    - `base_delay`, `max_delay`: the wait before the n-th retry is random up to
      `base_delay * 2**n`, at most `max_delay`; what the gateway asks for is a floor under it.
    - `max_elapsed`: bounds one whole call, waits included.
    """

    max_attempts: int = 5
    base_delay: float = 0.5
    max_delay: float = 20.0
    max_elapsed: float = 120.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError("max_attempts must be at least 1 (1 turns retries off)")
        for name in ("base_delay", "max_delay", "max_elapsed"):
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive number of seconds")


class RetryBudget:
    """Bounds what retries add to an outage: one bucket for all the calls of a session.

    A retry costs 14 of 500. A call that succeeds at once gives 1 back, a retried one what its
    last retry took. When the bucket is empty, calls fail without a retry.
    """

    CAPACITY = 500
    COST = 14

    def __init__(self) -> None:
        self.left = self.CAPACITY

    def take(self) -> bool:
        """Pay for one retry, if that can be paid."""
        if self.left < self.COST:
            return False
        self.left -= self.COST
        return True

    def succeeded(self, *, retried: bool) -> None:
        """Refill after a success."""
        if self.left < self.CAPACITY:
            self.left = min(self.CAPACITY, self.left + (self.COST if retried else 1))


class AttemptFailed(Exception):  # noqa: N818 - it never leaves the session; not an error of ours
    """One attempt that was not done: what it came to, and the error to raise if it was the last.

    `wait` is the seconds until the next attempt, None when there is none; `permanent` says that
    trying again cannot help.
    """

    def __init__(
        self, outcome: AttemptResult, error: GatewayError, *, retry_after: float | None = None
    ) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.error = error
        self.retry_after = retry_after
        self.wait: float | None = None
        self.permanent = False


def backoff_delay(policy: RetryPolicy, tries: int, *, floor: float | None, least: float) -> float:
    """Return the seconds to wait after the `tries`-th attempt.

    `floor` is what the gateway asked for; `least` the share of the exponential wait that is not
    left to chance (0 for full jitter).
    """
    doublings = min(tries - 1, 60)  # a thousand would overflow
    ceiling = min(policy.max_delay, policy.base_delay * 2.0**doublings)
    jittered = ceiling * (least + (1.0 - least) * random.random())  # noqa: S311 - not a secret
    return max(jittered, floor or 0.0)


_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Read a `Retry-After` header: whole seconds or an HTTP date; None for anything else.

    `now` is the wall clock in seconds. A date in the past is 0 seconds.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - now) if moment.tzinfo is not None else None
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _waits() -> Generator[float, Any, None]:
    failed: AttemptFailed = yield 0.0  # backoff's first send only starts the generator
    while True:
        failed = yield failed.wait or 0.0


def _is_final(failed: Exception) -> bool:
    return not isinstance(failed, AttemptFailed) or failed.wait is None


def repeating(attempt: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Repeat `attempt` while it fails with a `wait`. The one place that knows `backoff`."""
    # jitter=None: the default would shrink what the gateway asked for. logger=None: the default
    # logs the arguments, and so people's numbers.
    return backoff.on_exception(_waits, AttemptFailed, giveup=_is_final, jitter=None, logger=None)(
        attempt
    )


def check_retry(retry: RetryPolicy) -> RetryPolicy:
    """Refuse what is no RetryPolicy."""
    if not isinstance(retry, RetryPolicy):
        raise TypeError("retry must be a RetryPolicy")
    return retry
