"""Who may leave, and when: the rate, the requests in flight, and the hold after a 429.

Only the session enters. Turns are given in the order they were asked for, interactive ones before
bulk, at the pace of the rate; the token that counts is taken at the moment the first byte leaves,
so that neither a blocked loop nor connections that were slow to open end in a burst.
"""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["RateLimiter", "RealtimePace", "Slot", "TokenBucket"]

_REALTIME_PAUSE = 60.0


class TokenBucket:
    """At most `rate * W + burst` tokens in any window of W seconds. No clock of its own."""

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._tokens = float(burst)
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until a token is there, 0 when one is."""
        missing = 1.0 - self._level(now)
        return missing / self.rate if missing > 0 else 0.0

    def take(self, now: float) -> bool:
        """Take a token if one is there."""
        level = self._level(now)
        if level < 1.0:
            return False
        self._tokens = level - 1.0
        self._at = now
        return True

    def give_back(self) -> None:
        """Put back a token that came to nothing."""
        self._tokens = min(self.burst, self._tokens + 1.0)

    def _level(self, now: float) -> float:
        # A clock that steps back must not refill twice.
        return min(self.burst, self._tokens + max(0.0, now - self._at) * self.rate)


class RealtimePace:
    """One realtime message a minute, which is all that the gateway takes. No clock of its own."""

    def __init__(self) -> None:
        self._free_at = 0.0

    def wait(self, now: float) -> float:
        """Return the seconds until another one may leave, 0 when it may."""
        return max(0.0, self._free_at - now)

    def sent(self, now: float) -> None:
        """Take note that one leaves, or has arrived by now."""
        self._free_at = now + _REALTIME_PAUSE

    def not_sent(self, since: float) -> None:
        """Take note that the one that was to leave `since` then came to nothing."""
        if self._free_at == since + _REALTIME_PAUSE:
            self._free_at = 0.0


class Slot:
    """One request's way through the gate: `depart` just before its first byte, then `done`."""

    __slots__ = ("_limiter", "left")

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self.left: bool = False

    def try_depart(self) -> bool:
        """Take the token, unless the rate or a hold still asks to wait."""
        return self._limiter.try_depart(self)

    async def depart(self) -> None:
        """Wait out whatever the rate and a hold still ask for, then take the token."""
        await self._limiter.depart(self)

    def done(self) -> None:
        """Give back the place. Must be called once, whatever happened."""
        self._limiter.done(self)


class RateLimiter:
    """Hands out turns, at most `concurrency` at once.

    `rate` is requests a second, None for no limit; `burst` how many may follow each other at
    once after a quiet time. Belongs to one event loop.
    """

    def __init__(self, *, rate: float | None, burst: int, concurrency: int) -> None:
        self.rate = rate
        # One for the turns, so that requests wait here and not on a connection; one for the
        # departures, which is what the rate is about. They differ when connecting takes time.
        self._turns = None if rate is None else TokenBucket(rate, burst)
        self._departures = None if rate is None else TokenBucket(rate, burst)
        self.concurrency = concurrency
        self._free = concurrency
        self._held_until = 0.0
        self._urgent: deque[asyncio.Future[Slot]] = deque()
        self._bulk: deque[asyncio.Future[Slot]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def held_for(self) -> float:
        """Seconds until the hold ends, 0 when there is none."""
        return max(0.0, self._held_until - self._loop.time())

    @property
    def in_flight(self) -> int:
        """How many have a turn now."""
        return self.concurrency - self._free

    def waiting(self, *, urgent: bool) -> int:
        """How many wait in line. May be asked from any thread."""
        # A tuple of a deque is made in one step, whatever the event loop does meanwhile.
        line = tuple(self._urgent if urgent else self._bulk)
        return sum(not waiter.done() for waiter in line)

    def hold(self, seconds: float) -> None:
        """Let nothing leave for so long, whoever asked."""
        self._held_until = max(self._held_until, self._loop.time() + seconds)

    def try_acquire(self) -> Slot | None:
        """Return a turn if nobody is in line and none has to be waited for."""
        if self._free > 0 and not (self._urgent or self._bulk) and not self._wait_for(self._turns):
            return self._grant()
        return None

    async def slot(self, *, urgent: bool) -> Slot:
        """Wait in line. Cancelling costs nobody a place."""
        if (slot := self.try_acquire()) is not None:
            return slot
        waiter: asyncio.Future[Slot] = self._loop.create_future()
        (self._urgent if urgent else self._bulk).append(waiter)
        self._serve()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.done(waiter.result())
            else:
                waiter.cancel()
            raise

    def try_depart(self, slot: Slot) -> bool:
        """See `Slot.try_depart`."""
        if self._wait_for(self._departures) > 0.0:
            return False
        if self._departures is not None:
            self._departures.take(self._loop.time())
        slot.left = True
        return True

    async def depart(self, slot: Slot) -> None:
        """See `Slot.depart`."""
        # Not an event: what is waited for is the clock, which may have to be asked again.
        while not self.try_depart(slot):  # noqa: ASYNC110
            await asyncio.sleep(self._wait_for(self._departures))

    def done(self, slot: Slot) -> None:
        """See `Slot.done`."""
        self._free += 1
        if self._turns is not None and not slot.left:
            self._turns.give_back()
        if self._urgent or self._bulk:
            self._serve()

    def _grant(self) -> Slot:
        self._free -= 1
        if self._turns is not None:
            self._turns.take(self._loop.time())
        return Slot(self)

    def _wait_for(self, bucket: TokenBucket | None) -> float:
        if bucket is None and not self._held_until:
            return 0.0
        now = self._loop.time()
        held = max(0.0, self._held_until - now)
        return held if bucket is None else max(held, bucket.wait(now))

    def _wait(self) -> float | None:
        """Return seconds until the next turn, None when only another's end can tell."""
        return None if self._free <= 0 else self._wait_for(self._turns)

    def _serve(self) -> None:
        """Give turns to those first in line, or set the clock for when one can be given."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while (waiter := self._next()) is not None:
            wait = self._wait()
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
