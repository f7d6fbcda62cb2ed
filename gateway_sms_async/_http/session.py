"""The funnel: every request of this library leaves through `Session.call`.

A call waits its turn at the gate, makes one attempt through the transport, judges what came
back, and is repeated only as the table of `_retry` allows. `Messages` enters; users do not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import msgspec

from .._events import Emit, Stats
from ..errors import GatewayError, GatewayTimeoutError, OutcomeUnknownError, RateLimitError
from ..models import parse_money
from .attempts import AttemptContext, AttemptObserver
from .endpoint import Endpoint, WireStatus, _Call
from .limiter import RateLimiter, RealtimePace, Slot
from .responses import judge
from .retry import (
    HOLD_CAP,
    Action,
    AttemptFailed,
    AttemptResult,
    Operation,
    RetryBudget,
    RetryPolicy,
    action,
    backoff_delay,
    repeating,
)
from .tokens import TokenKeeper
from .transport import Reply, Transport, TransportFault

__all__ = ["Session"]

T = TypeVar("T")


# Half of the wait after a 429 is not left to chance: it must never come out as nothing.
_LEAST_HOLD = 0.5


_LEAST_TIME = 1.0


_ADDS_NOBODY = {Operation.READ, Operation.DELETE}


class _Shared:
    """What all views of one session have in common."""

    def __init__(self, transport: Transport, limiter: RateLimiter, tokens: TokenKeeper) -> None:
        self.transport = transport
        self.limiter = limiter
        self.tokens = tokens
        self.requests = 0
        self.retries = 0
        self.budget = RetryBudget()
        self.realtime = RealtimePace()
        self.credit = msgspec.Raw(b"null")
        self.loop = asyncio.get_running_loop()


class Session:
    """One view of the shared connections, limiter, budget and token.

    `bulk` views wait behind interactive ones, and the time they wait in line does not count
    towards `max_elapsed`. `requests` and `retries` count what this view sent. Once `halted`, a
    view still looks and deletes, but adds nobody to anything. `emit` takes the events, None when
    nobody listens.
    """

    def __init__(
        self,
        transport: Transport,
        limiter: RateLimiter,
        tokens: TokenKeeper,
        *,
        timeout: float,
        policy: RetryPolicy,
        emit: Emit | None = None,
    ) -> None:
        self._shared = _Shared(transport, limiter, tokens)
        self.emit = emit
        self.timeout = timeout
        self.policy = policy
        self.bulk = False
        self.halted = False
        self.requests: int = 0
        self.retries: int = 0

    def view(
        self,
        *,
        bulk: bool = False,
        timeout: float | None = None,
        policy: RetryPolicy | None = None,
    ) -> Session:
        """Return a view with counters of its own."""
        view = object.__new__(Session)
        view.__dict__.update(self.__dict__)
        view.bulk = bulk
        view.halted = False
        view.requests = view.retries = 0
        if timeout is not None:
            view.timeout = timeout
        if policy is not None:
            view.policy = policy
        return view

    @property
    def rate(self) -> float | None:
        """Requests a second, None for no limit."""
        return self._shared.limiter.rate

    @property
    def realtime(self) -> RealtimePace:
        """When the next realtime message may leave, on the loop's clock."""
        return self._shared.realtime

    @property
    def credit(self) -> Decimal | None:
        """The credit that the newest answer named."""
        return parse_money(self._shared.credit)

    def stats(self, campaigns: int) -> Stats:
        """Return how all views together stand."""
        shared = self._shared
        return Stats(
            open=not shared.transport.closed,
            concurrency=shared.limiter.concurrency,
            in_flight=shared.limiter.in_flight,
            waiting_interactive=shared.limiter.waiting(urgent=True),
            waiting_bulk=shared.limiter.waiting(urgent=False),
            held_for=shared.limiter.held_for,
            budget_left=shared.budget.left,
            budget_capacity=shared.budget.CAPACITY,
            requests=shared.requests,
            retries=shared.retries,
            campaigns=campaigns,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._shared.transport.close()

    async def call(
        self,
        endpoint: Endpoint[T],
        path: str,
        payload: bytes | None = None,
        *,
        wire_status: WireStatus | None = None,
        accepts: Callable[[T], bool] | None = None,
    ) -> T:
        """Make one request, repeated as its row of the table allows, and return its `data`.

        An answer that `accepts` turns down is none: it belongs to something else.

        Raises a GatewayError: OutcomeUnknownError when the request may have been applied and
        must not be repeated, any other when it was not applied.
        """
        shared = self._shared
        if shared.transport.closed:
            raise RuntimeError("this GatewayClient is closed; open a new one")
        if asyncio.get_running_loop() is not shared.loop:
            raise RuntimeError("this GatewayClient belongs to another event loop; open one here")
        deadline = shared.loop.time() + self.policy.max_elapsed
        call = _Call(endpoint, path, payload, wire_status or WireStatus(), accepts, deadline)
        failed: AttemptFailed
        try:
            return await self.attempt(call)
        except AttemptFailed as error:
            failed = error
        if failed.wait is not None:
            call.failed = failed
            try:
                return await _attempt_repeatedly(self, call)
            except AttemptFailed as error:
                failed = error
        if call.observer is not None:
            # It ended in line, before an attempt; one that was made has told already.
            call.observer.failed(failed, None)
        # Raised out here: what the caller gets has one cause at most, and it is ours.
        raise _last_word(endpoint.operation, failed)

    async def attempt(self, call: _Call[T]) -> T:
        """Make one attempt; raise AttemptFailed, with a `wait` if there may be another."""
        if call.failed is not None:
            # Made already, by `call`: most calls need no second one, nor what repeats them.
            failed, call.failed = call.failed, None
            raise failed
        shared = self._shared
        observer = call.observer = None if self.emit is None else self._observe(call, self.emit)
        token = shared.tokens.cached or await self._in_time(call, shared.tokens.current())
        slot = shared.limiter.try_acquire() or await self._turn(call)
        # Who waits in line may wait long.
        token = shared.tokens.newest(token)
        reply: Reply | None = None
        try:
            if shared.transport.closed:
                raise RuntimeError("this GatewayClient is closed; open a new one")
            self._check_halted(call)
            timeout = self._time_for(call)
            if observer is not None:
                observer.started()
            reply = await shared.transport.attempt(
                call.endpoint.method,
                call.path,
                call.payload,
                token=token,
                timeout=timeout,
                cap=call.endpoint.cap,
                depart=partial(self._depart, call, slot),
            )
            envelope = judge(reply, call.endpoint.method, call.endpoint.decoder, call.accepts)
        except TransportFault as fault:
            failed = _unanswered(fault)
        except AttemptFailed as error:
            failed = error
        except BaseException as error:
            _aborted(call, error)
            raise
        else:
            # While it still counts as under way: what stops the listener leaves it doubtful.
            if observer is not None:
                observer.done(reply, envelope.data)
            call.wire_status.on_wire = False
            shared.budget.succeeded(retried=call.tries > 0)
            if bytes(envelope.credit) != b"null":
                shared.credit = envelope.credit.copy()
            return envelope.data
        finally:
            slot.done()
        await self._failed(call, failed, reply, token)
        raise failed

    async def _depart(self, call: _Call[Any], slot: Slot) -> None:
        """Wait until the request may leave, and count it."""
        shared = self._shared
        if not slot.try_depart():
            asked = shared.loop.time()
            try:
                await slot.depart()
            finally:
                if call.observer is not None:
                    call.observer.waited += shared.loop.time() - asked
        self._check_halted(call)
        self.requests += 1
        shared.requests += 1
        if call.tries:
            self.retries += 1
            shared.retries += 1
        call.wire_status.on_wire = True

    async def _failed(
        self, call: _Call[Any], failed: AttemptFailed, reply: Reply | None, token: str
    ) -> None:
        """Tell of an attempt that was not done, count it, and decide what follows."""
        observer, shared = call.observer, self._shared
        if observer is not None:
            observer.failed(failed, reply)
        call.wire_status.on_wire = False
        call.wire_status.lost += failed.outcome is AttemptResult.AMBIGUOUS
        call.tries += 1
        await self._decide(call, failed, token)
        if observer is not None and failed.wait is not None:
            held = failed.outcome is AttemptResult.REJECTED_429
            wait = shared.limiter.held_for if held else failed.wait
            observer.will_retry(wait, failed.error, shared.budget.left)

    def _observe(self, call: _Call[Any], emit: Emit) -> AttemptObserver:
        size = 0 if call.payload is None else len(call.payload)
        base_url = self._shared.transport.base_url
        asked = AttemptContext(
            call.endpoint.operation, call.endpoint.method, base_url, call.path, size
        )
        return AttemptObserver(emit, asked, tries=call.tries + 1)

    def _hold(self, call: _Call[Any], seconds: float, asked: float | None) -> None:
        """Let nothing leave for so long, and tell of it where that is news."""
        limiter = self._shared.limiter
        before = limiter.held_for
        limiter.hold(seconds)
        if call.observer is not None and limiter.held_for > before:
            call.observer.holds(limiter.held_for, asked)

    async def _turn(self, call: _Call[Any]) -> Slot:
        """Wait in line: interactive calls to their deadline, bulk ones as long as it takes."""
        shared = self._shared
        loop = shared.loop
        if self.bulk:
            asked = loop.time()
            slot = await shared.limiter.slot(urgent=False)
            call.deadline += loop.time() - asked
            return slot
        held = shared.limiter.held_for
        if loop.time() + held < call.deadline:
            try:
                async with asyncio.timeout_at(call.deadline):
                    return await shared.limiter.slot(urgent=True)
            except TimeoutError:
                held = shared.limiter.held_for
        error = _no_room()
        if held > 0.0:
            error = RateLimitError(
                f"the gateway asked to wait {held:.0f} s more", status=429, retry_after=held
            )
        raise AttemptFailed(AttemptResult.NOT_SENT, error)

    async def _in_time(self, call: _Call[Any], token: Awaitable[str]) -> str:
        """Wait for a token, which may come from anywhere, no longer than the call may take."""
        limit = asyncio.timeout_at(call.deadline)
        try:
            async with limit:
                return await token
        except TimeoutError:
            if not limit.expired():
                raise
        raise AttemptFailed(
            AttemptResult.NOT_SENT, GatewayTimeoutError("no token within max_elapsed")
        )

    async def _decide(self, call: _Call[Any], failed: AttemptFailed, token: str) -> None:
        """Give the failure a `wait` if the table, the policy and the budget allow another try."""
        shared = self._shared
        deed = action(call.endpoint.operation, failed.outcome)
        halted = self._is_halted(call)
        if deed is Action.RENEW and not call.renewed and not halted:
            call.renewed = True
            if await self._in_time(call, shared.tokens.renew(token)) != token:
                failed.wait = 0.0
            return
        wait = backoff_delay(
            self.policy,
            call.tries,
            floor=failed.retry_after,
            least=_LEAST_HOLD if deed is Action.HOLD else 0.0,
        )
        if deed is Action.HOLD:
            self._hold(call, min(wait, HOLD_CAP), failed.retry_after)
        if (
            deed not in {Action.REPEAT, Action.HOLD}
            or failed.permanent
            or halted
            or shared.transport.closed
            or wait > HOLD_CAP
            or call.tries >= self.policy.max_attempts
            or (self._left(call) - wait < self._least and not self._waits_out(deed))
            or not shared.budget.take()
        ):
            return
        # A hold is waited out in line at the gate, with everybody else.
        failed.wait = 0.0 if deed is Action.HOLD else wait

    def _waits_out(self, deed: Action) -> bool:
        return self.bulk and deed is Action.HOLD

    def _time_for(self, call: _Call[Any]) -> float:
        """Return the seconds that the attempt may take; raise when they are too few for one."""
        left = self._left(call)
        if left >= self.timeout:
            return self.timeout
        if left < self._least:
            raise AttemptFailed(AttemptResult.NOT_SENT, _no_room())
        return left

    def _left(self, call: _Call[Any]) -> float:
        return call.deadline - self._shared.loop.time()

    @property
    def _least(self) -> float:
        """The time below which an attempt would only be cut off in the middle."""
        return min(_LEAST_TIME, self.timeout, self.policy.max_elapsed / 2)

    def _is_halted(self, call: _Call[Any]) -> bool:
        return self.halted and call.endpoint.operation not in _ADDS_NOBODY

    def _check_halted(self, call: _Call[Any]) -> None:
        if self.halted and self._is_halted(call):
            raise AttemptFailed(AttemptResult.NOT_SENT, GatewayError("stopped before it was sent"))


def _unanswered(fault: TransportFault) -> AttemptFailed:
    failed = AttemptFailed(
        AttemptResult.AMBIGUOUS if fault.sent else AttemptResult.NOT_SENT, fault.error
    )
    failed.permanent = fault.permanent
    return failed


def _aborted(call: _Call[Any], error: BaseException) -> None:
    if call.observer is not None:
        call.observer.aborted(error, sent=call.wire_status.on_wire)


def _no_room() -> GatewayError:
    return GatewayTimeoutError("max_elapsed ran out while the call waited in line")


_attempt_repeatedly = repeating(Session.attempt)


def _last_word(operation: Operation, failed: AttemptFailed) -> GatewayError:
    """Return the error that a call ends with."""
    if action(operation, failed.outcome) is not Action.UNKNOWN:
        return failed.error
    unknown = OutcomeUnknownError(
        f"{operation.value}: it is not known whether the gateway applied this request"
    )
    unknown.__cause__ = failed.error
    return unknown
