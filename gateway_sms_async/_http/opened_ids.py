"""The ids of the messages that a client has made, so that an id given twice is noticed. No I/O."""

from __future__ import annotations

__all__ = ["OpenedIds"]

# About 10 MB. A proxy that mixes up responses gives one that it has just seen.
_MOST = 100_000


class OpenedIds:
    """Remembers the last `_MOST` ids."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def claim(self, message_id: str) -> bool:
        """Take an id for one message; return False if another message has it already."""
        if message_id in self._ids:
            return False
        self._ids[message_id] = None
        if len(self._ids) > _MOST:
            del self._ids[next(iter(self._ids))]
        return True
