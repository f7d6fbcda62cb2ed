"""Calls `options.callback_url` on each change of a message's state, over a real socket.

The server triggers it after every request and when its clock moves. Only hosts on this machine
are called: this is a tool for tests, and a message may name any address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode, urlsplit

import aiohttp

from .fault_effects import encode
from .gateway import Gateway
from .message import StoredMessage

_AT_ONCE: Final = 8
_PATIENCE: Final = 5.0

# A clock other than the loop's may stand still or jump, so it is polled within these bounds.
_SOONEST, _LATEST = 0.01, 1.0
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_STATES: Final = (1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCallback:
    """One callback that the simulator made, and its result.

    - `url`: the address that was called.
    - `message_id`, `state`: the message and the state that were reported.
    - `status`: the HTTP status of the response, None if there was none.
    - `error`: why there was no response, else None.
    """

    url: str
    message_id: str
    state: int
    status: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _PendingCallback:
    """One callback to make."""

    url: str
    message_id: str
    state: int
    body: bytes
    content_type: str


class CallbackSender:
    """Makes the callbacks of one gateway, each `times` times.

    With `in_order` false, a message's callbacks are made once it is final, the last state first.
    """

    def __init__(
        self,
        gateway: Gateway,
        clock: Callable[[], float],
        *,
        times: int,
        in_order: bool,
        keep: int | None,
    ) -> None:
        self.made: list[RecordedCallback] = []
        self._gateway = gateway
        self._clock = clock
        self._times = times
        self._in_order = in_order
        self._keep = keep
        self._reported: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        self._permits = asyncio.Semaphore(_AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    def start_due(self, *, clock_runs: bool) -> None:
        """Start the callbacks that are due; with `clock_runs`, schedule the next check."""
        if not self._gateway.watched:
            return
        now = self._clock()
        upcoming = float("inf")
        for message_id in sorted(self._gateway.watched):  # the oldest first
            message = self._gateway.messages.get(message_id)
            if message is None:
                self._forget(message_id)
                continue
            if calls := self._due(message, now):
                task = asyncio.create_task(self._make(calls, self._last.get(message_id)))
                self._last[message_id] = task
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            left = [moment for moment in message.state_changes if moment > now]
            upcoming = min([upcoming, *left])
            if not left:
                self._forget(message_id)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if clock_runs and upcoming < float("inf"):
            wait = min(max(upcoming - now, _SOONEST), _LATEST)
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(wait, lambda: self.start_due(clock_runs=True))

    async def settle(self) -> None:
        """Wait until the callbacks started so far are made."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Cancel the callbacks that are not made yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _forget(self, message_id: str) -> None:
        self._gateway.watched.discard(message_id)
        self._reported.pop(message_id, None)
        self._last.pop(message_id, None)

    def _due(self, message: StoredMessage, now: float) -> list[_PendingCallback]:
        """Return the callbacks to make, in the order to make them."""
        reported, state = self._reported.get(message.id, 0), message.state(now)
        if not self._in_order and state != _STATES[-1]:
            return []
        self._reported[message.id] = state
        calls = [
            _build(message, each, message.state_changes[each - 1])
            for each in _STATES
            if reported < each <= state
        ]
        if not self._in_order:
            calls.reverse()
        return [call for call in calls for _ in range(self._times)]

    async def _make(
        self, calls: list[_PendingCallback], earlier: asyncio.Task[None] | None
    ) -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        for call in calls:
            async with self._permits:
                status, error = await self._post(call)
            self.made.append(
                RecordedCallback(
                    url=call.url,
                    message_id=call.message_id,
                    state=call.state,
                    status=status,
                    error=error,
                )
            )
            if self._keep is not None:
                del self.made[: max(0, len(self.made) - self._keep)]

    async def _post(self, call: _PendingCallback) -> tuple[int | None, str | None]:
        if not is_loopback(call.url):
            return None, "not called: not an address of this machine"
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_PATIENCE), cookie_jar=aiohttp.DummyCookieJar()
            )
        headers = {"Content-Type": call.content_type}
        try:
            async with self._session.post(
                call.url, data=call.body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
                return response.status, None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # TimeoutError is an OSError
            return None, type(error).__name__


def is_loopback(url: str) -> bool:
    """Whether an address belongs to this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme == "http" and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        return False


def _build(message: StoredMessage, state: int, moment: float) -> _PendingCallback:
    """Return the callback as the gateway sends it: raw JSON, or in the requested form field."""
    url = str(message.options["callback_url"])
    document = encode(message.document(moment))
    if field := message.options.get("callback_field"):
        return _PendingCallback(
            url, message.id, state, urlencode({str(field): document.decode()}).encode(), _FORM
        )
    return _PendingCallback(url, message.id, state, document, _JSON)
