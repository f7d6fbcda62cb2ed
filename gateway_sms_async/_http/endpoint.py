"""One kind of request, and one call while it lasts.

Knows the call's deadline and whether its request is on the wire. Makes no attempts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..errors import GatewayTimeoutError
from ..models import Envelope
from .attempts import AttemptObserver
from .responses import Decoder
from .retry import AttemptFailed, AttemptResult, Operation

__all__ = ["CONTROL_CAP", "LIST_CAP", "MESSAGE_CAP", "CallState", "Endpoint", "WireStatus"]

T = TypeVar("T")

CONTROL_CAP = 1024 * 1024
"""The maximum size of a response in bytes, once unpacked."""


MESSAGE_CAP = 8 * 1024 * 1024
"""The same of one message: the gateway may list all of its recipients as invalid."""


LIST_CAP = 64 * 1024 * 1024
"""The same of a list: 50,000 recipients take about 50 MB."""


class Endpoint(Generic[T]):
    """How one kind of request is made and how its response is decoded."""

    __slots__ = ("cap", "decoder", "method", "operation")

    def __init__(
        self,
        method: str,
        operation: Operation,
        decoder: Decoder[Envelope[T]],
        cap: int = CONTROL_CAP,
    ) -> None:
        self.method: str = method
        self.operation: Operation = operation
        self.decoder: Decoder[Envelope[T]] = decoder
        self.cap: int = cap


class WireStatus:
    """Whether a call is on the wire. Its caller can still read this after cancelling the call.

    - `on_wire`: an attempt is on the wire now.
    - `lost` counts attempts whose response was lost.
    - `departed` counts attempts that left and are not proven to be unsent, whatever came back. It
      is counted before the first byte leaves, so an exception at any moment finds it counted.
    """

    __slots__ = ("departed", "lost", "on_wire")

    def __init__(self) -> None:
        self.on_wire: bool = False
        self.lost: int = 0
        self.departed: int = 0


@dataclass(slots=True)
class CallState(Generic[T]):
    """One call while it lasts. `deadline` is on the loop's clock."""

    endpoint: Endpoint[T]
    path: str = field(repr=False)
    payload: bytes | None = field(repr=False)
    wire_status: WireStatus
    accepts: Callable[[T], bool] | None
    deadline: float
    tries: int = 0
    renewed: bool = False
    observer: AttemptObserver | None = None

    def time_left(self) -> float:
        """Return the seconds until the deadline, below zero if it has passed."""
        return self.deadline - asyncio.get_running_loop().time()

    async def in_time(self, token: Awaitable[str]) -> str:
        """Wait for a token until the deadline: its source may take any time."""
        limit = asyncio.timeout_at(self.deadline)
        try:
            async with limit:
                return await token
        except TimeoutError:
            if not limit.expired():
                raise
        raise AttemptFailed(
            AttemptResult.NOT_SENT, GatewayTimeoutError("no token within max_elapsed")
        )
