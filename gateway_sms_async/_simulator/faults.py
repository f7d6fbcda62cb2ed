"""The faults of a connection, and the queue that assigns them to requests.

Tests fill the queue and the server empties it. `fault_effects` has how a fault looks on the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .requests import METHODS, OAUTH_OPERATIONS, OPERATIONS, RecordedRequest

_WITHOUT_RESPONSE: Final = frozenset({"reset", "close", "hang", "late"})
_NOT_AFTER_PARTIAL: Final = frozenset(
    {"late", "partial", "lost", "repeat", "mixed_up", "closed_by_others"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. Create it with the functions below; each describes what the client sees.

    `after_apply`: the gateway applies the request before the fault occurs.
    """

    kind: str
    after_apply: bool = False
    code: int | None = None
    seconds: float = 0.0
    error: int | None = None
    retry_after: str | None = None
    envelope: bool = True
    location: str = ""
    body: bytes = b""
    then: Fault | None = None

    @property
    def answers(self) -> bool:
        """Whether the client receives at least the head of a response."""
        return self.kind not in _WITHOUT_RESPONSE

    def shown_status(self, own: int) -> int | None:
        """Return the status that the client sees instead of the gateway's `own`, None if none."""
        if not self.answers:
            return None
        return own if self.kind == "stray" else self.code or own

    @staticmethod
    def reset(*, after_apply: bool = False) -> Fault:
        """Reset the connection (RST)."""
        return Fault(kind="reset", after_apply=after_apply)

    @staticmethod
    def close(*, after_apply: bool = False) -> Fault:
        """Close the connection (FIN) without a response."""
        return Fault(kind="close", after_apply=after_apply)

    @staticmethod
    def hang(*, after_apply: bool = False) -> Fault:
        """Never respond; ends when the client disconnects or the simulator stops."""
        return Fault(kind="hang", after_apply=after_apply)

    @staticmethod
    def late(seconds: float) -> Fault:
        """Never respond, and apply the request `seconds` later, even if the client disconnects.

        A request that is still waiting when the simulator stops, or at `Simulator.land_late()`,
        is applied then.
        """
        return Fault(kind="late", seconds=seconds)

    @staticmethod
    def partial(*, then: Fault | None = None) -> Fault:
        """Apply the request with the first half of its recipients.

        The response is the gateway's own and counts that half, unless the fault `then` replaces it.
        """
        if then is not None and then.kind in _NOT_AFTER_PARTIAL:
            raise ValueError(f"a partial request cannot end as {then.kind!r}")
        return Fault(kind="partial", after_apply=True, then=then)

    @staticmethod
    def lost() -> Fault:
        """Respond as if the request was applied, and keep nothing of it (a lost update)."""
        return Fault(kind="lost")

    @staticmethod
    def repeat(seconds: float = 0.0) -> Fault:
        """Apply the request, respond as usual, and apply it again `seconds` later.

        With 0, both happen before the response. A repeat that is still waiting when the simulator
        stops, or at `Simulator.land_late()`, is applied then.
        """
        return Fault(kind="repeat", after_apply=True, seconds=seconds)

    @staticmethod
    def mixed_up() -> Fault:
        """Apply the request, and give the response to the request before of the same operation.

        That is the gateway's own response to the last one that it applied. If there was none, the
        response is the usual one.
        """
        return Fault(kind="mixed_up", after_apply=True)

    @staticmethod
    def closed_by_others() -> Fault:
        """Close every open message, with the recipients that it has, and then apply the request."""
        return Fault(kind="closed_by_others", after_apply=True)

    @staticmethod
    def stray(status: int | None = 408, body: bytes = b"", *, seconds: float = 0.005) -> Fault:
        """Respond as usual, and send one more response that belongs to no request.

        It is sent `seconds` later, unless another request has arrived on the connection. `status`
        None: it repeats the response before it.
        """
        return Fault(kind="stray", after_apply=True, code=status, body=body, seconds=seconds)

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
        """Send the correct status with an empty body."""
        return Fault(kind="empty", after_apply=after_apply)

    @staticmethod
    def double_encoded(*, after_apply: bool = True) -> Fault:
        """Send a JSON string that contains the JSON document."""
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
        """Respond with HTTP status `code`, in the gateway's failure envelope or as plain text.

        `error` is the error code in the envelope (default: `code`), `retry_after` the value of
        the header: seconds or a date.
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
        """Send the correct response one byte at a time, `seconds` apart."""
        return Fault(kind="drip", seconds=seconds, after_apply=after_apply)

    @staticmethod
    def oversized(*, after_apply: bool = True) -> Fault:
        """Send the correct response followed by endless spaces."""
        return Fault(kind="oversized", after_apply=after_apply)

    @staticmethod
    def gzip_bomb(*, after_apply: bool = True) -> Fault:
        """Send 256 MiB of spaces, 256 KiB after gzip, and then the correct response."""
        return Fault(kind="gzip_bomb", after_apply=after_apply)


@dataclass(slots=True)
class _Entry:
    fault: Fault
    on: str
    times: int | None
    skip: int


class Faults:
    """The queued faults.

    `plan`, if set, is called with each request that no queued fault matches, and returns a fault
    or None.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self.plan: Callable[[RecordedRequest], Fault | None] | None = None

    def add(self, fault: Fault, *, on: str = "*", times: int | None = 1, skip: int = 0) -> None:
        """Apply `fault` to the next `times` matching requests, after skipping the first `skip`.

        - `on`: an HTTP method in capitals ("PUT"); an operation in lower case ("list", "get",
          "recipients", "recipient", "send", "open", "append", "close", "delete", or, for the OAuth
          service, "create_token", "get_token", "list_tokens", "refresh_token", "update_token",
          "delete_token", "list_scopes", "get_wallet"); or "*".
        - `times`: None means every time.

        If several faults match, the one added first applies.
        """
        if on != "*" and on not in METHODS | OPERATIONS | OAUTH_OPERATIONS:
            raise ValueError(f"on={on!r} is neither an HTTP method nor an operation")
        if (times is not None and times < 1) or skip < 0:
            raise ValueError("times must be at least 1, or None for every time; skip at least 0")
        self._entries.append(_Entry(fault, on, times, skip))

    def clear(self) -> None:
        """Remove all faults and the plan."""
        self._entries.clear()
        self.plan = None

    def take(self, request: RecordedRequest) -> Fault | None:
        """Return the fault for this request, and count it."""
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
