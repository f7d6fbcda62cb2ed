"""The limiter of a client whose rate is shared with other processes.

Slots are granted in the same order as by `RateLimiter`. But before each slot, the store of the rate is
asked for a permission, on behalf of all queued calls: so the order holds, and a cancelled call has
taken nothing.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from .._rate.store import RateStore
from ..errors import SharedRateError
from .limiter import RateLimiter, RateState, RealtimePace, Slot, TokenBucket

__all__ = ["SharedRateLimiter"]

_logger = logging.getLogger("gateway_sms_async")

# A permission is used at once, or asked for anew: else requests could leave together later.
_FRESH = 0.25

# The longest sleep between two questions: another process may have given up its hold.
_ASK_EVERY = 1.0

# Seconds until the store is asked again after it could not be reached.
_ASK_AGAIN = 0.5


class _PermittedSlot(Slot):
    __slots__ = ("permitted_at",)

    def __init__(self, limiter: RateLimiter, permitted_at: float) -> None:
        super().__init__(limiter)
        self.permitted_at = permitted_at


class _SharedRealtimePace(RealtimePace):
    """One realtime message per minute, of all processes."""

    def __init__(self, store: RateStore) -> None:
        super().__init__()
        self._store = store

    async def ask(self, owner: str) -> float:
        """Take the permission for one and return 0, or return the seconds until there is one."""
        # Also its own, so that two of this process never follow each other.
        if own_wait := await super().ask(owner):
            return own_wait
        try:
            wait = await self._store.ask_realtime(owner)
        except Exception:  # noqa: BLE001 - as for the rate
            # The gateway refuses a second one, which then is not sent.
            return 0.0
        if wait > 0.0:
            await super().not_sent(owner)
        return wait

    async def sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""
        await super().sent(owner)
        with suppress(SharedRateError):
            await self._store.realtime_sent(owner)

    async def not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""
        await super().not_sent(owner)
        with suppress(SharedRateError):
            await self._store.realtime_not_sent(owner)


class SharedRateLimiter(RateLimiter):
    """Grants slots, at most `concurrency` at a time, each with a permission of the store.

    `alone` is the rate without the store, None for none.
    """

    def __init__(
        self, store: RateStore, *, rate: float, alone: float | None, concurrency: int
    ) -> None:
        super().__init__(rate=None, burst=1, concurrency=concurrency)
        self.rate = rate
        self.store = store
        self._alone = None if alone is None else TokenBucket(alone, 1)
        self._state: RateState = "shared"
        self._probing: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._holding: set[asyncio.Task[None]] = set()
        self.realtime = _SharedRealtimePace(store)

    @property
    def state(self) -> RateState:
        """Whose rate limits the requests now."""
        return self._state

    def try_acquire(self) -> Slot | None:
        """Return None: a permission must be waited for."""
        return None

    def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""
        super().hold(seconds)
        task = self._loop.create_task(self._hold_others(seconds))
        self._holding.add(task)
        task.add_done_callback(self._holding.discard)

    def try_depart(self, slot: Slot) -> bool:
        """See `Slot.try_depart`."""
        assert isinstance(slot, _PermittedSlot)
        if self.held_for or self._loop.time() - slot.permitted_at > _FRESH:
            return False
        slot.departed = True
        return True

    async def depart(self, slot: Slot) -> None:
        """See `Slot.depart`."""
        assert isinstance(slot, _PermittedSlot)
        while not self.try_depart(slot):
            slot.permitted_at = await self._permission()

    async def close(self) -> None:
        """End what is still asked, and close the store."""
        tasks = [one for one in (*self._holding, self._asking, self._probing) if one is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(SharedRateError):
            await self.store.close()

    def _serve(self) -> None:
        """Ask for permissions as long as calls are queued."""
        if self._asking is None and self._free > 0 and self._next() is not None:
            self._asking = self._loop.create_task(self._grant_in_order())

    async def _grant_in_order(self) -> None:
        try:
            while self._free > 0 and self._next() is not None:
                permitted_at = await self._permission()
                # Only now: an interactive call may have come meanwhile, or a call may have left.
                if (waiter := self._next()) is None:
                    return
                (self._urgent or self._bulk).popleft()
                self._free -= 1
                waiter.set_result(_PermittedSlot(self, permitted_at))
        finally:
            self._asking = None

    async def _permission(self) -> float:
        """Wait for a permission; return when it was given."""
        while True:
            wait = self.held_for or await self._ask()
            if wait <= 0.0:
                return self._loop.time()
            await asyncio.sleep(min(wait, _ASK_EVERY))

    async def _ask(self) -> float:
        if self._probing is None:
            try:
                return await self.store.ask()
            except Exception as error:  # noqa: BLE001 - else the queued calls would wait for ever
                self._lose_store(error)
        if self._alone is None:
            return _ASK_AGAIN
        now = self._loop.time()
        wait = self._alone.wait(now)
        if wait <= 0.0:
            self._alone.take(now)
        return wait

    def _lose_store(self, error: Exception) -> None:
        self._state = "waiting" if self._alone is None else "alone"
        words = str(error) if isinstance(error, SharedRateError) else type(error).__name__
        _logger.warning("the rate is not shared now (%s): %s", self._state, words)
        self._probing = self._loop.create_task(self._probe())

    async def _probe(self) -> None:
        """Wait until the store can be reached again. Apart from the requests, which need not wait."""
        while True:
            await asyncio.sleep(_ASK_AGAIN)
            # A question that takes no permission.
            with suppress(Exception):
                await self.store.hold(0.0)
                break
        self._state = "shared"
        self._probing = None
        _logger.warning("the rate is shared again")

    async def _hold_others(self, seconds: float) -> None:
        with suppress(SharedRateError):
            await self.store.hold(seconds)
