"""A journal that is kept in a file, and what names the place of a journal."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from .._journal_place import JournalPlace, JournalReader
from ..errors import JournalLockedError
from .connection import connect_unlocked, explained
from .reading import JournalFile
from .snapshot import Snapshot
from .store import Store, check_new

__all__ = ["FilePlace", "JournalLike", "place_of"]


class FilePlace:
    """A journal in a file."""

    def __init__(self, path: str | PathLike[str]) -> None:
        text = fspath(path)
        if not isinstance(text, str) or not text or "\0" in text:
            raise ValueError("journal is the path of a file, as text")
        # As it is now: the working directory may change during the campaign.
        self.path = Path(text).absolute()

    def __str__(self) -> str:
        return str(self.path)

    @property
    def handle(self) -> Path:
        """The path of the file."""
        return self.path

    def check_new(self) -> None:
        """Raise JournalExistsError if there is a file of this name."""
        check_new(self.path)

    def create(self) -> Store:
        """Create a file, which gets its name when it is published."""
        return Store.create(self.path)

    def open(self) -> Store:
        """Open and lock the file."""
        return Store.open(self.path)

    def read(self) -> tuple[JournalReader, bool]:
        """Open the file if no other process has locked it, else read it as it is."""
        try:
            return self.open(), False
        except JournalLockedError:
            return self.snapshot(), True

    def snapshot(self) -> Snapshot:
        """Read the file without locking it."""
        return Snapshot.open(self.path)

    def peek(self) -> JournalFile:
        """Open the file without locking it."""
        with explained(self.path):
            return JournalFile(self.path, connect_unlocked(self.path))

    def raise_limit(self) -> None:
        """Do nothing: a limit stops only the process that has reached it."""


JournalLike = str | PathLike[str] | JournalPlace


def place_of(journal: JournalLike) -> JournalPlace:
    """Return the place of a journal; raises ValueError or TypeError for what names none."""
    if isinstance(journal, JournalPlace):
        return journal
    return FilePlace(journal)
