"""What the store of a shared rate can do."""

from __future__ import annotations

from typing import Protocol

__all__ = ["RateStore"]


class RateStore(Protocol):
    """Where several processes keep one rate. Its methods raise SharedRateError, and never hang."""

    async def open(self) -> None:
        """Check that the store can be used, and prepare it."""

    async def ask(self) -> float:
        """Take the permission for one request, and return 0; or return the seconds to wait."""
        ...

    async def hold(self, seconds: float) -> None:
        """Let no request of any process leave for so many seconds."""

    async def ask_realtime(self, owner: str) -> float:
        """Take the permission for a realtime message, and return 0; or return the seconds to wait.

        `owner` is a new text for each message.
        """
        ...

    async def realtime_sent(self, owner: str) -> None:
        """Begin the minute anew: the message has arrived just now."""

    async def realtime_not_sent(self, owner: str) -> None:
        """End the minute of this owner, whose message was not sent."""

    async def close(self) -> None:
        """Release what the store holds."""
