"""A journal as it is while another process writes it: read without a lock, and never written.

SQLite's locks would keep a reader out for the whole campaign, or stop the campaign for the reader.
They are not needed. Settings and recipients do not change once the file has its name, and the log
only grows: its chained checksums show that what was read is the log as it was at some moment.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Generator
from pathlib import Path

from ..errors import JournalCorruptError, JournalError
from .connection import connect_unlocked, explained
from .reading import JournalFile

__all__ = ["Snapshot"]

_TRIES = 20


_WAIT = 0.05
"""Seconds between two tries to read a log whose pages were being written."""


class Snapshot(JournalFile):
    """A journal as it was when this was opened. Each method is called on one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        super().__init__(path, connection)
        self.check_tables()
        self._meta = super().meta()
        self._log = list(super().log())
        # If a page was split meanwhile, only its first half was found where it had been.
        again = list(super().log())
        if len(again) > len(self._log):
            self._log = again

    @classmethod
    def open(cls, path: Path) -> Snapshot:
        """Read settings and log; raises JournalError if the file is not a whole journal."""
        for left in reversed(range(_TRIES)):
            try:
                return cls._open(path)
            except JournalCorruptError:
                # A page of it may have been read before, another one after a commit.
                if not left:
                    raise
            time.sleep(_WAIT)
        raise AssertionError

    @classmethod
    def _open(cls, path: Path) -> Snapshot:
        with explained(path):
            if not path.is_file():
                raise JournalError(f"{path}: there is no journal here")
            connection = connect_unlocked(path)
            try:
                return cls(path, connection)
            except BaseException:
                connection.close()
                raise

    def meta(self) -> dict[str, bytes]:
        """Return the settings and the counts of the source."""
        return self._meta

    def log(self) -> Generator[bytes]:
        """Yield the records of the log as it was when this was opened."""
        yield from self._log
