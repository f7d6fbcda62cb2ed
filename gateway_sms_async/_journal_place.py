"""Where a journal is kept, and what its campaign asks of that place.

Every method blocks, and those of one journal are called on one thread. They raise JournalError, or
JournalCorruptError for what no campaign has written.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

__all__ = ["JournalPlace", "JournalReader", "JournalWriter"]


class JournalReader(Protocol):
    """A journal that is read: settings, recipients and log, each value with its checksum."""

    def meta(self) -> dict[str, bytes]:
        """Return the settings and the counts of the source."""
        ...

    def recipients(self, ordinal: int) -> tuple[int, bytes]:
        """Return the first ordinal of the row that has this ordinal, and the row."""
        ...

    def log(self) -> Generator[bytes]:
        """Yield the records of the log from its beginning. Close it on the same thread."""
        ...

    def size(self) -> int:
        """Return how many bytes there are at most."""
        ...

    def close(self) -> None:
        """Release it. May be repeated."""
        ...


class JournalWriter(JournalReader, Protocol):
    """A journal that this process alone writes.

    - `renew_every`: seconds between two calls of `renew`, None if it need not be called.
    - `careful`: each further message is one POST and one close, whatever the log says.
    """

    renew_every: float | None
    careful: bool

    def add_recipients(self, first: int, value: bytes) -> None:
        """Store some recipients of the source; only before `publish`."""
        ...

    def publish(self, meta: dict[str, bytes]) -> None:
        """Make the whole source durable."""
        ...

    def commit(self, values: Sequence[bytes], *, finished: bool = False) -> None:
        """Append to the log: all values or none, durable when this returns.

        `finished`: they are the last ones, and say so.
        """
        ...

    def renew(self) -> str | None:
        """Keep other processes out for longer; return why nothing more is to be sent, if it is not.

        Raises JournalLostError if another process came in.
        """
        ...

    def remove(self) -> None:
        """Delete the journal."""
        ...


@runtime_checkable
class JournalPlace(Protocol):
    """The place of one journal. Its text names it in errors."""

    @property
    def handle(self) -> Path | JournalPlace:
        """What a user gives to resume it."""
        ...

    def check_new(self) -> None:
        """Raise JournalExistsError if there is a journal here. Creates nothing."""
        ...

    def create(self) -> JournalWriter:
        """Create a journal; raises JournalExistsError if there is one."""
        ...

    def open(self) -> JournalWriter:
        """Open a journal; raises JournalLockedError while another process has it."""
        ...

    def read(self) -> tuple[JournalReader, bool]:
        """Open a journal to read it, also while another process writes it; return whether one does."""
        ...

    def snapshot(self) -> JournalReader:
        """Return a journal as it is now, without keeping anybody out."""
        ...

    def peek(self) -> JournalReader:
        """Return a journal whose settings and recipients are read for a moment."""
        ...

    def raise_limit(self) -> None:
        """Let its campaign go on, if a limit has stopped it for all processes."""
        ...
