"""The journal's file: SQLite, one connection, locked from before the first read until it is closed.

Every method blocks, so the journal calls them on its one thread. A file under its final name always
holds a whole source; while the source is being written, the file has another name.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import JournalCorruptError, JournalError, JournalExistsError, JournalLockedError

__all__ = ["Store", "check_new"]

APPLICATION_ID = 0x47534D53


FORMAT = 1
"""Increase this number whenever the format changes. Journals of older formats must still resume."""


_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE people (first INTEGER PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB NOT NULL);
"""


_CHECKSUM = 4


class Store:
    """One journal file.

    Values are bytes, each stored with a checksum. The checksums of the log are chained, so that a
    record missing between two others is detected. Each row of recipients holds several, keyed by
    the ordinal of the first.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._published = path
        self._number = 0
        self._chain = 0
        self._broken = False

    @classmethod
    def create(cls, path: Path) -> Store:
        """Create a journal; `publish` gives it its final name."""
        check_new(path)
        partial = path.with_name(path.name + ".partial")
        with _explained(path):
            _touch(partial)
            try:
                connection = _connect(partial)
            except JournalCorruptError:
                # Left by a process that was killed before it had sent anything.
                partial.unlink()
                _touch(partial)
                connection = _connect(partial)
            store = cls(partial, connection)
            store._published = path
            try:
                connection.execute("BEGIN IMMEDIATE")
                for table in ("meta", "people", "log"):
                    connection.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            except BaseException:
                store.close()
                raise
            return store

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a published journal, and check that it is complete."""
        with _explained(path):
            if not path.is_file():
                raise JournalError(f"{path}: there is no journal here")
            store = cls(path, _connect(path, known=True))
            try:
                store._check()
                _unlink_partial(path)
            except BaseException:
                store.close()
                raise
            return store

    def add_recipients(self, first: int, value: bytes) -> None:
        """Store some recipients of the source; only before `publish`."""
        with _explained(self._published):
            row = (first, _sealed(value, first))
            self._connection.execute("INSERT INTO people VALUES (?, ?)", row)

    def publish(self, meta: dict[str, bytes]) -> None:
        """Make the whole source durable, and give the file its final name if that is still free."""
        with _explained(self._published):
            rows = [(name, _sealed(value, 0)) for name, value in meta.items()]
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
            # Renamed before the lock is released: otherwise another `create` could take the file.
            _rename(self.path, self._published)
            self._release()
            self.path = self._published
            self._connection = _connect(self.path)

    def commit(self, values: Sequence[bytes]) -> None:
        """Append to the log: all values or none, durable when this returns."""
        if self._broken:
            raise JournalError(f"{self.path}: an earlier write has failed; nothing more is written")
        self._broken = True
        with _explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            number, chain = self._number, self._chain
            rows: list[tuple[int, bytes]] = []
            for value in values:
                number += 1
                chain = zlib.crc32(value, chain)
                rows.append((number, chain.to_bytes(_CHECKSUM) + value))
            self._connection.executemany("INSERT INTO log VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
            self._number, self._chain = number, chain
            self._broken = False

    def meta(self) -> dict[str, bytes]:
        """Return the settings and the counts of the source."""
        rows: Iterable[tuple[str, bytes]] = self._connection.execute(
            "SELECT * FROM meta"
        ).fetchall()
        return {name: self._opened(value, 0) for name, value in rows}

    def recipients(self, ordinal: int) -> tuple[int, bytes]:
        """Return the first ordinal of the row that has this ordinal, and the row."""
        with _explained(self.path):
            row: tuple[int, bytes] | None = self._connection.execute(
                "SELECT first, value FROM people WHERE first <= ? ORDER BY first DESC LIMIT 1",
                (ordinal,),
            ).fetchone()
            if row is None:
                raise self._damaged("recipients are missing")
            return row[0], self._opened(row[1], row[0])

    def log(self) -> Iterator[bytes]:
        """Yield the records of the log from its beginning."""
        self._number = self._chain = 0
        with (
            _explained(self.path),
            closing(
                self._connection.execute("SELECT number, value FROM log ORDER BY number")
            ) as rows,
        ):
            for number, value in rows:
                self._number += 1
                self._chain = zlib.crc32(value[_CHECKSUM:], self._chain)
                if number != self._number or value[:_CHECKSUM] != self._chain.to_bytes(_CHECKSUM):
                    raise self._damaged("records are missing from its log, or damaged")
                yield value[_CHECKSUM:]

    def remove(self) -> None:
        """Delete the file."""
        with _explained(self.path):
            self.path.unlink()

    def close(self) -> None:
        """Release the file; a file that was not published is deleted."""
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        if self.path != self._published:
            with suppress(OSError):
                self.path.unlink()
        self._release()

    def _release(self) -> None:
        """Delete SQLite's own journal file if it is empty, then release the lock."""
        rollback = self.path.with_name(self.path.name + "-journal")
        with suppress(OSError):
            if not rollback.stat().st_size:
                rollback.unlink()
        self._connection.close()

    def _check(self) -> None:
        connection = self._connection
        if _pragma(connection, "application_id") != APPLICATION_ID:
            raise JournalCorruptError(f"{self.path}: this is not a journal of gateway_sms_async")
        version = _pragma(connection, "user_version")
        if version > FORMAT:
            raise JournalError(
                f"{self.path}: written by a newer version of gateway_sms_async (format {version}, "
                f"this one knows {FORMAT}); resume it with that one"
            )
        size = _pragma(connection, "page_size") * _pragma(connection, "page_count")
        if self.path.stat().st_size != size:
            raise self._damaged("it is cut short")
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise self._damaged("it fails SQLite's own check")

    def _opened(self, value: bytes, salt: int) -> bytes:
        if _sealed(value[_CHECKSUM:], salt) != value:
            raise self._damaged("a checksum is wrong")
        return value[_CHECKSUM:]

    def _damaged(self, how: str) -> JournalCorruptError:
        return JournalCorruptError(
            f"{self.path}: the journal is damaged ({how}); do not send its list again before you "
            "have looked at the messages of the account"
        )


def _sealed(value: bytes, salt: int) -> bytes:
    return zlib.crc32(value, salt & 0xFFFFFFFF).to_bytes(_CHECKSUM) + value


def _touch(path: Path) -> None:
    """Create the file if it does not exist, readable by its owner only."""
    # Opened only if it is new: closing a handle releases all locks of this process on the file.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        path.chmod(0o600)


def _connect(path: Path, *, known: bool = False) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0.05, isolation_level=None
    )
    try:
        # A file that is not a journal must not be changed.
        if known and _pragma(connection, "application_id") != APPLICATION_ID:
            raise JournalCorruptError(f"{path}: this is not a journal of gateway_sms_async")
        # Lock before reading, and keep the lock: no other process can change what is read below.
        # EXCLUSIVE mode only from here: set earlier, two processes each holding a shared lock would
        # deadlock.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        if _pragma(connection, "synchronous") != 2:  # noqa: PLR2004 - FULL
            raise JournalError(f"{path}: this SQLite cannot write durably")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise _explain(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _unlink_partial(path: Path) -> None:
    """Delete the first name of a journal, left by a process that was killed during the rename."""
    partial = path.with_name(path.name + ".partial")
    with suppress(OSError):
        if partial.samefile(path):
            partial.unlink()
    rollback = partial.with_name(partial.name + "-journal")
    with suppress(OSError):
        if not partial.exists() and not rollback.stat().st_size:
            rollback.unlink()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    row: tuple[Any] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(row[0])


def _rename(source: Path, target: Path) -> None:
    """Rename without ever replacing another file, and make the rename durable."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise _already_there(target) from None
    except OSError:
        # Some file systems have no hard links.
        if os.path.lexists(target):
            raise _already_there(target) from None
        source.rename(target)
    else:
        with suppress(OSError):
            source.unlink()
    # Not every system can sync a folder.
    with suppress(OSError):
        folder = os.open(target.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explain(path, error) from error
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be used: {error.strerror}") from error


def _explain(path: Path, error: Exception) -> JournalError:
    """Return an error that explains this one; SQLite's own text contains no data."""
    if isinstance(error, UnicodeDecodeError):
        return JournalCorruptError(f"{path}: the journal is damaged (its text is unreadable)")
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalLockedError(f"{path}: another process is using this journal")
        case sqlite3.SQLITE_NOTADB:
            return JournalCorruptError(f"{path}: this is not a journal of gateway_sms_async")
        case sqlite3.SQLITE_CORRUPT:
            return JournalCorruptError(f"{path}: the journal is damaged ({error})")
        case _:
            return JournalError(f"{path}: the journal cannot be used: {error}")


def check_new(path: Path) -> None:
    """Raise JournalExistsError if there is a file at `path`."""
    if os.path.lexists(path):
        raise _already_there(path)


def _already_there(path: Path) -> JournalExistsError:
    """Return the error for a new journal whose file already exists."""
    return JournalExistsError(
        f"{path}: this file already exists. If the campaign in it is unfinished, resume it; otherwise "
        "purge it, or name another file"
    )
