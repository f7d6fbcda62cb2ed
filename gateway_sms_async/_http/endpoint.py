"""One kind of request; whether a call is on the wire."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from ..models import Envelope
from .attempts import AttemptObserver
from .retry import AttemptFailed, Operation

__all__ = ["CONTROL_CAP", "LIST_CAP", "Endpoint", "WireStatus"]

T = TypeVar("T")

CONTROL_CAP = 1024 * 1024


LIST_CAP = 64 * 1024 * 1024
"""The most bytes of an answer, once unpacked: about one message, or about a list."""


class Endpoint(Generic[T]):
    """How one kind of request is written and its answer read."""

    __slots__ = ("cap", "decoder", "method", "operation")

    def __init__(
        self,
        method: str,
        operation: Operation,
        decoder: msgspec.json.Decoder[Envelope[T]],
        cap: int = CONTROL_CAP,
    ) -> None:
        self.method: str = method
        self.operation: Operation = operation
        self.decoder: msgspec.json.Decoder[Envelope[T]] = decoder
        self.cap: int = cap


class WireStatus:
    """Lets whoever started a call see whether it is on the wire, also after cancelling it.

    `lost` counts attempts whose answer was lost.
    """

    __slots__ = ("lost", "on_wire")

    def __init__(self) -> None:
        self.on_wire: bool = False
        self.lost: int = 0


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call while it lasts. `deadline` is on the loop's clock."""

    endpoint: Endpoint[T]
    path: str
    payload: bytes | None
    wire_status: WireStatus
    accepts: Callable[[T], bool] | None
    deadline: float
    tries: int = 0
    renewed: bool = False
    failed: AttemptFailed | None = None
    observer: AttemptObserver | None = None
