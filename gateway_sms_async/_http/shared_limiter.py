"""The limiter of a client whose rate is shared with other processes.

Slots are granted in the same order as by `RateLimiter`. But before each slot, the store of the rate is
asked for a permission, on behalf of all queued calls: so the order holds, and a cancelled call has
taken nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress

from .._rate.pace import Pace
from .._rate.store import RateStore
from ..errors import SharedRateError
from .limiter import RateLimiter, RateState, RealtimePace, Slot, TokenBucket

__all__ = ["SharedRateLimiter"]

_logger = logging.getLogger("gateway_sms_async")

# A permission is used at once, or asked for anew: else requests could leave together later. Its age
# is not on the loop's clock, which some loops stop while they are blocked.
_FRESH = 0.25

# The longest sleep between two questions: another process may have given up its hold.
_ASK_EVERY = 1.0

# Seconds until the store is asked again after it could not be reached.
_ASK_AGAIN = 0.5

# Seconds that the end of a client may take to tell the store what it should know.
_TELL_WITHIN = 1.0


class _PermittedSlot(Slot):
    __slots__ = ("permitted_at",)

    def __init__(self, limiter: RateLimiter, permitted_at: float) -> None:
        super().__init__(limiter)
        self.permitted_at = permitted_at


class _Notes:
    """What the store is told without a call that waits for it: it must not fail a sent message."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def tell(self, step: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._finish(step))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_TELL_WITHIN)
        await _end(*self._tasks)

    async def _finish(self, step: Coroutine[None, None, None]) -> None:
        with suppress(Exception):
            await step


class _SharedRealtimePace(RealtimePace):
    """One realtime message per minute, of all processes."""

    def __init__(self, store: RateStore, notes: _Notes) -> None:
        super().__init__()
        self._store = store
        self._notes = notes
        self._one_asks = asyncio.Lock()

    async def ask(self, owner: str) -> float:
        """Take the permission for one and return 0, or return the seconds until there is one."""
        async with self._one_asks:
            # Also its own, so that two of this process never follow each other.
            if own_wait := await super().ask(owner):
                return own_wait
            try:
                wait = await self._store.ask_realtime(owner)
            except Exception:  # noqa: BLE001 - whatever failed, the gateway refuses a second one
                return 0.0
            except BaseException:
                await self.not_sent(owner)
                raise
            if wait > 0.0:
                await super().not_sent(owner)
            return wait

    async def sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""
        await super().sent(owner)
        self._notes.tell(self._store.realtime_sent(owner))

    async def not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""
        await super().not_sent(owner)
        self._notes.tell(self._store.realtime_not_sent(owner))


