"""The ids of the messages that a client has made, so that an id given twice is noticed. No I/O."""

from __future__ import annotations

from collections import deque

__all__ = ["OpenedIds"]

# About 12 MB. A proxy that mixes up responses gives one that it has just seen.
_MOST = 100_000


class OpenedIds:
    """Remembers the last `_MOST` ids. `lost` counts opens whose answers never came."""

    def __init__(self) -> None:
        self.lost: int = 0
        self._ids: set[str] = set()
        # A dict keeps the order too, but takes long to find its first key once others were removed.
        self._in_order: deque[str] = deque()

    def claim(self, message_id: str) -> bool:
        """Take an id for one message; return False if another message has it already."""
        if message_id in self._ids:
            return False
        self._ids.add(message_id)
        self._in_order.append(message_id)
        if len(self._in_order) > _MOST:
            self._ids.remove(self._in_order.popleft())
        return True
