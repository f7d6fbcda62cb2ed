"""What may go wrong on the way, and the queue that says which request meets it.

Tests fill the queue, the server empties it. How a fault looks on the wire is `wire.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .requests import METHODS, OAUTH_OPERATIONS, OPERATIONS, RecordedRequest

_WITHOUT_ANSWER: Final = frozenset({"reset", "close", "hang", "late"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; make it with the functions below, each of which says what the client sees.

    `after_apply` tells whether the gateway carries the request out before the fault strikes.
    """

    kind: str
    after_apply: bool = False
    code: int | None = None
    seconds: float = 0.0
    error: int | None = None
    retry_after: str | None = None
    envelope: bool = True
    location: str = ""
    then: Fault | None = None

    @property
    def answers(self) -> bool:
        """Whether the client gets at least the head of an answer."""
        return self.kind not in _WITHOUT_ANSWER

    @staticmethod
    def reset(*, after_apply: bool = False) -> Fault:
        """Reset the connection (RST)."""
        return Fault(kind="reset", after_apply=after_apply)

    @staticmethod
    def close(*, after_apply: bool = False) -> Fault:
        """Close the connection (FIN) without an answer."""
        return Fault(kind="close", after_apply=after_apply)

    @staticmethod
    def hang(*, after_apply: bool = False) -> Fault:
        """Never answer; ends when the client leaves or the simulator stops."""
        return Fault(kind="hang", after_apply=after_apply)

    @staticmethod
    def late(seconds: float) -> Fault:
        """Never answer, and carry the request out `seconds` later, whether the client stays or not.

        What is still to come when the simulator stops, or at `Simulator.land_late()`, is
        carried out then.
        """
        return Fault(kind="late", seconds=seconds)

    @staticmethod
    def partial(*, then: Fault | None = None) -> Fault:
        """Carry the request out with the first half of its recipients.

        The answer is the gateway's own, with what was taken; or the fault `then` strikes.
        """
        if then is not None and then.kind in ("late", "partial", "lost", "repeat"):
            raise ValueError(f"a partial request cannot end as {then.kind!r}")
        return Fault(kind="partial", after_apply=True, then=then)

    @staticmethod
    def lost() -> Fault:
        """Answer as if the request was carried out, and keep nothing of it (a lost update)."""
        return Fault(kind="lost")

    @staticmethod
    def repeat(seconds: float = 0.0) -> Fault:
        """Carry the request out, answer as usual, and carry it out again `seconds` later.

        With 0 both happen before the answer. What is still to come when the simulator stops,
        or at `Simulator.land_late()`, is carried out then.
        """
        return Fault(kind="repeat", after_apply=True, seconds=seconds)

    @staticmethod
    def truncate(*, after_apply: bool = True) -> Fault:
        """Send the head and half of the body, then close the connection."""
        return Fault(kind="truncate", after_apply=after_apply)

    @staticmethod
    def invalid_json(*, after_apply: bool = True) -> Fault:
        """Send a complete body that is not JSON."""
        return Fault(kind="invalid_json", after_apply=after_apply)

    @staticmethod
    def html(status: int = 502, *, after_apply: bool = False) -> Fault:
        """Send the HTML page of a proxy with `status`."""
        return Fault(kind="html", code=status, after_apply=after_apply)

    @staticmethod
    def empty(*, after_apply: bool = True) -> Fault:
        """Send the right status with an empty body."""
        return Fault(kind="empty", after_apply=after_apply)

    @staticmethod
    def double_encoded(*, after_apply: bool = True) -> Fault:
        """Send a JSON string that holds the JSON document."""
        return Fault(kind="double_encoded", after_apply=after_apply)

    @staticmethod
    def status(
        code: int,
        error: int | None = None,
        *,
        retry_after: float | str | None = None,
        envelope: bool = True,
        after_apply: bool = False,
    ) -> Fault:
        """Answer with HTTP status `code`, in the gateway's failure envelope or as plain text.

        `error` is the envelope's code (default: `code`), `retry_after` the header's seconds or date.
        """
        header = None if retry_after is None else str(retry_after)
        return Fault(
            kind="status",
            code=code,
            error=error,
            retry_after=header,
            envelope=envelope,
            after_apply=after_apply,
        )

    @staticmethod
    def redirect(location: str, status: int = 307, *, after_apply: bool = False) -> Fault:
        """Redirect to `location`."""
        return Fault(kind="redirect", location=location, code=status, after_apply=after_apply)

    @staticmethod
    def drip(seconds: float = 0.05, *, after_apply: bool = True) -> Fault:
        """Send the right answer one byte at a time, `seconds` apart."""
        return Fault(kind="drip", seconds=seconds, after_apply=after_apply)

    @staticmethod
    def oversized(*, after_apply: bool = True) -> Fault:
        """Send the right answer followed by spaces without end."""
        return Fault(kind="oversized", after_apply=after_apply)

    @staticmethod
    def gzip_bomb(*, after_apply: bool = True) -> Fault:
        """Send 256 MiB of spaces, which gzip makes 256 KiB, and the right answer after them."""
        return Fault(kind="gzip_bomb", after_apply=after_apply)


@dataclass(slots=True)
class _Entry:
    fault: Fault
    on: str
    times: int | None
    skip: int


class Faults:
    """The faults to come. `plan`, if set, is asked about each request that none of them meets."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self.plan: Callable[[RecordedRequest], Fault | None] | None = None

    def add(self, fault: Fault, *, on: str = "*", times: int | None = 1, skip: int = 0) -> None:
        """Let `fault` strike the next `times` requests that match, after the first `skip` of them.

        `on` is an HTTP method in capitals ("PUT"), an operation in small letters ("list", "get",
        "recipients", "recipient", "send", "open", "append", "close", "delete", or one of the OAuth
        service: "create_token", "get_token", "refresh_token", "delete_token", "list_scopes",
        "get_wallet"), or "*".
        `times=None` is for ever. Of several faults that match, the one added first strikes.
        """
        if on != "*" and on not in METHODS | OPERATIONS | OAUTH_OPERATIONS:
            raise ValueError(f"on={on!r} is neither an HTTP method nor an operation")
        self._entries.append(_Entry(fault, on, times, skip))

    def clear(self) -> None:
        """Forget all faults, and the plan."""
        self._entries.clear()
        self.plan = None

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return the fault that strikes this request, and count it."""
        for entry in self._entries:
            if entry.on not in ("*", request.method, request.operation):
                continue
            if entry.skip:
                entry.skip -= 1
                continue
            if entry.times is not None:
                entry.times -= 1
                if not entry.times:
                    self._entries.remove(entry)
            return entry.fault
        return self.plan(request) if self.plan else None
