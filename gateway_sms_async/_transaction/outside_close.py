"""That somebody else has closed a message: what shows it, and what is then in doubt.

"Somebody else" is another process, the vendor's console, or a gateway that keeps no message open.
Where one open message was closed in this way, the others may have been too.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._http.open_messages import OpenMessages
from .._journal.journal import Journal, NullJournal
from .._journal.records import ClosedElsewhere
from ..errors import GatewayError
from ..models import Message
from .message import OutgoingMessage
from .tuning import Tuning

__all__ = ["OutsideClose"]


class OutsideClose:
    """What is known about a close of one message by somebody else."""

    def __init__(
        self,
        message: OutgoingMessage,
        tuning: Tuning,
        journal: Journal | NullJournal,
        open_messages: OpenMessages,
    ) -> None:
        self._message = message
        self._tuning = tuning
        self._journal = journal
        self._open_messages = open_messages
        self.shown_during_close = False
        """Whether an answer showed the message closed after this process had begun to close it."""
        self._is_counted = False
        self._has_closed_copy = False
        self.is_replaced = False
        """Whether its recipients are on another message, and counted there."""

    # What shows it

    def watch_reference(self, reference: str) -> None:
        """Take note of answers that show a message with this reference closed."""
        self._open_messages.add_reference(reference, self)

    def watch(self, shown_closed: Mapping[str, object], reference: str | None = None) -> None:
        """Take note of each answer that shows the message closed, no matter what asked for it.

        `shown_closed` holds what was shown closed before: the `options.custom` of each id.
        """
        self._open_messages.add(self._message.id, self)
        if self._message.id in shown_closed:
            self.seen_closed()
        elif reference is not None and reference in shown_closed.values():
            self.copy_seen_closed()

    def seen_closed(self) -> None:
        """Record that an answer showed the message closed.

        It is no news if it was shown before. If this process has begun to close the message, it may
        have been that close: the next look decides.
        """
        message = self._message
        if message.shown_closed:
            return
        if message.close_begun:
            self.shown_during_close = True
        elif self.is_replaced or message.state == "unknown":
            message.shown_closed = True
            self.count()
        elif message.state in {"open", "closing", "left_open"}:
            self.note()

    def copy_seen_closed(self) -> None:
        """Record that an answer showed a message closed that has the reference of this one.

        It is that of an open whose answer was lost: this one if it was not answered since, else a
        copy of it, with the same recipients.
        """
        message = self._message
        if message.state == "new" and not message.in_doubt:
            return  # its answer is still to come, and tells
        self.count()
        if message.state in {"open", "left_open"} and not self.is_replaced:
            self._has_closed_copy = True
            self.doubt()

    def check_no_copy(self) -> None:
        """Raise GatewayError if a copy of the message was closed: its recipients may have the text."""
        if self._has_closed_copy:
            raise GatewayError(
                f"message {self._message.id} was opened twice because an answer was lost, and another "
                "process or the console closed the other one: its recipients may have the text"
            )

    def check_open(self, seen: Message) -> None:
        """Raise GatewayError if the message is closed though this process did not close it."""
        if not seen.transaction:
            raise self.error()

    def check_closed(self, seen: Message) -> None:
        """Raise GatewayError if a look shows the message open that another answer showed closed."""
        if seen.transaction:
            raise self.error()

    def error(self) -> GatewayError:
        """Record that it is closed though this process did not close it; return the error for it."""
        self.note()
        return GatewayError(
            f"message {self._message.id} is closed though this process did not close it: another "
            "process or the console did, or the gateway does not keep transactions open"
        )

    def note(self) -> None:
        """Record that the message is closed though this process did not close it."""
        self._message.shown_closed = True
        self.count()
        self.doubt()

    def count(self) -> None:
        """Record that a message was closed elsewhere, so that others may be closed too."""
        # Once: each time is a reason to look at all other open messages again.
        if not self._is_counted:
            self._is_counted = True
            self._tuning.closures.count += 1

    # What is in doubt

    def doubt(self) -> None:
        """Record that the message may be closed, though this process did not close it."""
        self._message.closed_elsewhere = True
        self._journal.note(ClosedElsewhere(self._message.number))

    def may_be_unseen(self) -> bool:
        """Whether it may be closed because another message was, and was not looked at since.

        So may a message whose id is not known, because the answer to its open was lost.
        """
        message = self._message
        is_open = message.state in {"open", "closing", "left_open"} and not self.seen_open_since()
        return self._tuning.closed_elsewhere > 0 and (is_open or message.is_lost)

    def seen_open_since(self) -> bool:
        """Whether it was seen open after the last time that a message was found closed elsewhere."""
        return self._message.seen_open_after == self._tuning.closed_elsewhere

    def check_settled(self) -> None:
        """Raise GatewayError if the recipients of a message closed elsewhere are still not known."""
        if not self._message.is_settled:
            raise self.error()
