"""Observes one attempt and reports it as an event when it has ended.

The session creates an observer only if there is a listener.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, cast

from .._events import (
    AttemptEvent,
    AttemptOutcome,
    Emit,
    HoldEvent,
    OperationName,
    RetryEvent,
    parse_path,
    safe_id,
)
from ..models import Message
from .retry import AttemptFailed, AttemptResult, Operation
from .transport import Reply

__all__ = ["AttemptContext", "AttemptObserver"]

_NAMES: dict[Operation, OperationName] = {
    Operation.READ: "read",
    Operation.SEND: "send",
    Operation.OPEN: "open",
    Operation.APPEND: "append",
    Operation.CLOSE: "close",
    Operation.UPDATE: "update",
    Operation.DELETE: "delete",
}


_OUTCOMES: dict[AttemptResult, AttemptOutcome] = {
    AttemptResult.NOT_SENT: "not_sent",
    AttemptResult.REJECTED: "rejected",
    AttemptResult.REJECTED_401: "rejected",
    AttemptResult.REJECTED_429: "rejected",
    AttemptResult.DONE: "done",
    AttemptResult.AMBIGUOUS: "ambiguous",
}


class AttemptContext(NamedTuple):
    """The request of an attempt. `size` is the size of its body in bytes."""

    operation: Operation
    method: str
    base_url: str
    path: str
    size: int

    def __repr__(self) -> str:
        return f"AttemptContext({self.operation}, {self.size} bytes)"


class AttemptObserver:
    """Observes one attempt from its creation. Only the first of its possible ends is reported.

    `waited` is the seconds that the attempt waited to depart after it had a slot.
    """

    __slots__ = (
        "_context",
        "_created_at",
        "_emit",
        "_loop",
        "_message_id",
        "_reported",
        "_started_at",
        "_template",
        "_tries",
        "waited",
    )

    def __init__(self, emit: Emit, context: AttemptContext, *, tries: int) -> None:
        self._emit = emit
        self._context = context
        self._tries = tries
        self._template, self._message_id = parse_path(context.path)
        self._loop = asyncio.get_running_loop()
        self._created_at = self._loop.time()
        self._started_at: float | None = None
        self._reported = False
        self.waited: float = 0.0

    def started(self) -> None:
        """Record that the attempt has a slot and that its request follows."""
        self._started_at = self._loop.time()

    def done(self, reply: Reply, data: object) -> None:
        """Report that the gateway said yes, with this data."""
        if self._message_id is None:
            one = cast("tuple[object, ...]", data)[0] if isinstance(data, tuple) else data
            self._message_id = safe_id(one.id) if isinstance(one, Message) else None
        self._report("done", None, reply)

    def failed(self, failed: AttemptFailed, reply: Reply | None) -> None:
        """Report how the attempt failed."""
        self._report(_OUTCOMES[failed.outcome], failed.error, reply)

    def held(self, seconds: float, retry_after: float | None) -> None:
        """Report that its response holds all requests for so many seconds."""
        operation = _NAMES[self._context.operation]
        self._emit(HoldEvent(operation=operation, seconds=seconds, retry_after=retry_after))

    def will_retry(self, wait: float, error: Exception, budget_left: int) -> None:
        """Report that another attempt follows."""
        self._emit(
            RetryEvent(
                operation=_NAMES[self._context.operation],
                message_id=self._message_id,
                wait=wait,
                tries=self._tries,
                error=type(error).__name__,
                budget_left=budget_left,
            )
        )

    def aborted(self, error: BaseException, *, sent: bool) -> None:
        """Report that something from outside ended the attempt, such as a cancellation."""
        self._report("ambiguous" if sent else "not_sent", error, None)

    def _report(
        self, outcome: AttemptOutcome, error: BaseException | None, reply: Reply | None
    ) -> None:
        if self._reported:
            return
        self._reported = True
        now = self._loop.time()
        started_at = self._started_at
        # An attempt that ended while it was queued may have an error with the status of an
        # earlier response.
        own_error = None if started_at is None else error
        context = self._context
        self._emit(
            AttemptEvent(
                operation=_NAMES[context.operation],
                method=context.method,
                base_url=context.base_url,
                url_template=self._template,
                message_id=self._message_id,
                outcome=outcome,
                status=getattr(own_error, "status", None) if reply is None else reply.status,
                code=getattr(own_error, "code", None),
                error=None if error is None else type(error).__name__,
                tries=self._tries,
                waited=(now if started_at is None else started_at) - self._created_at + self.waited,
                duration=None if started_at is None else now - started_at - self.waited,
                request_bytes=context.size,
                response_bytes=0 if reply is None else len(reply.body),
            )
        )
