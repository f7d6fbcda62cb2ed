"""From recipients to the batches of one message, with the last batch kept back for the close.

No I/O and no asyncio: it holds the batches and their sizes. The builder sends what is ready.
"""

from __future__ import annotations

from collections import deque

from .._recipients.batches import Batch, Batcher
from .._recipients.source import Items
from .message import OutgoingMessage
from .tuning import Tuning, shrinking

__all__ = ["Accumulator"]


class Accumulator:
    """The recipients that were taken for one message and are not assigned to it yet.

    - `buffer`: the batch that is being filled. It is kept back for the close, which needs at least
      one recipient, so it becomes ready only when another recipient follows.
    - `ready`: batches to send, in order.
    - `set_aside`: batches that go to another message.
    - `taken`: how many recipients were taken for the message, assigned ones included.
    """

    def __init__(
        self, message: OutgoingMessage, batcher: Batcher, tuning: Tuning, *, replaceable: bool
    ) -> None:
        self._message = message
        self._batcher = batcher
        self._tuning = tuning
        self._replaceable = replaceable
        self.buffer = Batch()
        self.ready: deque[Batch] = deque()
        self.set_aside: list[Batch] = []
        self.taken = 0

    @property
    def sealed(self) -> bool:
        """Whether only the close may still add recipients to the message."""
        careful = self._tuning.careful and bool(self._message.assigned)
        return self._replaceable and (careful or self._message.in_doubt)

    @property
    def closes_next(self) -> bool:
        """Whether only the close can add a recipient that is taken now.

        True if the message is sealed. Also true in a careful campaign once the batch that opens
        the message is ready, because a careful message has only that batch and the close.
        """
        careful = self._replaceable and self._tuning.careful and bool(self.ready)
        return careful or self.sealed

    @property
    def room(self) -> int:
        """How many recipients can still be added."""
        room = self._tuning.limit - self.taken
        if self.closes_next:
            room = min(room, self.size - len(self.buffer))
        return max(0, room)

    @property
    def size(self) -> int:
        """How many recipients the buffer may hold."""
        return self._size_after(len(self._message.assigned) + len(self.ready))

    @property
    def next_size(self) -> int:
        """How many recipients the batch after the buffer may hold."""
        batches = len(self._message.assigned) + len(self.ready) + bool(self.buffer)
        return self._size_after(batches)

    @property
    def brings_objects(self) -> bool:
        """Whether the buffer or an assigned batch is a list of objects."""
        return self.buffer.is_object_list or any(
            one.batch.is_object_list for one in self._message.assigned
        )

    def take(self, items: Items, batch: Batch, size: int) -> bool:
        """Take recipients into a batch until it holds `size`; return True at the end of the items."""
        held = len(batch)
        at_end = self._batcher.fill(items, batch, size)
        self.taken += len(batch) - held
        return at_end

    def follow(self, items: Items) -> bool:
        """Take one recipient into a new buffer, and make the full buffer ready.

        If the recipient is refused, the buffer stays as it is. Returns True at the end of the
        items.
        """
        following = Batch()
        try:
            return self.take(items, following, 1)
        finally:
            if following:
                self._push(following)

    def offer(self, batch: Batch) -> None:
        """Take a batch whose recipients were validated before."""
        self.taken += len(batch)
        if self.closes_next:
            self.buffer = self.buffer.joined(batch)
        else:
            self._push(batch)

    def keep_for_close(self) -> None:
        """Keep in the buffer the recipients that the close adds, and make the others ready.

        The close adds as many recipients as one request may hold. If the message is not open yet,
        the close adds at most one, and another recipient opens the message. With `close_empty`, the
        close adds none.
        """
        objects = self.buffer.is_object_list
        keep = min(len(self.buffer), self.size)
        if not self._message.assigned or (objects and not self._tuning.objects_understood):
            # A close with a list of objects that the gateway cannot read would make valid
            # recipients look invalid.
            keep = min(keep, 1)
        if not self._message.assigned:
            keep = min(keep, len(self.buffer) - 1)
        if self._tuning.close_empty:
            keep = 0
        head, kept = self.buffer.split(len(self.buffer) - max(keep, 0))
        if head:
            self.ready.extend(self._pieces(head))
        self.buffer = kept

    def set_ready_aside(self) -> None:
        """Set aside the ready batches if they may no longer be added to the message."""
        if self.sealed:
            self.set_aside.extend(self.ready)
            self.ready.clear()

    def unplaced(self) -> list[Batch]:
        """Return the batches that were taken and are not assigned to the message."""
        placed = {id(one.batch) for one in self._message.assigned}
        batches = {id(batch): batch for batch in (*self.set_aside, *self.ready, self.buffer)}
        return [batch for key, batch in batches.items() if key not in placed]

    def _push(self, following: Batch) -> None:
        if self.buffer:
            self.ready.extend(self._pieces(self.buffer))
        self.buffer = following

    def _size_after(self, batches: int) -> int:
        """Return how many recipients the next batch may hold after so many of the message."""
        return shrinking(self._tuning.size(objects=bool(self.buffer.fields)), batches)

    def _pieces(self, batch: Batch) -> list[Batch]:
        """Cut a batch into batches that one request each may hold."""
        pieces: list[Batch] = []
        batches = len(self._message.assigned) + len(self.ready)
        while len(batch) > (size := self._size_after(batches + len(pieces))):
            piece, batch = batch.split(size)
            pieces.append(piece)
        return [*pieces, batch]
