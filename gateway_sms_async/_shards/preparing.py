"""From a source to a folder of journals that a resume can run. Sends nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from .._campaign.backlog import Backlog
from .._campaign.start import CampaignSettings
from .._journal.journal import Journal
from .._recipients.recipient import Recipients
from .._recipients.source import Source
from .disk import on_disk
from .folder import Manifest, ShardFolder
from .splitting import Splitter
from .spool import Spool

__all__ = ["prepare"]


async def prepare(
    folder: ShardFolder,
    source: Source,
    settings: CampaignSettings,
    *,
    base_url: str,
    shards: int,
    report: Callable[[int], None],
) -> None:
    """Read a whole source into the journals of a new folder, and publish it.

    `report` is called with how many recipients are read so far. Raises ValueError or TypeError for
    what cannot be sent at all, JournalError, and SourceFailedError if the source raises.
    """
    await on_disk(folder.path, folder.begin)
    spools = folder.spools(shards)
    splitter = Splitter(spools, settings.read, lambda: report(splitter.total))
    await splitter.exclude(settings.excluded_keys())
    await splitter.split(source)
    for shard, spool in enumerate(spools):
        folder.check_lock()
        await _write_journal(folder, shard, spool, settings, base_url)
    manifest = Manifest(total=splitter.total, places=[one.places_checksum for one in spools])
    await on_disk(folder.path, folder.publish, manifest)


async def _write_journal(
    folder: ShardFolder, shard: int, spool: Spool, settings: CampaignSettings, base_url: str
) -> None:
    """Write the journal of one shard; each number of it once, without those not to send to."""
    batcher = settings.batcher_without(frozenset(spool.excluded))
    journal = await Journal.create(folder.journal(shard))
    try:
        source = Source(cast("Recipients", spool.read()))
        await Backlog(journal).keep(source, batcher, _nothing)
        await journal.publish(settings.stored(base_url), batcher)
    finally:
        await journal.close()
    spool.delete()


def _nothing() -> None:
    """Report nothing: the recipients of a shard were reported when they were split."""
