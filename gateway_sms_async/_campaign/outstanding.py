"""The messages of a campaign that have not ended, and how many recipients each of them holds.

Makes no request and decides nothing: the campaign says when a message begins and ends.
"""

from __future__ import annotations

from collections import deque

from .._transaction.builder import MessageBuilder
from .ending import may_be_closed

__all__ = ["OutstandingMessages"]


class OutstandingMessages:
    """The messages of one campaign that have not ended.

    - `live`: messages that are being filled or finished.
    - `adopted`: messages of earlier runs that wait for their turn.
    """

    def __init__(self) -> None:
        self.live: list[MessageBuilder] = []
        self.adopted: deque[MessageBuilder] = deque()
        self._earlier: set[MessageBuilder] = set()

    def adopt(self, builder: MessageBuilder) -> None:
        """Add a message of an earlier run."""
        self.adopted.append(builder)
        self._earlier.add(builder)

    def is_earlier(self, builder: MessageBuilder) -> bool:
        """Whether a message is one of an earlier run."""
        return builder in self._earlier

    def held(self) -> dict[int, int]:
        """Return how many recipients each message holds."""
        return {one.message.number: one.taken for one in (*self.live, *self.adopted)}

    def waiting(self) -> int:
        """Return how many recipients of live messages are not acknowledged yet."""
        return sum(one.waiting for one in self.live if not one.counted)

    def begin_adopted(self) -> None:
        """Make all messages of earlier runs live."""
        self.live.extend(self.adopted)
        self.adopted.clear()

    def begin_adopted_in_doubt(self) -> None:
        """Make those messages of earlier runs live that may be closed."""
        adopted = list(self.adopted)
        self.adopted.clear()
        for builder in adopted:
            (self.live if may_be_closed(builder.message) else self.adopted).append(builder)

    def open_no_more(self) -> None:
        """Open no further message, and do not begin one of an earlier run that waits for its turn."""
        waiting = {one for one in self.live if one in self._earlier and not one.running()}
        self.adopted.extendleft(waiting)
        self.live = [one for one in self.live if one not in waiting]
        for builder in self.live:
            builder.skip()
