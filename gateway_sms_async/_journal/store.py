"""The journal's file: SQLite, one connection, locked from before the first read until it is closed.

The lock is that of `lock.py`. Every method blocks, so the journal calls them on its one thread. A
file under its final name always holds a whole source; while the source is being written, the file
has another name.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import JournalError, JournalExistsError
from .connection import (
    APPLICATION_ID,
    close_connection,
    connect,
    connect_new,
    explained,
    rollback_of,
    unlink_empty,
)
from .file_check import check_journal_file
from .lock import JournalLock
from .reading import CHECKSUM, FORMAT, TABLES, JournalFile, sealed

__all__ = ["Store", "check_new"]


class Store(JournalFile):
    """One journal file, which this process alone writes."""

    renew_every: float | None = None
    careful: bool = False

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: JournalLock | None
    ) -> None:
        super().__init__(path, connection)
        self._lock = lock
        self._file = path.stat()
        self._published = path
        self._broken = False

    @classmethod
    def create(cls, path: Path) -> Store:
        """Create a journal; `publish` gives it its final name."""
        check_new(path)
        with explained(path):
            lock = JournalLock(path)
            try:
                # Another process may have ended its campaign between the two lines above.
                check_new(path)
                return cls._create(path, lock)
            except BaseException:
                lock.release()
                raise

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open a published journal, and check that it is complete."""
        with explained(path):
            if not path.is_file():
                raise JournalError(f"{path}: there is no journal here")
            lock = JournalLock.where_possible(path)
            try:
                return cls._open(path, lock)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise

    @classmethod
    def _create(cls, path: Path, lock: JournalLock) -> Store:
        partial = path.with_name(path.name + ".partial")
        connection: sqlite3.Connection | None = None
        try:
            connection = connect_new(partial)
            connection.execute("BEGIN IMMEDIATE")
            for statement in TABLES.values():
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            store = cls(partial, connection, lock)
            store._published = path
            return store
        except BaseException:
            # Without a connection the file is not this campaign's.
            if connection is not None:
                close_connection(connection, partial)
                for file in (partial, rollback_of(partial)):
                    with suppress(OSError):
                        file.unlink()
            raise

    @classmethod
    def _open(cls, path: Path, lock: JournalLock | None) -> Store:
        # A file that is not a journal, or has another name, must not be changed.
        check_journal_file(path)
        _unlink_partial(path)
        _check_names(path)
        connection = connect(path)
        try:
            store = cls(path, connection, lock)
            store._check()
            return store
        except BaseException:
            close_connection(connection, path)
            raise

    def add_recipients(self, first: int, value: bytes) -> None:
        """Store some recipients of the source; only before `publish`."""
        with explained(self._published):
            row = (first, sealed(value, first))
            self._connection.execute("INSERT INTO people VALUES (?, ?)", row)

    def publish(self, meta: dict[str, bytes]) -> None:
        """Make the whole source durable, and give the file its final name if that is still free."""
        with explained(self._published):
            rows = [(name, sealed(value, 0)) for name, value in meta.items()]
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
            self._check_lock()
            # Renamed before SQLite's lock is released: otherwise an older version of this library
            # could take the file.
            _rename(self.path, self._published)
            close_connection(self._connection, self.path)
            self.path = self._published
            self._connection = connect(self.path)
            self._file = self.path.stat()

    def commit(self, values: Sequence[bytes], *, finished: bool = False) -> None:  # noqa: ARG002
        """Append to the log: all values or none, durable when this returns."""
        broken, self._broken = self._broken, True
        if broken:
            raise JournalError(f"{self.path}: an earlier write has failed; nothing more is written")
        with explained(self.path):
            self._check_lock()
            self._connection.execute("BEGIN IMMEDIATE")
            number, chain = self._number, self._chain
            rows: list[tuple[int, bytes]] = []
            for value in values:
                number += 1
                chain = zlib.crc32(value, chain)
                rows.append((number, chain.to_bytes(CHECKSUM) + value))
            self._connection.executemany("INSERT INTO log VALUES (?, ?)", rows)
            self._connection.execute("COMMIT")
            # A process that locks the journal after this reads what was just written.
            self._check_lock()
            self._number, self._chain = number, chain
            self._broken = False

    def renew(self) -> None:
        """Return None: a lock stays."""

    def remove(self) -> None:
        """Delete the file."""
        with explained(self.path):
            self._check_lock()
            if self.path.is_symlink():
                raise JournalError(
                    f"{self.path}: this is a symbolic link, and only the link would be deleted; "
                    f"purge the journal itself: {os.path.realpath(self.path)}"
                )
            self.path.unlink()

    def close(self) -> None:
        """Release the file; a file that was not published is deleted. May be repeated."""
        try:
            in_place = self._is_in_place
            close_connection(self._connection, self.path if in_place else None)
            if in_place and self.path != self._published:
                with suppress(OSError):
                    self.path.unlink()
        finally:
            if self._lock is not None:
                self._lock.release()

    @property
    def _is_in_place(self) -> bool:
        """Whether the path still names the file that was opened."""
        try:
            return os.path.samestat(self._file, self.path.stat())
        except OSError:
            return False

    def _check_lock(self) -> None:
        """Raise JournalError if another process may use the journal, or finds another one."""
        if self._lock is None:
            raise JournalError(
                f"{self.path}: no file can be created in this folder, so the journal can only be read"
            )
        if not self._lock.is_held:
            raise JournalError(
                f"{self._lock.path}: the lock file of this campaign was deleted or replaced, so "
                "another process may use its journal; nothing more is written. Resume the campaign "
                "when no other process runs it"
            )
        if not self._is_in_place:
            raise JournalError(
                f"{self.path}: the journal of this campaign was deleted or replaced; nothing more is "
                "written. Put the file back before you resume it"
            )

    def _check(self) -> None:
        self.check_tables()
        if self.path.stat().st_size != self.size():
            raise self.damaged("it is cut short")
        if self._connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise self.damaged("it fails SQLite's own check")


def _check_names(path: Path) -> None:
    """Raise JournalError if the file has a second name, which has a lock of its own."""
    if path.stat().st_nlink > 1:
        raise JournalError(
            f"{path}: the journal has a second name (a hard link), under which another "
            "process could use it; delete one of the two names"
        )


def _unlink_partial(path: Path) -> None:
    """Delete the first name of a journal, left by a process that was killed during the rename."""
    partial = path.with_name(path.name + ".partial")
    with suppress(OSError):
        if partial.samefile(path):
            partial.unlink()
    if not partial.exists():
        unlink_empty(rollback_of(partial))


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