class SharedRateLimiter(RateLimiter):
    """Grants slots, at most `concurrency` at a time, each with a permission of the store.

    `alone` is the rate without the store, None for none.
    """

    def __init__(
        self, store: RateStore, *, pace: Pace, alone: float | None, concurrency: int
    ) -> None:
        super().__init__(rate=None, burst=1, concurrency=concurrency)
        self.rate = pace.per_second
        # Several permissions may be fresh at once, after the loop was blocked.
        self._departures = TokenBucket(pace.per_second, pace.burst)
        self._pace = pace
        self._store = store
        self._alone = None if alone is None else TokenBucket(alone, 1)
        self._state: RateState = "shared"
        self._asking: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None
        self._notes = _Notes()
        self._is_closed = False
        self.realtime = _SharedRealtimePace(store, self._notes)

    @property
    def state(self) -> RateState:
        """Whose rate limits the requests now."""
        return self._state

    def try_acquire(self) -> Slot | None:
        """Return None: a permission must be waited for. Once closed, let the transport refuse."""
        return self._permit(time.monotonic()) if self._is_closed else None

    def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""
        super().hold(seconds)
        self._notes.tell(self._store.hold(seconds))

    def try_depart(self, slot: Slot) -> bool:
        """See `Slot.try_depart`."""
        if self._is_closed:
            return True
        return self._is_fresh(slot) and super().try_depart(slot)

    async def depart(self, slot: Slot) -> None:
        """See `Slot.depart`."""
        assert isinstance(slot, _PermittedSlot)
        while not self.try_depart(slot):
            if self.held_for or not self._is_fresh(slot):
                slot.permitted_at = await self._permission() or slot.permitted_at
            else:
                await asyncio.sleep(self._wait_for(self._departures))

    def lose_store(self, error: Exception) -> None:
        """Go on without the store, which cannot be used, until it can be."""
        if self._probing is not None:
            return
        self._state = "waiting" if self._alone is None else "alone"
        words = str(error) if isinstance(error, SharedRateError) else type(error).__name__
        _logger.warning("the rate is not shared now (%s): %s", self._state, words)
        self._probing = self._loop.create_task(self._probe())

    async def close(self) -> None:
        """End what is still asked, and close the store."""
        self._is_closed = True
        await _end(*(one for one in (self._asking, self._probing) if one is not None))
        # The transport is closed, and tells each queued call so.
        while (waiter := self._next()) is not None:
            (self._urgent or self._bulk).popleft()
            waiter.set_result(self._permit(time.monotonic()))
        await self._notes.close()
        with suppress(Exception):
            await self._store.close()

    def _is_fresh(self, slot: Slot) -> bool:
        assert isinstance(slot, _PermittedSlot)
        return time.monotonic() - slot.permitted_at <= _FRESH

    def _permit(self, permitted_at: float) -> Slot:
        self._free -= 1
        return _PermittedSlot(self, permitted_at)

    def _serve(self) -> None:
        """Ask for permissions as long as calls are queued."""
        if self._asking is None and not self._is_closed and self._is_wanted():
            self._asking = self._loop.create_task(self._grant_in_order())

    def _is_wanted(self) -> bool:
        return self._free > 0 and self._next() is not None

    async def _grant_in_order(self) -> None:
        try:
            while self._is_wanted():
                permitted_at = await self._permission()
                # Only now: an interactive call may have come meanwhile, or a call may have left.
                if permitted_at is not None and (waiter := self._next()) is not None:
                    (self._urgent or self._bulk).popleft()
                    waiter.set_result(self._permit(permitted_at))
        finally:
            self._asking = None

    async def _permission(self) -> float | None:
        """Ask for a permission, and return when; or wait, and return None."""
        wait, asked_at = self.held_for, 0.0
        if not wait:
            wait, asked_at = await self._ask()
            if wait <= 0.0:
                return asked_at
        await asyncio.sleep(min(wait, _ASK_EVERY))
        return None

    async def _ask(self) -> tuple[float, float]:
        """Return the seconds to wait, 0 for a permission, and the moment before it was given."""
        if self._probing is None:
            try:
                return await self._ask_store()
            except Exception as error:  # noqa: BLE001 - else the queued calls would wait for ever
                self.lose_store(error)
        now = self._loop.time()
        if self._alone is None:
            return _ASK_AGAIN, 0.0
        wait = self._alone.wait(now)
        if wait <= 0.0:
            self._alone.take(now)
        return wait, time.monotonic()

    async def _ask_store(self) -> tuple[float, float]:
        # The loop may have been blocked: only a second slow answer is the store's.
        for _ in range(2):
            began = time.monotonic()
            wait = await self._store.ask()
            if wait > 0.0 or time.monotonic() - began <= _FRESH:
                return wait, began
        raise SharedRateError("the store of the rate takes more than 250 ms to answer")

    async def _probe(self) -> None:
        """Wait until the store can be used again. Apart from the requests, which need not wait."""
        while True:
            await asyncio.sleep(_ASK_AGAIN)
            began = time.monotonic()
            with suppress(Exception):
                # It takes no permission. The others do not know of a hold that began meanwhile.
                await self._store.hold(self.held_for or -self._pace.tolerance)
                if time.monotonic() - began <= _FRESH:
                    break
        self._state = "shared"
        self._probing = None
        _logger.warning("the rate is shared again")


async def _end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
