"""The campaigns of one client: started, written for others to send, resumed, or run shard by shard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

from ._arguments import check_count
from ._campaign.campaign import Campaign
from ._campaign.resume import checked_limits, load_campaign
from ._campaign.start import CampaignSettings, check_total, new_campaign
from ._core import ClientCore
from ._http.retry import RetryPolicy
from ._http.session import Session
from ._journal.place import JournalLike, place_of
from ._receipt import Progress, Receipt
from ._recipients.source import Source
from ._shards.campaign import NewSource, ShardedCampaign
from ._shards.disk import on_disk
from ._shards.one import OneShard
from ._shards.preparing import prepare
from ._shards.runner import ShardLimits
from ._shards.splitting import SourceFailedError
from ._shards.store import check_shards, new_store, open_store

__all__ = ["BulkSender", "NoSuchShardError"]


class NoSuchShardError(LookupError):
    """The campaign has no shard of this number."""


class BulkSender:
    """Runs campaigns on a client."""

    def __init__(
        self,
        core: ClientCore,
        *,
        base_url: str,
        concurrency: int,
        timeout: float,
        policy: RetryPolicy,
    ) -> None:
        self._core = core
        self._base_url = base_url
        self._concurrency = concurrency
        self._timeout = timeout
        self._policy = policy

    def check_concurrency(self, concurrency: int | None) -> int:
        """Return how many requests a campaign may have in flight."""
        if concurrency is None:
            return self._concurrency
        if check_count("concurrency", concurrency) > self._concurrency:
            raise ValueError(f"concurrency is at most the client's, {self._concurrency}")
        return concurrency

    async def send(
        self,
        source: Source,
        settings: CampaignSettings,
        *,
        journal: JournalLike | None,
        shards: int,
        on_progress: Callable[[Progress], object] | None,
        stop: asyncio.Event | None,
        total: int | None,
    ) -> Receipt:
        """Start a campaign, and run it to its end."""
        if check_shards(shards, journal):
            assert journal is not None
            sessions = self._sessions()
            check_total(total)
            return await self._core.run(
                ShardedCampaign(
                    await new_store(journal),
                    sessions,
                    base_url=self._base_url,
                    concurrency=self._concurrency,
                    source=NewSource(source, settings, shards),
                    on_progress=on_progress,
                    total=source.size if total is None else total,
                ),
                stop,
            )
        campaign = await self._new_campaign(source, settings, journal, on_progress, total)
        return await self._core.run(campaign, stop)

    async def publish(
        self,
        source: Source,
        settings: CampaignSettings,
        *,
        journal: JournalLike,
        shards: int,
        total: int | None,
    ) -> None:
        """Write a campaign to its journal for others to send. Sends nothing.

        Raises what the source raises.
        """
        if not check_shards(shards, journal):
            campaign = await self._new_campaign(source, settings, journal, None, total)
            await campaign.publish()
            return
        check_total(total)
        store = await new_store(journal)
        try:
            await prepare(
                store,
                source,
                settings,
                base_url=self._base_url,
                shards=shards,
                report=_report,
            )
        except SourceFailedError as error:
            raise error.__cause__ or error from None
        finally:
            await on_disk(store, store.close)

    async def resume(
        self,
        journal: JournalLike,
        *,
        max_cost: Decimal | float | str | None,
        max_recipients: int | None,
        on_progress: Callable[[Progress], object] | None,
        stop: asyncio.Event | None,
    ) -> Receipt:
        """Continue a campaign from its journal, to its end."""
        sessions = self._sessions()
        if checked_limits(max_cost, max_recipients):
            await on_disk(journal, place_of(journal).raise_limit)
        if (store := await open_store(journal)) is not None:
            return await self._core.run(
                ShardedCampaign(
                    store,
                    sessions,
                    base_url=self._base_url,
                    concurrency=self._concurrency,
                    limits=ShardLimits(max_cost, max_recipients),
                    on_progress=on_progress,
                ),
                stop,
            )
        campaign = await load_campaign(
            sessions(),
            journal,
            base_url=self._base_url,
            concurrency=self._concurrency,
            max_cost=max_cost,
            max_recipients=max_recipients,
            on_progress=on_progress,
        )
        if isinstance(campaign, Receipt):
            return campaign
        return await self._core.run(campaign, stop)

    async def run_shard(
        self, journal: JournalLike, shard: int, stop: asyncio.Event | None
    ) -> Receipt:
        """Run one shard of a campaign, or all of one that has only one journal; return its receipt.

        Raises NoSuchShardError if there is no such shard.
        """
        sessions = self._sessions()
        store = await open_store(journal)
        if store is None:
            if shard:
                raise NoSuchShardError(f"{journal}: this campaign has no shard {shard}")
            return await self.resume(
                journal, max_cost=None, max_recipients=None, on_progress=None, stop=stop
            )
        if not 0 <= shard < store.shards:
            await on_disk(store, store.close)
            raise NoSuchShardError(f"{journal}: this campaign has no shard {shard}")
        return await self._core.run(
            OneShard(
                store,
                sessions,
                shard,
                base_url=self._base_url,
                concurrency=self._concurrency,
            ),
            stop,
        )

    async def _new_campaign(
        self,
        source: Source,
        settings: CampaignSettings,
        journal: JournalLike | None,
        on_progress: Callable[[Progress], object] | None,
        total: int | None,
    ) -> Campaign:
        """Return a new campaign with one journal, or with none."""
        return await new_campaign(
            self._sessions()(),
            source,
            settings,
            base_url=self._base_url,
            journal=journal,
            on_progress=on_progress,
            total=total,
        )

    def _sessions(self) -> Callable[[], Session]:
        """Return what makes a view for each campaign, also once the client is closed."""
        view = self._core.view(bulk=True, timeout=self._timeout, policy=self._policy)
        return lambda: view.view(bulk=True, timeout=self._timeout, policy=self._policy)


def _report(read: int) -> None:
    """Report nothing: all that happens is that a list is read."""
