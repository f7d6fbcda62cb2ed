"""The open messages of a client, so that any answer which shows one of them closed is noticed. No I/O."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol
from weakref import WeakValueDictionary

__all__ = ["OpenMessage", "OpenMessages"]


class OpenMessage(Protocol):
    """A message that this client has opened."""

    def seen_closed(self) -> None:
        """Take note that an answer showed the message closed."""


class OpenMessages:
    """The messages that this client fills, by their ids.

    A message may be read by others than its campaign: by the search for a lost send, which reads
    the messages of the account, or by the user. If the answer shows that another client has closed
    it, its campaign must know: it would report the recipients as unsent.
    """

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[str, OpenMessage] = WeakValueDictionary()
        self._coming: dict[object, set[str]] = {}

    def add(self, message_id: str, message: OpenMessage) -> None:
        """Add a message, for as long as it is in use."""
        self._by_id[message_id] = message

    def seen_closed(self, message_id: str) -> None:
        """Tell the message with this id, if this client fills it, that an answer showed it closed."""
        if (message := self._by_id.get(message_id)) is not None:
            message.seen_closed()
            return
        for shown_closed in self._coming.values():
            shown_closed.add(message_id)

    @contextmanager
    def message_coming(self) -> Generator[set[str]]:
        """Collect the ids that answers show closed while a message cannot be added yet.

        Its open is not answered, for example; but others may read it already.
        """
        key = object()
        shown_closed = self._coming[key] = set()
        try:
            yield shown_closed
        finally:
            del self._coming[key]
