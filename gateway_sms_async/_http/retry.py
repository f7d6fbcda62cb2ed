"""What may be retried, how often, and after how long.

The table below is the whole rule. The session reads it; the loop is the library `backoff`. aiohttp
would repeat a PUT or DELETE by itself when a connection breaks; `transport` keeps it from that.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, Concatenate, ParamSpec, TypeVar

import backoff

from ..errors import GatewayError

__all__ = [
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
    "retrying",
]

P = ParamSpec("P")


T = TypeVar("T")


class AttemptResult(Enum):
    """The result of one attempt."""

    NOT_SENT = "nothing was written"
    REJECTED = "a complete no, in the gateway's own words"
    REJECTED_401 = "the token is not accepted"
    REJECTED_429 = "too many requests"
    DONE = "a complete, readable yes"
    AMBIGUOUS = "everything else"


class Operation(Enum):
    """The kinds of requests, distinguished by what a repetition would do."""

    READ = "GET"
    SEND = "POST"
    OPEN = "POST, transaction=true"
    APPEND = "PUT, transaction=true"
    CLOSE = "PUT, transaction=false"
    UPDATE = "PUT, transaction left out"
    DELETE = "DELETE"


class Action(Enum):
    """What the session does after a failed attempt."""

    REPEAT = "repeat after a wait"
    HOLD = "the whole session waits, then repeat"
    RENEW = "renew the token once for all, then repeat"
    RAISE = "raise: nothing was applied"
    UNKNOWN = "raise OutcomeUnknownError: the caller looks, never repeats"


_SAME_FOR_ALL = {
    AttemptResult.NOT_SENT: Action.REPEAT,
    AttemptResult.REJECTED: Action.RAISE,
    AttemptResult.REJECTED_401: Action.RENEW,
    AttemptResult.REJECTED_429: Action.HOLD,
}


# Only the action after an ambiguous attempt depends on the kind of request. Reading twice is
# harmless. An open whose response was lost leaves an orphan that never sends, so another may be
# opened. All the others could reach a recipient twice: their caller looks at the message, and they
# are never repeated here.
TABLE: dict[Operation, dict[AttemptResult, Action]] = {
    Operation.READ: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.REPEAT},
    Operation.SEND: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.OPEN: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.REPEAT},
    Operation.APPEND: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.CLOSE: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.UPDATE: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
    Operation.DELETE: _SAME_FOR_ALL | {AttemptResult.AMBIGUOUS: Action.UNKNOWN},
}


def action(operation: Operation, outcome: AttemptResult) -> Action:
    """Look up what to do after a failed attempt."""
    return TABLE[operation][outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and for how long one call is retried. All times are in seconds.

    - `max_attempts`: attempts per call; 1 turns retries off.
    - `base_delay`, `max_delay`: the wait before the n-th retry is random, up to
      `base_delay * 2**(n - 1)` and at most `max_delay`. If the gateway asks for a longer wait
      (`Retry-After`), that one counts.
    - `max_elapsed`: limits one whole call, waits included.

    Raises ValueError if `max_attempts` is below 1 or a time is not a positive number.
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
    """Limits what retries add to an outage: one bucket for all the calls of a session.

    A retry costs 14 of 500. A call that succeeds at once gives 1 back, a retried call what its
    last retry cost. When the bucket is empty, calls fail without a retry.
    """

    CAPACITY = 500
    COST = 14

    def __init__(self) -> None:
        self.left = self.CAPACITY

    def take(self) -> bool:
        """Pay for one retry; returns False if the bucket holds too little."""
        if self.left < self.COST:
            return False
        self.left -= self.COST
        return True

    def succeeded(self, *, retried: bool) -> None:
        """Refill after a success."""
        if self.left < self.CAPACITY:
            self.left = min(self.CAPACITY, self.left + (self.COST if retried else 1))


class AttemptFailed(Exception):  # noqa: N818 - it never leaves the session; not an error of ours
    """One failed attempt: its result, and the error to raise if it was the last one.

    `wait` is the seconds until the next attempt, None if no other follows. `permanent` is True if
    a retry cannot help.
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


def backoff_delay(
    policy: RetryPolicy, tries: int, *, floor: float | None, fixed_share: float
) -> float:
    """Return the seconds to wait after the `tries`-th attempt.

    `floor` is the wait that the gateway asked for. `fixed_share` is the part of the exponential
    wait that is not random (0 for full jitter).
    """
    doublings = min(tries - 1, 60)  # a thousand would overflow
    ceiling = min(policy.max_delay, policy.base_delay * 2.0**doublings)
    share = fixed_share + (1.0 - fixed_share) * random.random()  # noqa: S311 - not a secret
    return max(ceiling * share, floor or 0.0)


_SECONDS = re.compile(r"[0-9]{1,10}", re.ASCII)


def parse_retry_after(value: str | None, *, now: float) -> float | None:
    """Read a `Retry-After` header: whole seconds or an HTTP date. Returns None for anything else.

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
    # jitter=None: the default would shrink the wait that the gateway asked for. logger=None: the
    # default logs the arguments, and so the recipients' numbers.
    return backoff.on_exception(_waits, AttemptFailed, giveup=_is_final, jitter=None, logger=None)(
        attempt
    )


def retrying(
    attempt: Callable[P, Awaitable[T]],
) -> Callable[Concatenate[AttemptFailed, P], Awaitable[T]]:
    """Do the same as `repeating` after a first attempt, whose failure is the first argument."""
    repeated = repeating(attempt)

    async def retry(first: AttemptFailed, /, *args: P.args, **kwargs: P.kwargs) -> T:
        await asyncio.sleep(first.wait or 0.0)
        return await repeated(*args, **kwargs)

    return retry


def check_retry(retry: RetryPolicy) -> RetryPolicy:
    """Return the policy; raises TypeError if it is not a RetryPolicy."""
    if not isinstance(retry, RetryPolicy):
        raise TypeError("retry must be a RetryPolicy")
    return retry
