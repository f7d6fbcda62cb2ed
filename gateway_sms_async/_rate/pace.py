"""The pace of an account as one moment that each process moves on. No clock, no I/O.

This is the generic cell rate algorithm (GCRA). `arrival` is the moment at which the next request
would come if all came evenly; it is all that the processes need to share.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LONGEST_HOLD", "REALTIME_PAUSE", "Pace"]

LONGEST_HOLD = 300.0
"""Seconds that a 429 holds all requests at most. A longer `Retry-After` is an error, not a wait."""

REALTIME_PAUSE = 60.0
"""Seconds between two realtime messages of an account, the gateway's limit."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `per_second * W + burst` requests in any window of W seconds."""

    per_second: float
    burst: int

    @property
    def longest_wait(self) -> float:
        """Seconds that no wait exceeds. A longer one is left from before the clock was set back."""
        return LONGEST_HOLD + 1.0 / self.per_second

    @property
    def tolerance(self) -> float:
        """How many seconds before its arrival a request may leave."""
        return (self.burst - 1) / self.per_second

    def ask(self, arrival: float, now: float) -> tuple[float, float]:
        """Return the seconds to wait, and the new arrival; 0 seconds: one request may leave."""
        wait = arrival - self.tolerance - now
        if wait > self.longest_wait:
            arrival = now
        elif wait > 0.0:
            return wait, arrival
        return 0.0, max(arrival, now) + 1.0 / self.per_second

    def hold(self, arrival: float, until: float) -> float:
        """Return the new arrival: no request leaves before `until`, and then one at a time."""
        return max(arrival, until + self.tolerance)
