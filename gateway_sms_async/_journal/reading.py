"""Reading the file of a journal: its tables, settings, recipients and log. Writes nothing.

A file may be damaged, or made up by another program. Nothing in it is trusted: it has exactly the
tables of a journal, and each value has its type and its checksum.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

from ..errors import JournalCorruptError, JournalError
from .connection import explained, pragma

__all__ = ["CHECKSUM", "FORMAT", "TABLES", "JournalFile", "sealed"]

FORMAT = 1
"""Increase this number whenever the format changes. Journals of older formats must still resume."""


TABLES = {
    "meta": "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "people": "CREATE TABLE people (first INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "log": "CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB NOT NULL)",
}


CHECKSUM = 4


class JournalFile:
    """The file of one journal, for the thread that opened it.

    Values are bytes, each stored with a checksum. The checksums of the log are chained, so that a
    record missing between two others is detected. Each row of recipients holds several, keyed by
    the ordinal of the first.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._number = 0
        self._chain = 0

    def meta(self) -> dict[str, bytes]:
        """Return the settings and the counts of the source."""
        with explained(self.path):
            rows: Iterable[tuple[object, object]] = self._connection.execute(
                "SELECT name, value FROM meta"
            ).fetchall()
            return {str(name): self._unsealed(value, 0) for name, value in rows}

    def recipients(self, ordinal: int) -> tuple[int, bytes]:
        """Return the first ordinal of the row that has this ordinal, and the row."""
        with explained(self.path):
            row: tuple[int, object] | None = self._connection.execute(
                "SELECT first, value FROM people WHERE first <= ? ORDER BY first DESC LIMIT 1",
                (ordinal,),
            ).fetchone()
            if row is None:
                raise self.damaged("recipients are missing")
            return row[0], self._unsealed(row[1], row[0])

    def log(self) -> Generator[bytes]:
        """Yield the records of the log from its beginning. Close it on the same thread."""
        self._number = self._chain = 0
        with (
            explained(self.path),
            closing(
                self._connection.execute("SELECT number, value FROM log ORDER BY number")
            ) as rows,
        ):
            for number, stored in rows:
                value = self._bytes(stored)
                self._number += 1
                self._chain = zlib.crc32(value[CHECKSUM:], self._chain)
                if number != self._number or value[:CHECKSUM] != self._chain.to_bytes(CHECKSUM):
                    raise self.damaged("records are missing from its log, or damaged")
                yield value[CHECKSUM:]

    def size(self) -> int:
        """Return the size of the file in bytes, as SQLite has it."""
        with explained(self.path):
            return pragma(self._connection, "page_size") * pragma(self._connection, "page_count")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def check_tables(self) -> None:
        """Raise JournalError unless it is a journal of a known format, with its tables only."""
        version = pragma(self._connection, "user_version")
        if version > FORMAT:
            raise JournalError(
                f"{self.path}: written by a newer version of gateway_sms_async (format {version}, "
                f"this one knows {FORMAT}); resume it with that one"
            )
        # A view can have the name of a table and endless rows; a trigger can change the log.
        rows = self._connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        if sorted(rows) != [("table", name, sql) for name, sql in sorted(TABLES.items())]:
            raise self.damaged("its tables are not those of a journal")

    def damaged(self, how: str) -> JournalCorruptError:
        """Return the error for a damaged journal."""
        return JournalCorruptError(
            f"{self.path}: the journal is damaged ({how}); do not send its list again before you "
            "have looked at the messages of the account"
        )

    def _unsealed(self, stored: object, salt: int) -> bytes:
        value = self._bytes(stored)
        if sealed(value[CHECKSUM:], salt) != value:
            raise self.damaged("a checksum is wrong")
        return value[CHECKSUM:]

    def _bytes(self, stored: object) -> bytes:
        """Return a value, which SQLite allows to be of any type."""
        if not isinstance(stored, bytes):
            raise self.damaged("a value is not bytes")
        return stored


def sealed(value: bytes, salt: int) -> bytes:
    """Return a value with its checksum, which is of its place too."""
    return zlib.crc32(value, salt & 0xFFFFFFFF).to_bytes(CHECKSUM) + value
