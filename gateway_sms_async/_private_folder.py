"""Creates folders that only their owner can open."""

from __future__ import annotations

from pathlib import Path

__all__ = ["create_private_folder"]


def create_private_folder(path: Path) -> None:
    """Create a folder and its missing parents with mode 0700, whatever the umask allows.

    Does nothing if it exists. Raises OSError.
    """
    if not path.is_dir():
        # Path.mkdir creates parents with the mode that the umask allows.
        create_private_folder(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)
