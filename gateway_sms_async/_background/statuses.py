"""The statuses of all campaigns that a process knows, with the counts of their shards."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from .._receipt import Progress, Receipt
from .._shards.reading import read_state
from ..errors import JournalError
from .shelf import CampaignShelf
from .status import CampaignStatus, ListedCampaign, ShardCounts

__all__ = ["Statuses"]


class Statuses:
    """The status of each campaign by its name."""

    def __init__(self, shelf: CampaignShelf) -> None:
        self._shelf = shelf
        self._status: dict[str, CampaignStatus] = {}
        self._counts: dict[str, ShardCounts] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._status

    def get(self, name: str) -> CampaignStatus | None:
        """Return the status of a campaign, with the counts of its shards; None if it is not known."""
        status = self._status.get(name)
        return status and replace(status, shards=self._counts.get(name))

    def names(self) -> list[str]:
        """Return the names of all campaigns that are known."""
        return list(self._status)

    def begin(self, name: str) -> CampaignStatus:
        """Show that a campaign begins, and return that status."""
        status = self._status[name] = CampaignStatus()
        return status

    def is_as_it_began(self, name: str, begun: CampaignStatus) -> bool:
        """Whether a campaign has reported nothing since it began."""
        return self._status.get(name) is begun

    def forget(self, name: str) -> None:
        """Forget a campaign."""
        self._status.pop(name, None)
        self._counts.pop(name, None)

    def count(self, listed: Iterable[ListedCampaign]) -> None:
        """Take over the counts of shards."""
        self._counts = {one.name: one.shards for one in listed if one.shards is not None}

    def report(self, name: str, progress: Progress) -> None:
        """Show the progress of a campaign that runs here."""
        self._status[name] = CampaignStatus(progress=progress)

    def end(
        self,
        name: str,
        state: Literal["complete", "stopped"],
        reason: str | None,
        receipt: Receipt | None = None,
    ) -> None:
        """Show how a campaign has ended here."""
        progress = self._status[name].progress
        if receipt is not None:  # a campaign that was complete before has reported no progress
            progress = replace(
                progress,
                total=receipt.total if progress.total is None else progress.total,
                read=receipt.total,
                accepted=receipt.accepted,
                invalid=len(receipt.invalid),
                duplicates=receipt.duplicates,
                unknown=len(receipt.unknown),
                unsent=len(receipt.unsent),
            )
        self._status[name] = CampaignStatus(state=state, reason=reason, progress=progress)

    def hold(self, name: str, reason: str) -> None:
        """Show that a campaign is held, unless it is complete."""
        status = self._status.get(name, CampaignStatus())
        if status.state != "complete":
            self._status[name] = replace(status, state="stopped", reason=reason)

    async def show_elsewhere(
        self, name: str, reason: str, *, state: Literal["running", "stopped"] = "running"
    ) -> int | None:
        """Show the progress of a campaign that another process runs, as its journal has it.

        Returns how many shards are not finished, None if that cannot be known now.
        """
        progress = self._status.get(name, CampaignStatus()).progress
        unfinished: int | None = None
        try:
            found = await read_state(self._shelf.place(name))
            progress, unfinished = found.progress, len(found.unfinished)
        except JournalError as error:
            reason = str(error)
        self._status[name] = CampaignStatus(state=state, reason=reason, progress=progress)
        return unfinished

    async def set_aside(self, name: str) -> int:
        """Return how many shards of a campaign are set aside."""
        counts = self._counts.get(name)
        if counts is not None and counts.set_aside:
            # They may be tried again since that was read.
            with suppress(JournalError):
                self.count(await self._shelf.listed())
            counts = self._counts.get(name)
        return 0 if counts is None else counts.set_aside
