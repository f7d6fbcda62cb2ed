"""What keeps the shards of a campaign: a folder here, or whatever else offers the same.

Every method blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from .._arguments import check_count
from .._journal.place import JournalLike
from .._journal_place import JournalPlace
from .disk import on_disk
from .folder import ShardFolder, is_sharded
from .shared import Shared
from .spool import SPREAD_OVER, Spool

__all__ = [
    "ShardStore",
    "ShardedPlace",
    "check_shards",
    "new_store",
    "open_store",
    "read_shards",
]


class ShardStore(Protocol):
    """The shards of one campaign, with a journal each. Its text names it in errors.

    `is_shared`: other processes may run other shards of it at the same time, unless `claims_all`.
    `campaign` is an id that is in each journal, too.
    """

    is_shared: bool
    claims_all: bool
    campaign: str

    @property
    def handle(self) -> Path | JournalPlace:
        """What a user gives to resume the campaign."""
        ...

    @property
    def shards(self) -> int:
        """How many shards there are."""
        ...

    @property
    def total(self) -> int:
        """How many recipients the source has."""
        ...

    @property
    def is_published(self) -> bool:
        """Whether it holds the whole source."""
        ...

    @property
    def is_in_use(self) -> bool:
        """Whether another process runs the campaign."""
        ...

    def begin(self, shards: int) -> list[Spool]:
        """Begin to write, and return a file for the recipients of each shard."""
        ...

    def journal(self, shard: int) -> JournalPlace:
        """Return the place of the journal of a shard."""
        ...

    def places(self, shard: int) -> Sequence[int]:
        """Return the positions in the source of the recipients of a shard."""
        ...

    def publish(self, total: int, spools: Sequence[Spool], *, limited: bool) -> None:
        """Make all durable at once: from now on a resume needs only this.

        `limited`: the campaign has a limit, so only one shard may run at a time.
        """
        ...

    def check_lock(self) -> None:
        """Raise JournalError if another process may use it, or it was closed."""
        ...

    def exchange(self, news: Shared) -> Shared:
        """Tell the news of this process to the others, and return the knowledge of all together."""
        ...

    def remove(self) -> None:
        """Delete all journals."""
        ...

    def close(self) -> None:
        """Release it; what was not published is deleted. May be repeated."""
        ...


@runtime_checkable
class ShardedPlace(JournalPlace, Protocol):
    """A place that can keep shards."""

    def create_shards(self) -> ShardStore:
        """Reserve the place of a new campaign."""
        ...

    def open_shards(self) -> ShardStore | None:
        """Open the shards of a campaign to run or to delete it; None if it has only one journal."""
        ...

    def read_shards(self) -> ShardStore | None:
        """Open the shards of a campaign to read them; None if it has only one journal."""
        ...


def check_shards(shards: int, journal: object) -> bool:
    """Return whether a campaign is in shards; raises ValueError or TypeError if it cannot be."""
    if check_count("shards", shards) > SPREAD_OVER:
        raise ValueError(f"shards is at most {SPREAD_OVER:,}")
    if shards > 1 and journal is None:
        raise ValueError(
            "shards needs a journal: the name of a new folder, with one for each shard"
        )
    return shards > 1


async def new_store(journal: JournalLike) -> ShardStore:
    """Reserve the place of a new campaign in shards."""
    store = await _opened(journal, _create_shards)
    assert store is not None
    return store


async def open_store(journal: JournalLike) -> ShardStore | None:
    """Open a campaign in shards to run or to delete it; None if it is no such campaign."""
    return await _opened(journal, _open_shards)


async def _opened(
    journal: JournalLike, open_: Callable[[JournalLike], ShardStore | None]
) -> ShardStore | None:
    """Open a store; it is closed again if the caller is cancelled meanwhile."""
    opened: list[ShardStore | None] = []
    try:
        await on_disk(journal, lambda: opened.append(open_(journal)))
    except BaseException:
        for store in opened:
            if store is not None:
                await on_disk(store, store.close)
        raise
    return opened[0]


def _create_shards(journal: JournalLike) -> ShardStore:
    if isinstance(journal, JournalPlace):
        return _sharded(journal).create_shards()
    return ShardFolder.create(journal)


def _open_shards(journal: JournalLike) -> ShardStore | None:
    if isinstance(journal, JournalPlace):
        return _sharded(journal).open_shards()
    return ShardFolder.open(journal) if is_sharded(journal) else None


def read_shards(journal: JournalLike) -> ShardStore | None:
    """Open a campaign in shards to read it; None if it is no such campaign."""
    if isinstance(journal, JournalPlace):
        return _sharded(journal).read_shards()
    return ShardFolder.read(journal) if is_sharded(journal) else None


def _sharded(place: JournalPlace) -> ShardedPlace:
    assert isinstance(place, ShardedPlace), "every other place can keep shards"
    return place
