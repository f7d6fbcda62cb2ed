"""When requests may leave: the rate, the limit of requests in flight, the hold after a 429.

Slots are granted in the order of the calls, interactive ones before bulk, at the pace of the
rate. The token that counts is taken when the first byte leaves, so that neither a blocked loop nor
slow connections end in a burst.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal

from .._rate.pace import REALTIME_PAUSE

__all__ = ["RateLimiter", "RateState", "RealtimePace", "Slot", "TokenBucket"]

RateState = Literal["own", "shared", "alone", "waiting"]


class TokenBucket:
    """At most `rate * W + burst` tokens in any window of W seconds. Has no clock of its own."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until the next token, 0 if there is one now."""
        missing = 1.0 - self._level(now)
        return missing / self.rate if missing > 0 else 0.0

    def take(self, now: float) -> bool:
        """Take a token; returns False if there is none."""
        level = self._level(now)
        if level < 1.0:
            return False
        self._tokens = level - 1.0
        self._at = now
        return True

    def give_back(self) -> None:
        """Put back a token that was not used."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def _level(self, now: float) -> float:
        # A clock that steps back must not refill twice.
        return min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)


class RealtimePace:
    """One realtime message per minute, the gateway's limit."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0
        self._owner = ""

    async def ask(self, owner: str) -> float:
        """Take the permission for one and return 0, or return the seconds until there is one."""
        now = self._loop.time()
        if self._free_at > now:
            return self._free_at - now
        self._free_at, self._owner = now + REALTIME_PAUSE, owner
        return 0.0

    async def sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""
        self._free_at, self._owner = self._loop.time() + REALTIME_PAUSE, owner

    async def not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""
        if self._owner == owner:
            self._free_at = 0.0


class Slot:
    """The permit of one request: `depart` just before its first byte, then `release`."""

    __slots__ = ("_limiter", "departed")

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self.departed: bool = False

    def try_depart(self) -> bool:
        """Take the token; returns False if the rate or a hold still requires a wait."""
        return self._limiter.try_depart(self)

    async def depart(self) -> None:
        """Wait as the rate and a hold require, then take the token."""
        await self._limiter.depart(self)

    def release(self) -> None:
        """Return the slot. Must be called once, whatever happened."""
        self._limiter.release(self)


class RateLimiter:
    """Grants slots, at most `concurrency` at a time.

    `rate` is requests per second, None for no limit. `burst` is how many requests may leave at
    once after a quiet time. Belongs to one event loop.
    """

    def __init__(self, *, rate: float | None, burst: int, concurrency: int) -> None:
        self.rate = rate
        # One bucket for slots, so that requests wait here and not on a connection, and one for
        # departures, which is what the rate limits. They differ when connecting takes time.
        self._slots = None if rate is None else TokenBucket(rate, burst)
        self._departures = None if rate is None else TokenBucket(rate, burst)
        self.concurrency = concurrency
        self._free = concurrency
        self._hold_end = 0.0
        self._urgent: deque[asyncio.Future[Slot]] = deque()
        self._bulk: deque[asyncio.Future[Slot]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.realtime: RealtimePace = RealtimePace()

    @property
    def state(self) -> RateState:
        """Whose rate limits the requests now."""
        return "own"

    @property
    def held_for(self) -> float:
        """Seconds until the hold ends, 0 if there is none."""
        return max(0.0, self._hold_end - self._loop.time())

    @property
    def in_flight(self) -> int:
        """How many slots are taken now."""
        return self.concurrency - self._free

    def waiting(self, *, urgent: bool) -> int:
        """How many calls are queued. May be called from any thread."""
        # A deque is copied to a tuple in one step, whatever the event loop does meanwhile.
        waiters = tuple(self._urgent if urgent else self._bulk)
        return sum(not waiter.done() for waiter in waiters)

    def hold(self, seconds: float) -> None:
        """Let no request leave for so many seconds, whether it has a slot or not."""
        self._hold_end = max(self._hold_end, self._loop.time() + seconds)

    def try_acquire(self) -> Slot | None:
        """Return a slot; returns None if calls are queued or the slot would need a wait."""
        if self._free > 0 and not (self._urgent or self._bulk) and not self._wait_for(self._slots):
            return self._grant()
        return None

    async def acquire(self, *, urgent: bool) -> Slot:
        """Wait for a slot. Cancelling costs no other call its place."""
        if (slot := self.try_acquire()) is not None:
            return slot
        waiter: asyncio.Future[Slot] = self._loop.create_future()
        (self._urgent if urgent else self._bulk).append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release(waiter.result())
            else:
                waiter.cancel()
            raise

    def try_depart(self, slot: Slot) -> bool:
        """See `Slot.try_depart`."""
        if self._wait_for(self._departures) > 0.0:
            return False
        if self._departures is not None:
            self._departures.take(self._loop.time())
        slot.departed = True
        return True

    async def depart(self, slot: Slot) -> None:
        """See `Slot.depart`."""
        # Not an event: the wait is for the clock, and a hold may have begun meanwhile.
        while not self.try_depart(slot):  # noqa: ASYNC110
            await asyncio.sleep(self._wait_for(self._departures))

    def release(self, slot: Slot) -> None:
        """See `Slot.release`."""
        self._free += 1
        if self._slots is not None and not slot.departed:
            self._slots.give_back()
        if self._urgent or self._bulk:
            self._serve()

    async def close(self) -> None:
        """Release what the limiter holds; nothing, as long as the rate is not shared."""

    def _grant(self) -> Slot:
        self._free -= 1
        if self._slots is not None:
            self._slots.take(self._loop.time())
        return Slot(self)

    def _wait_for(self, bucket: TokenBucket | None) -> float:
        if bucket is None and not self._hold_end:
            return 0.0
        now = self._loop.time()
        held = max(0.0, self._hold_end - now)
        return held if bucket is None else max(held, bucket.wait(now))

    def _wait_for_slot(self) -> float | None:
        """Return the seconds until the next slot; None if it depends on a slot's release."""
        return None if self._free <= 0 else self._wait_for(self._slots)

    def _serve(self) -> None:
        """Grant slots to the calls that were queued first, or set a timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (waiter := self._next()) is not None:
            wait = self._wait_for_slot()
            if wait is None:
                return
            if wait > 0.0:
                self._timer = self._loop.call_later(wait, self._serve)
                return
            (self._urgent or self._bulk).popleft()
            waiter.set_result(self._grant())

    def _next(self) -> asyncio.Future[Slot] | None:
        for queue in (self._urgent, self._bulk):
            while queue:
                if not queue[0].done():
                    return queue[0]
                queue.popleft()
        return None
