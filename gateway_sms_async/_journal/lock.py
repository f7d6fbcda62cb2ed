"""The lock of a journal: a file beside it, which one process at a time has locked.

SQLite has a lock of its own, but POSIX drops that one as soon as its process closes any other
handle of the journal, after a copy for example. This one belongs to its handle.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import JournalError, JournalLockedError

__all__ = ["JournalLock"]

_TRIES = 100


_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS}


class JournalLock:
    """The lock of one journal, held from its creation until `release`.

    A journal that is reached by a symbolic link has the lock of the file that the link names.
    Raises JournalLockedError if the lock is held, OSError if there cannot be one.
    """

    def __init__(self, journal: Path) -> None:
        self.path = _path_of(journal)
        self._process = os.getpid()
        self._handle: int | None = None
        # The file that was opened may be the one that its last owner was deleting.
        for _ in range(_TRIES):
            self._handle = _open(self.path)
            try:
                self._file = os.fstat(self._handle)
                if not _lock(self._handle):
                    break
                if self.is_held:
                    return
            except BaseException:
                self._close()
                raise
            self._close()
        self._close()
        raise JournalLockedError(f"{journal}: another process is using this journal")

    @classmethod
    def where_possible(cls, journal: Path) -> JournalLock | None:
        """Return the lock of a journal; None if no file can be created beside the journal.

        Then no process has locked it, and none can write it: SQLite needs such a file too.
        """
        try:
            return cls(journal)
        except OSError as error:
            path = _path_of(journal)
            if error.errno not in _NOT_WRITABLE or os.path.lexists(path):
                raise
            return None

    @property
    def is_held(self) -> bool:
        """Whether no other process can have locked the journal since: the file is still in place."""
        if self._handle is None or self._process != os.getpid():
            return False
        if sys.platform == "win32":
            return True  # a file that is open can be neither deleted nor renamed
        try:
            return os.path.samestat(self._file, os.lstat(self.path))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Delete the file and unlock it. Another process that had opened it sees that it is gone."""
        disposable = False
        try:
            with suppress(OSError):
                # Nothing of another program is deleted, and nothing by a forked process.
                disposable = self.is_held and not self.path.stat().st_size
                if disposable and sys.platform != "win32":
                    self.path.unlink()
        finally:
            self._close()
        if disposable and sys.platform == "win32":
            # Fails if another process has opened it meanwhile, as it should.
            with suppress(OSError):
                self.path.unlink()

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            try:
                if self._process == os.getpid():
                    _unlock(handle)
            finally:
                os.close(handle)


def _path_of(journal: Path) -> Path:
    return Path(os.path.realpath(journal) + ".lock")


def _open(path: Path) -> int:
    """Open the file, readable by its owner only; never one that another name leads to."""
    flags = os.O_CREAT | os.O_RDWR
    if sys.platform != "win32":
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    handle = os.open(path, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise JournalError(f"{path}: a lock is kept in this file, and it is not a plain file")
    except BaseException:
        os.close(handle)
        raise
    return handle


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> bool:
        """Lock the file; returns False if another handle has locked it."""
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    def _unlock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(handle: int) -> bool:
        """Lock the file; returns False if another handle has locked it."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(handle: int) -> None:
        # Not only closed: a forked process may have the handle too.
        fcntl.flock(handle, fcntl.LOCK_UN)
