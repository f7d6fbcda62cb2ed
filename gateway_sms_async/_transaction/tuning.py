"""Batch sizes and modes of a campaign, adapted to the gateway as its answers come in.

All messages of a campaign share one object: what one message learns applies to the next. Only
values.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Closures", "Tuning", "shrinking"]


def shrinking(size: int, batches: int) -> int:
    """Return how many recipients a batch holds that comes after `batches` others of its message.

    Each batch holds one recipient less than the batch before, down to half of `size`. If two had
    the same size, and one were lost and the other applied twice, the counts would not show it. A
    message with more batches than that has full ones again, and its list is read.
    """
    return size - batches if batches <= size // 2 else size


@dataclass(slots=True)
class Closures:
    """How many messages were found closed though this process did not close them."""

    count: int = 0


@dataclass(slots=True)
class Tuning:
    """Sizes and modes that all messages of a campaign share.

    - `batch_size`: recipients in one request; `per_message`: on one message.
    - `careful`: each message is one POST and one close, so that counts alone prove it.
    - `verify_always`: the list of recipients is read for every message.
    - `objects_understood`: whether the gateway reads lists of objects, None while not known.
    - `lists_hold_invalid`: whether lists of recipients include the invalid ones, None while not
      known.
    - `closures`: the messages that were found closed though this process did not close them; shards
      that run side by side share them, because they share the account.
    - `close_empty`: a close adds no recipients, because one that did added them and did not close.
    - `orphans`: recipients that may have been paid for though nothing is sent to them. Either the
      response to the request that opened their message was lost, so this message is never closed;
      or their message was deleted and replaced by a single send. They count towards `max_cost`.
    - `largest_taken`: bytes of the largest request that the gateway took.
    """

    batch_size: int
    per_message: int
    careful: bool = False
    verify_always: bool = False
    objects_understood: bool | None = None
    lists_hold_invalid: bool | None = None
    closures: Closures = field(default_factory=Closures)
    close_empty: bool = False
    orphans: int = 0
    largest_taken: int = 0

    @property
    def closed_elsewhere(self) -> int:
        """How many messages were found closed though this process did not close them."""
        return self.closures.count

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
        """Record that the gateway took a request of `size` bytes."""
        self.largest_taken = max(self.largest_taken, size)

    def shrink(self, size: int, recipients: int, held: int, allowed: int) -> bool:
        """Reduce sizes after a 413 for `size` bytes and `recipients`; False if that cannot help.

        The message held `held` recipients and was to hold `allowed`. If the request was no larger
        than others that were taken, or had one recipient only, then the message is full.
        """
        if held and (size <= self.largest_taken or recipients <= 1):
            self.per_message = min(self.per_message, held)
            return self.per_message < allowed
        if recipients <= 1:
            return False
        self.batch_size = min(self.batch_size, recipients // 2)
        return True
