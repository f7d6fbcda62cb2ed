"""The journal that a command is given: the path of a file or folder, or an address of PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from .._journal.place import JournalLike
from .._postgres.address import is_address, journal_at

__all__ = ["files_of", "journal_of", "shown"]


def journal_of(argument: str) -> JournalLike:
    """Return the journal; raises ValueError for an address that names none."""
    return journal_at(argument) if is_address(argument) else Path(argument)


def shown(argument: str) -> str:
    """Return the argument as it is printed: an address may hold a password."""
    if not is_address(argument):
        return argument
    return f"postgresql://...#{argument.rpartition('#')[2]}"


def files_of(arguments: list[str] | None) -> list[Path]:
    """Return those that are paths."""
    return [Path(one) for one in arguments or () if not is_address(one)]
