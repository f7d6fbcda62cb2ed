"""Folders and files that no other user can change."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

__all__ = ["create_private_folder", "foreign_access"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def create_private_folder(path: Path) -> None:
    """Create a folder and its missing parents with mode 0700, whatever the umask allows.

    Does nothing if it exists. Raises OSError.
    """
    if not path.is_dir():
        # Path.mkdir creates parents with the mode that the umask allows.
        create_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


def foreign_access(status: os.stat_result) -> str | None:
    """Return how another user can change the content of a folder or file, None if none can.

    Root can change everything, so what root owns is no less safe. For root itself, what another
    user owns is that user's. Always None on Windows, which keeps its permissions elsewhere.
    """
    if sys.platform == "win32":
        return None
    if status.st_uid not in {os.geteuid(), 0}:
        return "another user owns it"
    if status.st_mode & _OTHERS_WRITE:
        return "other users can write to it"
    return None
