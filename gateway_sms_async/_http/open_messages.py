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

    def copy_seen_closed(self) -> None:
        """Take note that an answer showed a message closed that has the same reference."""


class OpenMessages:
    """The messages that this client fills, by their ids.

    A message may be read by others than its campaign: by the search for a lost send, which reads
    the messages of the account, or by the user. If the answer shows that another client has closed
    it, its campaign must know: it would report the recipients as unsent.
    """

    def __init__(self) -> None:
        self._by_id: WeakValueDictionary[str, OpenMessage] = WeakValueDictionary()
        self._by_reference: WeakValueDictionary[str, OpenMessage] = WeakValueDictionary()
        self._coming: dict[object, dict[str, object]] = {}

    def add(self, message_id: str, message: OpenMessage) -> None:
        """Add a message, for as long as it is in use."""
        self._by_id[message_id] = message

    def add_reference(self, reference: str, message: OpenMessage) -> None:
        """Add the reference of a message that is being opened.

        If an answer is lost, there may be two with this reference, or one whose id is not known.
        """
        self._by_reference[reference] = message

    def seen_closed(self, message_id: str, custom: object = None) -> None:
        """Tell the message with this id, if this client fills it, that an answer showed it closed.

        `custom` is what the answer shows as the `options.custom` of the message.
        """
        if (message := self._by_id.get(message_id)) is not None:
            message.seen_closed()
        elif isinstance(custom, str) and (copied := self._by_reference.get(custom)) is not None:
            copied.copy_seen_closed()
        # Also then: the message may be one of a campaign that has ended, and is resumed just now.
        for shown_closed in self._coming.values():
            shown_closed[message_id] = custom

    @contextmanager
    def message_coming(self) -> Generator[dict[str, object]]:
        """Collect what answers show closed while a message cannot be added yet.

        Its open is not answered, for example; but others may read it already. Yields the
        `options.custom` of each message shown closed, by its id.
        """
        key = object()
        shown_closed: dict[str, object] = {}
        self._coming[key] = shown_closed
        try:
            yield shown_closed
        finally:
            del self._coming[key]
