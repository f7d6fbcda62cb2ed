"""Where the journals of the campaigns in the background are."""

from __future__ import annotations

from os import PathLike
from typing import Protocol

from .._journal.place import JournalLike
from .._postgres.journals import PostgresJournals
from .database import CampaignDatabase
from .folder import CampaignFolder

__all__ = ["CampaignShelf", "shelf_of"]


class CampaignShelf(Protocol):
    """The journals of campaigns, by their names.

    `check_every`: seconds between two looks whether a new campaign has its whole list in its journal.
    """

    check_every: float

    async def open(self) -> None:
        """Make ready; raises JournalError if the journals cannot be kept there."""
        ...

    def place(self, name: str) -> JournalLike:
        """Return the place of a journal."""
        ...

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        ...

    def is_seen(self, name: str) -> bool:
        """Whether a campaign is there, if that is known at once; else False."""
        ...

    async def names(self) -> list[str]:
        """Return the names of all campaigns."""
        ...

    async def is_being_read(self, name: str) -> bool:
        """Whether another process is reading the list of a new campaign into its journal."""
        ...

    def check_owner(self, name: str) -> None:
        """Raise JournalError for a journal that another user may have put there, or changed."""
        ...


def shelf_of(where: str | PathLike[str] | PostgresJournals) -> CampaignShelf:
    """Return the shelf of a folder, or of a database."""
    if isinstance(where, PostgresJournals):
        return CampaignDatabase(where)
    return CampaignFolder(where)
