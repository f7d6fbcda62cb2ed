"""Where the journals of the campaigns in the background are."""

from __future__ import annotations

from os import PathLike
from typing import Protocol

from .._journal.place import JournalLike
from .._postgres.journals import PostgresJournals
from .database import CampaignDatabase
from .folder import CampaignFolder
from .status import ListedCampaign

__all__ = ["CampaignShelf", "shelf_of"]


class CampaignShelf(Protocol):
    """The journals of campaigns, by their names.

    - `check_every`: seconds between two looks whether a new campaign has its whole list in its journal.
    - `holds_faults`: what concerns the account, such as missing credit, stops a campaign in all
      processes until it is let go on.
    """

    check_every: float
    holds_faults: bool

    async def open(self) -> None:
        """Make ready; raises JournalError if the journals cannot be kept there."""
        ...

    def place(self, name: str) -> JournalLike:
        """Return the place of a journal."""
        ...

    def check_name(self, name: str) -> None:
        """Raise ValueError for a name that no campaign has."""
        ...

    async def exists(self, name: str) -> bool:
        """Whether a campaign has its whole list in its journal."""
        ...

    def is_seen(self, name: str) -> bool:
        """Whether a campaign is there and not held, if that is known at once; else False."""
        ...

    async def listed(self) -> list[ListedCampaign]:
        """Return all campaigns."""
        ...

    async def waiting(self) -> list[tuple[str, int]]:
        """Return the free shards that a process should run."""
        ...

    async def why_held(self, name: str) -> str | None:
        """Return why a campaign is held, if its journal itself does not refuse that."""
        ...

    async def clear(self, name: str) -> None:
        """Forget what is left of an earlier campaign of this name, whose journal was purged."""
        ...

    async def hold(self, name: str, reason: str, *, at_limit: bool = False) -> None:
        """Stop a campaign in all processes; raises JournalError if there is none.

        `at_limit`: until a resume is given another limit.
        """
        ...

    async def go_on(self, name: str, *, after_failover: bool) -> None:
        """Undo `hold`; raises JournalError if there is no such campaign."""
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
