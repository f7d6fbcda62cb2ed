"""From a source to journals that a resume can run. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from msgspec.structs import replace

from .._campaign.backlog import Backlog
from .._campaign.start import CampaignSettings
from .._journal.journal import Journal
from .._recipients.recipient import Recipients
from .._recipients.source import Source
from .disk import on_disk
from .splitting import Splitter
from .spool import Spool
from .store import ShardStore

__all__ = ["prepare"]


async def prepare(
    store: ShardStore,
    source: Source,
    settings: CampaignSettings,
    *,
    base_url: str,
    shards: int,
    report: Callable[[int], None],
) -> None:
    """Read a whole source into the journals of a new store, and publish it.

    `report` is called with how many recipients are read so far. Raises ValueError or TypeError for
    what cannot be sent at all, JournalError, and SourceFailedError if the source raises.
    """
    spools = await on_disk(store, store.begin, shards)
    splitter = Splitter(spools, settings.read, lambda: report(splitter.total))
    await splitter.exclude(settings.excluded_keys())
    await splitter.split(source)
    for shard, spool in enumerate(spools):
        store.check_lock()
        await _write_journal(store, shard, spool, settings, base_url)
        report(splitter.total)
    limited = settings.max_cost is not None or settings.max_recipients is not None
    publish = partial(store.publish, splitter.total, spools, limited=limited)
    await on_disk(store, publish)


async def _write_journal(
    store: ShardStore, shard: int, spool: Spool, settings: CampaignSettings, base_url: str
) -> None:
    """Write the journal of one shard; each number of it once, without those not to send to."""
    batcher = settings.batcher_without(frozenset(spool.excluded))
    journal = await Journal.create(store.journal(shard))
    try:
        source = Source(cast("Recipients", spool.read()))
        await Backlog(journal).keep(source, batcher, _nothing)
        stored = replace(settings.stored(base_url), campaign=store.campaign, shard=shard)
        await journal.publish(stored, batcher)
    finally:
        await journal.close()
    spool.delete()


def _nothing() -> None:
    """Report nothing: the recipients of a shard were reported when they were split."""
