"""A folder of campaigns: one journal each, `NAME.db`, a file or a folder of shards."""

from __future__ import annotations

import re
import stat
from contextlib import suppress
from os import PathLike
from pathlib import Path

from .._journal.lock import JournalLock
from .._private_folder import create_private_folder, foreign_access
from .._shards.folder import is_sharded
from .._shards.reading import read_state
from ..errors import JournalError, JournalLockedError
from .status import ListedCampaign

__all__ = ["CampaignFolder"]


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class CampaignFolder:
    """The journals of campaigns in one folder. See `CampaignShelf`."""

    check_every: float = 0.02
    holds_faults: bool = False

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

    def check_name(self, name: str) -> None:
        """Raise ValueError for a name that no campaign has: it is that of a file."""
        if not _NAME.fullmatch(name):
            raise ValueError('the name of a campaign is 1 to 64 letters, digits, "-" or "_"')

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        return self.place(name).exists()

    def is_seen(self, name: str) -> bool:
        """Whether the file is there, and may be resumed: that is cheap."""
        return self.place(name).exists() and self._held(name) is None

    async def listed(self) -> list[ListedCampaign]:
        """Return all campaigns."""
        names = [journal.stem for journal in sorted(self._path.glob("*.db"))]
        return [ListedCampaign(name, self._held(name), None) for name in names]

    async def waiting(self) -> list[tuple[str, int]]:
        """Return the shards that are not finished, of campaigns that no process runs."""
        found: list[tuple[str, int]] = []
        for name, held, _ in await self.listed():
            if held is None and not self._is_locked(name):
                with suppress(JournalError):
                    state = await read_state(self.place(name))
                    found += ((name, shard) for shard in state.unfinished)
        return found

    async def why_held(self, name: str) -> str | None:
        """Return why a campaign is held; None if it is not, or is finished."""
        held = self._held(name)
        if held is not None:
            with suppress(JournalError):
                if not (await read_state(self.place(name))).unfinished:
                    return None
        return held

    async def clear(self, name: str) -> None:
        """Forget that an earlier campaign of this name, whose journal was purged, was held."""
        self._mark(name).unlink(missing_ok=True)

    async def hold(self, name: str, reason: str, *, at_limit: bool = False) -> None:  # noqa: ARG002
        """Stop a campaign in all processes of this folder."""
        self._check_there(name)
        if self._held(name) is None:
            self._mark(name).touch(0o600)
            self._mark(name).write_text(reason, encoding="utf-8")

    async def go_on(self, name: str, *, after_failover: bool) -> None:
        """Undo `hold`."""
        if after_failover:
            raise ValueError("after_failover is for campaigns in a database")
        self._check_there(name)
        self._mark(name).unlink(missing_ok=True)

    def _mark(self, name: str) -> Path:
        """Return the file that says why a campaign is held."""
        return self._path / f"{name}.held"

    def _held(self, name: str) -> str | None:
        try:
            text = self._mark(name).read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self._mark(name)}: {error.strerror}"
        return text or "stopped on request"

    def _check_there(self, name: str) -> None:
        if not self.place(name).exists():
            raise JournalError(f"{self.place(name)}: there is no such campaign")

    async def is_being_read(self, name: str) -> bool:
        """Whether another process is reading the list of a new campaign into its journal."""
        return self._is_locked(name) and not self.place(name).exists()

    def _is_locked(self, name: str) -> bool:
        try:
            JournalLock(self.place(name)).release()
        except JournalLockedError:
            return True
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
