"""Who in a message's list of recipients is one: neither an invalid number nor there already.

Whoever reads lists to tell what became of people enters. No I/O.
"""

from __future__ import annotations

from .models import Message, RecipientReport
from .standing import key_of

__all__ = ["Sieve"]

_INVALID = "INVALID"


class Sieve:
    """Takes one list of `message` entry by entry, each once; tells which ones are recipients.

    - An entry that comes again, as where pages overlap, is none: it would stand for somebody who
      is missing. It has the same id, number and place; a number alone may be on a message twice.
    - A number that the gateway calls invalid is none, of as many as the message counts: others
      may be called so later on, when they are rejected.

    `listed` is how many entries there were but for repeats, `invalid` how many of them are invalid.
    """

    def __init__(self, message: Message) -> None:
        self.listed: int = 0
        self.invalid: int = 0
        self._most_invalid = message.invalid
        self._named = {key_of(one) for one in message.recipients.invalid.list}
        self._seen: set[tuple[str, str, bytes]] = set()

    def admits(self, entry: RecipientReport) -> bool:
        """Whether this entry is a recipient."""
        return self.is_new(entry) and self.is_valid(entry)

    def is_new(self, entry: RecipientReport) -> bool:
        """Whether this entry was not there before; the first half of `admits`."""
        if entry.id is not None:
            before = len(self._seen)
            self._seen.add((entry.id, entry.number, bytes(entry.wire_i)))
            if len(self._seen) == before:
                return False
        self.listed += 1
        return True

    def is_valid(self, entry: RecipientReport) -> bool:
        """Whether this entry, which is new, is no invalid number; the second half of `admits`."""
        if self.invalid < self._most_invalid and (
            entry.state == _INVALID or key_of(entry.number) in self._named
        ):
            self.invalid += 1
            return False
        return True
