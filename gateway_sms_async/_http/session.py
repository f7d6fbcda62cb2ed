"""The funnel: every request to the gateway goes through `Session.call`.

A call waits for a slot of the limiter, makes one attempt through the transport, and interprets
the response. It is repeated only as the table in `retry` allows.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import msgspec

from .._events import Emit, Stats
from .._rate.pace import LONGEST_HOLD
from ..errors import GatewayError, GatewayTimeoutError, OutcomeUnknownError, RateLimitError
from ..models import parse_money
from .attempts import AttemptContext, AttemptObserver
from .endpoint import CallState, Endpoint, WireStatus
from .limiter import RateLimiter, RealtimePace, Slot
from .open_messages import OpenMessages
from .opened_ids import OpenedIds
from .responses import judge
from .retry import (
    Action,
    AttemptFailed,
    AttemptResult,
    Operation,
    RetryBudget,
    RetryPolicy,
    action,
    backoff_delay,
    retrying,
)
from .tokens import TokenKeeper
from .transport import Reply, Transport, TransportFault

__all__ = ["Session"]

T = TypeVar("T")


# After a 429, at least half the backoff is fixed: full jitter could yield a wait of zero.
_FIXED_SHARE_OF_HOLD = 0.5


_SHORTEST_ATTEMPT = 1.0


# Small enough for the look after a lost response, which has a quarter of `max_elapsed`.
_SHORTEST_SHARE = 1 / 8


_ADDS_NO_RECIPIENTS = {Operation.READ, Operation.DELETE}


class _SharedState:
    """State that all views of one session share."""

    def __init__(self, transport: Transport, limiter: RateLimiter, tokens: TokenKeeper) -> None:
        self.transport = transport
        self.limiter = limiter
        self.tokens = tokens
        self.requests = 0
        self.retries = 0
        self.budget = RetryBudget()
        self.opened_ids = OpenedIds()
        self.open_messages = OpenMessages()
        self.credit = msgspec.Raw(b"null")
        self.loop = asyncio.get_running_loop()


class Session:
    """One view of the shared connections, limiter, budget and token.

    - `bulk`: calls of this view queue behind interactive ones, and the time they are queued does
      not count towards `max_elapsed`.
    - `requests`, `retries`: how many requests this view sent.
    - `halted`: once set, the view still reads and deletes, but adds no recipients.
    - `emit`: receives the events; None if there is no listener.
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
        self._shared = _SharedState(transport, limiter, tokens)
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
        """Requests per second; None if there is no limit."""
        return self._shared.limiter.rate

    @property
    def realtime(self) -> RealtimePace:
        """When the next realtime message may be sent."""
        return self._shared.limiter.realtime

    @property
    def opened_ids(self) -> OpenedIds:
        """The ids of the messages that this client has opened."""
        return self._shared.opened_ids

    @property
    def open_messages(self) -> OpenMessages:
        """The messages that this client fills."""
        return self._shared.open_messages

    @property
    def credit(self) -> Decimal | None:
        """The credit in the newest response, in euro; None before the first."""
        return parse_money(self._shared.credit)

    def stats(self, campaigns: int) -> Stats:
        """Return the figures of all views together."""
        shared = self._shared
        return Stats(
            open=not shared.transport.closed,
            concurrency=shared.limiter.concurrency,
            in_flight=shared.limiter.in_flight,
            waiting_interactive=shared.limiter.waiting(urgent=True),
            waiting_bulk=shared.limiter.waiting(urgent=False),
            held_for=shared.limiter.held_for,
            rate=shared.limiter.state,
            budget_left=shared.budget.left,
            budget_capacity=shared.budget.CAPACITY,
            requests=shared.requests,
            retries=shared.retries,
            campaigns=campaigns,
        )

    def deadline(self) -> float:
        """Return when a call that begins now must end, on the loop's clock."""
        return self._shared.loop.time() + self.policy.max_elapsed

    async def close(self) -> None:
        """Close the connections, and what limits the rate."""
        try:
            await self._shared.transport.close()
        finally:
            await self._shared.limiter.close()

    async def call(
        self,
        endpoint: Endpoint[T],
        path: str,
        payload: bytes | None = None,
        *,
        wire_status: WireStatus | None = None,
        accepts: Callable[[T], bool] | None = None,
        deadline: float | None = None,
    ) -> T:
        """Make one call, with the retries that its row of the table allows; return its `data`.

        A response that `accepts` rejects belongs to another request and proves nothing.
        `deadline` is on the loop's clock; if it is None, the call has `max_elapsed` of its own.

        Raises OutcomeUnknownError if the request may have been applied and must not be repeated,
        another GatewayError if it was not applied.
        """
        shared = self._shared
        if shared.transport.closed:
            raise RuntimeError("this GatewayClient is closed; open a new one")
        if asyncio.get_running_loop() is not shared.loop:
            raise RuntimeError("this GatewayClient belongs to another event loop; open one here")
        deadline = self.deadline() if deadline is None else deadline
        call = CallState(endpoint, path, payload, wire_status or WireStatus(), accepts, deadline)
        failed: AttemptFailed
        try:
            return await self.attempt(call)
        except AttemptFailed as error:
            failed = error
        if failed.wait is not None:
            # Only from the second attempt on, because most calls need no second one.
            try:
                return await _retry(failed, self, call)
            except AttemptFailed as error:
                failed = error
        if call.observer is not None:
            # The call failed while it was queued. An attempt that was made is reported already.
            call.observer.failed(failed, None)
        # Raised outside of the except blocks, so that the error has at most one cause, ours.
        raise _final_error(endpoint.operation, failed)

    async def attempt(self, call: CallState[T]) -> T:
        """Make one attempt; raises AttemptFailed, with a `wait` if another attempt may follow."""
        shared = self._shared
        observer = call.observer = None if self.emit is None else self._observe(call, self.emit)
        token = shared.tokens.cached or await call.in_time(shared.tokens.current())
        slot = shared.limiter.try_acquire() or await self._acquire(call)
        # The token may have been renewed while the call was queued.
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
            # While the request still counts as in flight: if the listener raises BaseException,
            # its batch is in doubt.
            if observer is not None:
                observer.done(reply, envelope.data)
            call.wire_status.on_wire = False
            shared.budget.succeeded(retried=call.tries > 0)
            if bytes(envelope.credit) != b"null":
                shared.credit = envelope.credit.copy()
            return envelope.data
        finally:
            slot.release()
        await self._handle(call, failed, reply, token)
        raise failed

    async def _depart(self, call: CallState[Any], slot: Slot) -> None:
        """Wait until the request may leave, and count it."""
        shared = self._shared
        if not slot.try_depart():
            began = shared.loop.time()
            try:
                await slot.depart()
            finally:
                if call.observer is not None:
                    call.observer.waited += shared.loop.time() - began
        self._check_halted(call)
        self.requests += 1
        shared.requests += 1
        if call.tries:
            self.retries += 1
            shared.retries += 1
        call.wire_status.departed += 1
        call.wire_status.on_wire = True

    async def _handle(
        self, call: CallState[Any], failed: AttemptFailed, reply: Reply | None, token: str
    ) -> None:
        """Report and count a failed attempt, and decide whether another one follows."""
        observer, shared = call.observer, self._shared
        if observer is not None:
            observer.failed(failed, reply)
        if call.wire_status.on_wire and failed.outcome is AttemptResult.NOT_SENT:
            call.wire_status.departed -= 1
        call.wire_status.on_wire = False
        if failed.outcome is AttemptResult.AMBIGUOUS:
            call.wire_status.lost += 1
            shared.opened_ids.lost += call.endpoint.operation is Operation.OPEN
        call.tries += 1
        await self._decide(call, failed, token)
        if observer is not None and failed.wait is not None:
            is_held = failed.outcome is AttemptResult.REJECTED_429
            wait = shared.limiter.held_for if is_held else failed.wait
            observer.will_retry(wait, failed.error, shared.budget.left)

    def _observe(self, call: CallState[Any], emit: Emit) -> AttemptObserver:
        size = 0 if call.payload is None else len(call.payload)
        base_url = self._shared.transport.base_url
        context = AttemptContext(
            call.endpoint.operation, call.endpoint.method, base_url, call.path, size
        )
        return AttemptObserver(emit, context, tries=call.tries + 1)

    def _hold(self, call: CallState[Any], seconds: float, retry_after: float | None) -> None:
        """Hold all requests for so many seconds; report a hold that is longer than the current."""
        limiter = self._shared.limiter
        before = limiter.held_for
        limiter.hold(seconds)
        if call.observer is not None and limiter.held_for > before:
            call.observer.held(limiter.held_for, retry_after)

    async def _acquire(self, call: CallState[Any]) -> Slot:
        """Wait for a slot: an interactive call until its deadline, a bulk call without a limit."""
        shared = self._shared
        loop = shared.loop
        if self.bulk:
            began = loop.time()
            slot = await shared.limiter.acquire(urgent=False)
            call.deadline += loop.time() - began
            return slot
        held = shared.limiter.held_for
        if loop.time() + held < call.deadline:
            try:
                async with asyncio.timeout_at(call.deadline):
                    return await shared.limiter.acquire(urgent=True)
            except TimeoutError:
                held = shared.limiter.held_for
        error = _queued_too_long()
        if held > 0.0:
            error = RateLimitError(
                f"the gateway asked to wait {math.ceil(held)} s more",
                status=429,
                retry_after=held,
            )
        raise AttemptFailed(AttemptResult.NOT_SENT, error)

    async def _decide(self, call: CallState[Any], failed: AttemptFailed, token: str) -> None:
        """Give the failure a `wait` if the table, the policy and the budget allow a retry."""
        shared = self._shared
        decision = action(call.endpoint.operation, failed.outcome)
        is_halted = self._is_halted(call)
        if decision is Action.RENEW and not call.renewed and not is_halted:
            call.renewed = True
            if await call.in_time(shared.tokens.renew(token)) != token:
                failed.wait = 0.0
            return
        is_hold = decision is Action.HOLD
        wait = backoff_delay(
            self.policy,
            call.tries,
            floor=failed.retry_after,
            fixed_share=_FIXED_SHARE_OF_HOLD if is_hold else 0.0,
        )
        if is_hold:
            self._hold(call, min(wait, LONGEST_HOLD), failed.retry_after)
        if (
            decision not in {Action.REPEAT, Action.HOLD}
            or failed.permanent
            or is_halted
            or shared.transport.closed
            or wait > LONGEST_HOLD
            or call.tries >= self.policy.max_attempts
            # A bulk call is queued during a hold, which moves its deadline.
            or (call.time_left() - wait < self._shortest_attempt and not (self.bulk and is_hold))
            or not shared.budget.take()
        ):
            return
        # During a hold the call is queued at the limiter, like every other call.
        failed.wait = 0.0 if is_hold else wait

    def _time_for(self, call: CallState[Any]) -> float:
        """Return the seconds that the attempt may take; raises AttemptFailed if too few are left."""
        left = call.time_left()
        if left >= self.timeout:
            return self.timeout
        if left < self._shortest_attempt:
            raise AttemptFailed(AttemptResult.NOT_SENT, _queued_too_long())
        return left

    @property
    def _shortest_attempt(self) -> float:
        """With fewer seconds than this, an attempt would only be cut off in the middle."""
        return min(_SHORTEST_ATTEMPT, self.timeout, self.policy.max_elapsed * _SHORTEST_SHARE)

    def _is_halted(self, call: CallState[Any]) -> bool:
        return self.halted and call.endpoint.operation not in _ADDS_NO_RECIPIENTS

    def _check_halted(self, call: CallState[Any]) -> None:
        if self.halted and self._is_halted(call):
            raise AttemptFailed(AttemptResult.NOT_SENT, GatewayError("stopped before it was sent"))


_retry = retrying(Session.attempt)


def _unanswered(fault: TransportFault) -> AttemptFailed:
    failed = AttemptFailed(
        AttemptResult.AMBIGUOUS if fault.sent else AttemptResult.NOT_SENT, fault.error
    )
    failed.permanent = fault.permanent
    return failed


def _aborted(call: CallState[Any], error: BaseException) -> None:
    if call.observer is not None:
        call.observer.aborted(error, sent=call.wire_status.on_wire)


def _queued_too_long() -> GatewayError:
    return GatewayTimeoutError("max_elapsed ran out while the call was queued")


def _final_error(operation: Operation, failed: AttemptFailed) -> GatewayError:
    """Return the error that the call raises after its last attempt."""
    if action(operation, failed.outcome) is not Action.UNKNOWN:
        return failed.error
    unknown = OutcomeUnknownError(
        f"{operation.value}: it is not known whether the gateway applied this request"
    )
    unknown.__cause__ = failed.error
    return unknown
