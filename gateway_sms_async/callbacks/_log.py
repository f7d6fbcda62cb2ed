"""Callbacklog: news or repeat."""

from __future__ import annotations

from collections import OrderedDict

from .._arguments import check_count
from .._delivery.state import DeliveryState
from ._callback import Callback, Key

__all__ = ["CallbackLog"]


class CallbackLog:
    """Tells news from what was told before, and from what is older and comes late.

    States only move forward: those of a message by number, those of a recipient as
    `DeliveryState.may_become` has it. Words for the state of a message, which are not documented,
    are news once each. A message and each of its recipients go by themselves.

    What is made up is remembered too, and makes the true one a repeat: sign the addresses
    (`CallbackSigner`), or have `GatewayClient.confirm` agree first.

    It remembers the `size` that were told of last, in memory: about 300 bytes each. What must
    outlive the process belongs in a table with `Callback.key` as its unique key.
    """

    def __init__(self, size: int = 100_000) -> None:
        self._size = check_count("size", size)
        self._furthest: OrderedDict[Key, int | DeliveryState | None] = OrderedDict()

    def accept(self, callback: Callback) -> bool:
        """Return whether this is news, and remember it."""
        reached = callback.state if callback.delivery is None else callback.delivery
        key = callback.key
        if isinstance(reached, int | DeliveryState):
            key = (*key[:2], None)
        else:
            reached = None
        known = self._furthest
        if key not in known:
            known[key] = reached
            if len(known) > self._size:
                known.popitem(last=False)
            return True
        known.move_to_end(key)
        if not _is_further(known[key], reached):
            return False
        known[key] = reached
        return True

    def __len__(self) -> int:
        return len(self._furthest)

    def __repr__(self) -> str:
        return f"CallbackLog(size={self._size}, {len(self)} known)"


def _is_further(known: int | DeliveryState | None, reached: int | DeliveryState | None) -> bool:
    if known is None or reached is None:
        return reached is not None
    if isinstance(known, DeliveryState):
        return isinstance(reached, DeliveryState) and known.may_become(reached)
    return isinstance(reached, int) and known < reached
