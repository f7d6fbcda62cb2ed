"""How a campaign goes about its messages, and what it has learned of the gateway on the way.

One object for all messages of a campaign; whoever learns something writes it here, and the next
message goes by it. Nothing but values.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Tuning", "shrinking"]


def shrinking(size: int, batches: int) -> int:
    """Return how many recipients a batch holds that comes after so many others of a message.

    Each holds one less than the one before, down to nine tenths of `size`: were two of the same
    size, one that is lost and one that is repeated on the way would make up for each other in the
    counts.
    """
    return size - min(batches, size // 10)


@dataclass(slots=True)
class Tuning:
    """What all messages of a campaign go by.

    - `batch_size`: recipients in one request; `per_message`: on one message.
    - `careful`: each message is one POST and one close, so that counts alone prove it.
    - `verify_always`: the list of recipients is read for every message.
    - `objects_understood`: whether lists of objects are, None while not known.
    - `lists_hold_invalid`: whether lists of recipients hold the invalid ones too, likewise.
    - `closed_elsewhere`: a message was found closed though nobody here closed it.
    - `close_empty`: a close brings nobody, because one that did took them and did not close.
    - `orphans`: recipients on messages that were opened and lost, or replaced after they had cost.
    - `largest_taken`: bytes of the largest request that the gateway took.
    """

    batch_size: int
    per_message: int
    careful: bool = False
    verify_always: bool = False
    objects_understood: bool | None = None
    lists_hold_invalid: bool | None = None
    closed_elsewhere: bool = False
    close_empty: bool = False
    orphans: int = 0
    largest_taken: int = 0

    @property
    def limit(self) -> int:
        """How many recipients the next message may hold."""
        requests = 1 if self.close_empty else 2
        most = requests * self.size(objects=True) if self.careful else self.per_message
        return min(self.per_message, most)

    def size(self, *, objects: bool) -> int:
        """How many recipients the next request may hold."""
        return 1 if objects and self.objects_understood is False else self.batch_size

    def taken(self, size: int) -> None:
        """Note that a request of so many bytes was taken."""
        self.largest_taken = max(self.largest_taken, size)

    def shrink(self, size: int, people: int, held: int, allowed: int) -> bool:
        """Go on smaller after a 413 for `size` bytes and `people`; False when there is no way.

        `held` is how many recipients the message held and `allowed` how many it was to hold: a
        request no larger than others that were taken, or for one, was refused because it is full.
        """
        if held and (size <= self.largest_taken or people <= 1):
            self.per_message = min(self.per_message, held)
            return self.per_message < allowed
        if people <= 1:
            return False
        self.batch_size = min(self.batch_size, people // 2)
        return True
