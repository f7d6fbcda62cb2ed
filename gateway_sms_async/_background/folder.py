"""A folder of campaigns: one journal each, `NAME.db`, a file or a folder of shards."""

from __future__ import annotations

import stat
from os import PathLike
from pathlib import Path

from .._journal.lock import JournalLock
from .._private_folder import create_private_folder, foreign_access
from .._shards.folder import is_sharded
from ..errors import JournalError, JournalLockedError

__all__ = ["CampaignFolder"]


class CampaignFolder:
    """The journals of campaigns in one folder. See `CampaignShelf`."""

    check_every: float = 0.02

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = Path(path)

    def __repr__(self) -> str:
        return repr(str(self._path))

    async def open(self) -> None:
        """Create the folder; raises JournalError if another user can write to it."""
        create_private_folder(self._path)
        if (how := foreign_access(self._path.stat())) is not None:
            raise JournalError(
                f"{self._path}: {how}, and every campaign in this folder is resumed; make the "
                "folder yours with chown and chmod 700, or use another one"
            )

    def place(self, name: str) -> Path:
        """Return the path of a journal."""
        return self._path / f"{name}.db"

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        return self.place(name).exists()

    def is_seen(self, name: str) -> bool:
        """Whether the file is there: that is cheap."""
        return self.place(name).exists()

    async def names(self) -> list[str]:
        """Return the names of all campaigns."""
        return [journal.stem for journal in sorted(self._path.glob("*.db"))]

    async def is_being_read(self, name: str) -> bool:
        """Whether another process is reading the list of a new campaign into its journal."""
        journal = self.place(name)
        try:
            JournalLock(journal).release()
        except JournalLockedError:
            return not journal.exists()
        except (JournalError, OSError):
            pass
        return False

    def check_owner(self, name: str) -> None:
        """Raise JournalError for a journal that another user may have put there, or changed."""
        journal = self.place(name)
        files: list[Path] = []
        if is_sharded(journal) and not journal.is_symlink():
            files = sorted(journal.iterdir())
        for file in (journal, *files):
            try:
                status = file.lstat()
            except FileNotFoundError:
                continue  # to open it says so
            if stat.S_ISREG(status.st_mode) or (files and file == journal):
                how = foreign_access(status)
            else:
                how = "it is a link, or no plain file"
            if how is not None:
                raise JournalError(f"{file}: this journal is not resumed: {how}")
