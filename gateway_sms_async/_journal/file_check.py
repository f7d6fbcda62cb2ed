"""What is looked at before a file is opened as a journal, or deleted: its kind, its names, its header.

A name in a folder that others can write to may lead to any file. SQLite would change that file, or
its own journal file beside it, so nothing is opened through a link.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ..errors import JournalCorruptError, JournalError

__all__ = ["APPLICATION_ID", "check_journal_file", "check_plain", "is_foreign_database"]

APPLICATION_ID = 0x47534D53
"""What SQLite's header of a journal says that the file is."""


_MAGIC = b"SQLite format 3\0"


_HEADER = 105


_ID = slice(68, 72)


# The page of the schema follows the header: a leaf without entries.
_NO_TABLES = (b"\x0d", b"\x00\x00")


def check_journal_file(path: Path) -> None:
    """Raise JournalCorruptError if a file is not a journal by its header."""
    header = _header_of(path)
    if not _is_database(header) or _id_of(header) != APPLICATION_ID:
        raise JournalCorruptError(f"{path}: this is not a journal of gateway_sms_async")


def is_foreign_database(path: Path) -> bool:
    """Whether a file is an SQLite database of another program.

    A new journal has neither an id nor tables while its recipients are written to it.
    """
    header = _header_of(path)
    is_new = _id_of(header) == 0 and (header[100:101], header[103:105]) == _NO_TABLES
    return _is_database(header) and _id_of(header) != APPLICATION_ID and not is_new


def check_plain(path: Path) -> bool:
    """Return whether there is a file; raise JournalError if another name leads to it, or it to one."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise JournalError(
            f"{path}: a part of the journal is written to this name, and it is a link, or not a "
            "plain file; delete it, or name another journal"
        )
    return True


def _header_of(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        return os.read(handle, _HEADER)
    finally:
        os.close(handle)


def _is_database(header: bytes) -> bool:
    return len(header) == _HEADER and header.startswith(_MAGIC)


def _id_of(header: bytes) -> int:
    return int.from_bytes(header[_ID])
