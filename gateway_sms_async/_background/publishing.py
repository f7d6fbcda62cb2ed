"""A campaign that is written to its journal here and sent by workers."""

from __future__ import annotations

from typing import Any

from .._campaign.start import CampaignSettings
from .._client import GatewayClient, bulk_of
from .._journal.place import JournalLike
from .._recipients.recipient import Recipients
from .._recipients.source import Source

__all__ = ["publish"]


async def publish(
    gateway: GatewayClient,
    journal: JournalLike,
    recipients: Recipients,
    *,
    shards: int = 1,
    total: int | None = None,
    concurrency: int | None = None,
    **keywords: Any,
) -> None:
    """Write a campaign with these keywords of `send_bulk` to its journal. Sends nothing.

    Raises what `send_bulk` raises before it sends anything, and what the source raises.
    """
    bulk = bulk_of(gateway)
    await bulk.publish(
        Source(recipients),
        CampaignSettings(concurrency=bulk.check_concurrency(concurrency), **keywords),
        journal=journal,
        shards=shards,
        total=total,
    )
