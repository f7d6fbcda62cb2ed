"""Watches one attempt, for whoever listens, and tells of it when it has ended.

Only the session enters, and makes one only where there is a listener.
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
    """What an attempt asks for: `size` is the bytes of its body."""

    operation: Operation
    method: str
    base_url: str
    path: str
    size: int


class AttemptObserver:
    """One attempt from its beginning. It tells once, by the first of its ends that comes.

    `waited` is the seconds that it waited to leave once its turn had come.
    """

    __slots__ = (
        "_asked",
        "_began",
        "_emit",
        "_loop",
        "_message_id",
        "_reported",
        "_started",
        "_template",
        "_tries",
        "waited",
    )

    def __init__(self, emit: Emit, asked: AttemptContext, *, tries: int) -> None:
        self._emit = emit
        self._asked = asked
        self._tries = tries
        self._template, self._message_id = parse_path(asked.path)
        self._loop = asyncio.get_running_loop()
        self._started = self._loop.time()
        self._began: float | None = None
        self._reported = False
        self.waited: float = 0.0

    def started(self) -> None:
        """Take note that its turn has come: what follows is the request itself."""
        self._began = self._loop.time()

    def done(self, reply: Reply, data: object) -> None:
        """Tell that it was answered with a yes, and this data."""
        if self._message_id is None:
            one = cast("tuple[object, ...]", data)[0] if isinstance(data, tuple) else data
            self._message_id = safe_id(one.id) if isinstance(one, Message) else None
        self._tell("done", None, reply)

    def failed(self, failed: AttemptFailed, reply: Reply | None) -> None:
        """Tell that it came to this."""
        self._tell(_OUTCOMES[failed.outcome], failed.error, reply)

    def holds(self, seconds: float, asked: float | None) -> None:
        """Tell that nothing leaves for so long because of what it was answered."""
        operation = _NAMES[self._asked.operation]
        self._emit(HoldEvent(operation=operation, seconds=seconds, retry_after=asked))

    def will_retry(self, wait: float, error: Exception, budget_left: int) -> None:
        """Tell that another attempt follows."""
        self._emit(
            RetryEvent(
                operation=_NAMES[self._asked.operation],
                message_id=self._message_id,
                wait=wait,
                tries=self._tries,
                error=type(error).__name__,
                budget_left=budget_left,
            )
        )

    def aborted(self, error: BaseException, *, sent: bool) -> None:
        """Tell that something from outside ended it, such as a cancellation."""
        self._tell("ambiguous" if sent else "not_sent", error, None)

    def _tell(
        self, outcome: AttemptOutcome, error: BaseException | None, reply: Reply | None
    ) -> None:
        if self._reported:
            return
        self._reported = True
        now = self._loop.time()
        began = self._began
        # What ended in line may have an error with the status of an earlier answer.
        answered = None if began is None else error
        asked = self._asked
        self._emit(
            AttemptEvent(
                operation=_NAMES[asked.operation],
                method=asked.method,
                base_url=asked.base_url,
                url_template=self._template,
                message_id=self._message_id,
                outcome=outcome,
                status=getattr(answered, "status", None) if reply is None else reply.status,
                code=getattr(answered, "code", None),
                error=None if error is None else type(error).__name__,
                tries=self._tries,
                waited=(now if began is None else began) - self._started + self.waited,
                duration=None if began is None else now - began - self.waited,
                request_bytes=asked.size,
                response_bytes=0 if reply is None else len(reply.body),
            )
        )
