"""SQLite connections to journals: locked, durable, and with errors that name the file.

SQLite's own exclusive lock is taken before the first read, and kept: older versions of this library
know only that one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import JournalCorruptError, JournalError, JournalLockedError

__all__ = [
    "APPLICATION_ID",
    "close_connection",
    "connect",
    "connect_new",
    "explained",
    "pragma",
    "rollback_of",
    "unlink_empty",
]

APPLICATION_ID = 0x47534D53
"""What SQLite's header of a journal says that the file is."""


def connect_new(path: Path) -> sqlite3.Connection:
    """Connect to a new file, or to one that a killed process has left; both hold nothing sent."""
    _touch(path)
    try:
        return connect(path)
    except JournalCorruptError:
        path.unlink()
        _touch(path)
        return connect(path)


def connect(path: Path, *, known: bool = False) -> sqlite3.Connection:
    """Connect to an existing file; `known`: it must be a journal already."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=0.05, isolation_level=None
    )
    try:
        # A file that is not a journal must not be changed.
        if known and pragma(connection, "application_id") != APPLICATION_ID:
            raise JournalCorruptError(f"{path}: this is not a journal of gateway_sms_async")
        # Lock before reading, and keep the lock: an older version of this library looks at it.
        # EXCLUSIVE mode only from here: set earlier, two processes each holding a shared lock would
        # deadlock.
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = TRUNCATE")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA fullfsync = ON")
        if pragma(connection, "synchronous") != 2:  # noqa: PLR2004 - FULL
            raise JournalError(f"{path}: this SQLite cannot write durably")
        return connection
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise _explain(path, error) from error
    except BaseException:
        connection.close()
        raise


def close_connection(connection: sqlite3.Connection, path: Path | None) -> None:
    """Close a connection; at `path`, delete SQLite's own journal file if it is empty."""
    try:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if path is not None:
            unlink_empty(rollback_of(path))
    finally:
        connection.close()


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Raise an error of SQLite or of the file system as a JournalError that names the file."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _explain(path, error) from error
    except OSError as error:
        raise JournalError(f"{path}: the journal cannot be used: {error.strerror}") from error


def pragma(connection: sqlite3.Connection, name: str) -> int:
    """Return a number that SQLite holds about the file or the connection."""
    row: tuple[Any] = connection.execute(f"PRAGMA {name}").fetchone()
    return int(row[0])


def rollback_of(path: Path) -> Path:
    """Return the name of SQLite's own journal file."""
    return path.with_name(path.name + "-journal")


def unlink_empty(path: Path) -> None:
    """Delete a file if it is there and empty."""
    with suppress(OSError):
        if not path.stat().st_size:
            path.unlink()


def _touch(path: Path) -> None:
    """Create the file if it does not exist, readable by its owner only."""
    # Opened only if it is new: closing a handle releases all locks of this process on the file.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        path.chmod(0o600)


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
