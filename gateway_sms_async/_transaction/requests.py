"""Its requests, each journaled first."""

from __future__ import annotations

from ..models import Message
from .reconcile import Fate, count

_TOO_LARGE = 413


def _fate_of_one(final: Message) -> Fate:
    """Return what became of the one recipient of a message that was sent by itself."""
    match count(final):
        case (0, 0):
            return Fate.UNSENT
        case (0, _):
            return Fate.INVALID
        case (1, 0):
            return Fate.ACCEPTED
        case _:
            return Fate.DOUBLED
