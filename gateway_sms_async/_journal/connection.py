"""SQLite connections to journals: locked, durable, and with errors that name the file.

SQLite's own exclusive lock is taken before the first read, and kept: older versions of this library
know only that one. The content of a file is not trusted: SQLite runs nothing that its schema names.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import JournalCorruptError, JournalError, JournalLockedError
from .file_check import APPLICATION_ID, check_journal_file, check_plain, is_foreign_database

__all__ = [
    "APPLICATION_ID",
    "close_connection",
    "connect",
    "connect_new",
    "connect_unlocked",
    "discard",
    "explained",
    "foreign_file",
    "pragma",
    "rollback_of",
    "unlink_empty",
]


_FIRST_WRITTEN = "a new journal is first written to this name"


_MOVE = "; move it, or name another journal"


_OF_SHARDS = re.compile(
    r"campaign\.json|[0-9]{4}\.(?:places|spool|db(?:\.partial)?(?:-journal)?|db\.lock)"
)
"""The files of a campaign in shards."""


def connect_new(path: Path) -> sqlite3.Connection:
    """Create a file, readable by its owner only, and connect to it.

    A file that a killed process has left under this name is deleted: nothing of it was sent.
    """
    discard(path)
    flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    os.close(os.open(path, flags, 0o600))
    try:
        return connect(path)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def connect(path: Path) -> sqlite3.Connection:
    """Connect to an existing file, and lock it."""
    # SQLite writes this file too, and a link may have been put in its place.
    check_plain(rollback_of(Path(os.path.realpath(path))))
    connection = _open(path, "mode=rw")
    try:
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
    except sqlite3.Error as error:
        connection.close()
        raise _explain(path, error) from error
    except BaseException:
        connection.close()
        raise


def connect_unlocked(path: Path) -> sqlite3.Connection:
    """Connect to a journal that another process may be writing, to read it without any lock.

    Pages that are read may be of different moments, so what they say has to be checked.
    """
    check_journal_file(path)
    return _open(path, "mode=ro&immutable=1")


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
    except sqlite3.Error as error:
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


def _open(path: Path, parameters: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{parameters}", uri=True, timeout=0.05, isolation_level=None
    )
    try:
        # Text of a damaged file may be in no encoding; it is only compared.
        connection.text_factory = _decode
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        return connection
    except BaseException:
        connection.close()
        raise


def _decode(text: bytes) -> str:
    return text.decode(errors="replace")


def discard(path: Path) -> None:
    """Delete a new journal that a killed process has left, unless it is something else."""
    if path.is_dir() and not path.is_symlink():
        _discard_folder(path)
        return
    rollback = rollback_of(path)
    check_plain(rollback)
    if check_plain(path):
        if is_foreign_database(path):
            raise JournalError(
                f"{path}: {_FIRST_WRITTEN}, and it is the database of another program{_MOVE}"
            )
        # An older version of this library may be writing it.
        with suppress(JournalCorruptError):
            connect(path).close()
        path.unlink()
    with suppress(FileNotFoundError):
        rollback.unlink()


def _discard_folder(path: Path) -> None:
    """Delete the folder of a new campaign in shards."""
    if (foreign := foreign_file(path)) is not None:
        raise JournalError(
            f"{path}: {_FIRST_WRITTEN}, and there is something else in it: {foreign.name}{_MOVE}"
        )
    shutil.rmtree(path)


def foreign_file(folder: Path) -> Path | None:
    """Return a file in the folder of a campaign in shards that is not its own; None if there is none."""
    for file in folder.iterdir():
        if not _OF_SHARDS.fullmatch(file.name) or file.is_symlink() or not file.is_file():
            return file
    return None


def _explain(path: Path, error: sqlite3.Error) -> JournalError:
    """Return an error that explains this one, without any text of the file."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return JournalLockedError(f"{path}: another process is using this journal")
        case sqlite3.SQLITE_NOTADB:
            return JournalCorruptError(f"{path}: this is not a journal of gateway_sms_async")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR:
            return JournalCorruptError(f"{path}: the journal is damaged ({error.sqlite_errorname})")
        case _:
            return JournalError(f"{path}: the journal cannot be used: {error}")
