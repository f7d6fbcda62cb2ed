"""Runs single shards of a campaign, and shares between them what concerns the whole account.

Each shard is a campaign of its own, resumed from its journal. Other modules decide which
one runs next, and whether the others go on when one ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from .._campaign.campaign import Campaign
from .._campaign.resume import Siblings, load_campaign
from .._cancellation import drain
from .._http.session import Session
from .._messages.draft import Options
from .._receipt import Progress, Receipt
from ..errors import JournalCorruptError, JournalError
from .account import ShardAccount, read_account, read_accounts
from .disk import on_disk
from .doubt import doubt_open_messages
from .learned import Learned
from .receipt import progress_of
from .store import ShardStore

__all__ = ["NO_LIMITS", "ShardLimits", "ShardRunner"]

_AT_ONCE = 2


_EXCHANGE_EVERY = 1.0
"""Seconds between two exchanges with the other processes that run shards of the campaign."""


@dataclass(frozen=True, slots=True)
class ShardLimits:
    """Limits of the whole campaign for this run; None keeps those of the start."""

    max_cost: Decimal | float | str | None = None
    max_recipients: int | None = None


NO_LIMITS = ShardLimits()


class ShardRunner:
    """The shards of one campaign, as this process runs them.

    `accounts` holds what the journal of each shard said when it was last read, and `report` is called
    with the progress of a shard that runs.
    """

    def __init__(
        self,
        store: ShardStore,
        new_session: Callable[[], Session],
        *,
        base_url: str,
        concurrency: int,
        limits: ShardLimits,
        report: Callable[[int, Progress], None],
    ) -> None:
        self._store = store
        self._new_session = new_session
        self._base_url = base_url
        self._concurrency = concurrency
        self._limits = limits
        self._report = report
        self.accounts: list[ShardAccount] = []
        self._live: dict[int, Campaign] = {}
        self._learned = Learned(())
        self._halted: tuple[str, BaseException | None] | None = None
        self._exchanging: asyncio.Task[None] | None = None

    async def read(self) -> None:
        """Read all journals; raises JournalError if they are not to be sent from here."""
        self.accounts = await read_accounts(self._store)
        for account in self.accounts:
            if account.settings.base_url != self._base_url:
                raise JournalError(
                    f"{account.journal}: this campaign was sent to {account.settings.base_url}; resume "
                    "it with a client of that address"
                )

    async def begin(self) -> None:
        """Make ready to run shards. An error that would come at their end comes now, when nothing is sent."""
        self._store.check_lock()
        await on_disk(self._store, self._check_places)
        self._learned = Learned(self.accounts)
        self._store.claims_all = self.is_limited
        # An answer to an open with one of these ids is that of another open.
        opened_ids = self._new_session().opened_ids
        for account in self.accounts:
            for message_id in account.opened:
                opened_ids.claim(message_id)
        if self._store.is_shared:
            # It may also be that of another process, whose journals are not read all the time.
            opened_ids.lost += 1
            await self._exchange()
            self._exchanging = asyncio.create_task(self._keep_exchanging())

    async def end(self) -> JournalError | None:
        """Make the journals of all shards say what was learned; return what kept them from it.

        Goes on to its end if it is cancelled: what the journals say must not be a lie.
        """
        ending = asyncio.create_task(self._end())
        await drain([ending])
        return ending.result() if ending.done() and not ending.cancelled() else None

    def halt(self, reason: str, cause: BaseException | None = None) -> None:
        """Send nothing new; requests in flight complete."""
        if self._halted is None:
            self._halted = reason, cause
        for campaign in list(self._live.values()):
            campaign.halt(reason, cause)

    @property
    def is_limited(self) -> bool:
        """Whether the first shard decides what is left for the next."""
        settings = self.accounts[0].settings
        limits = (settings.max_cost, settings.max_recipients)
        return limits != (None, None) or self._limits != NO_LIMITS

    @property
    def at_once(self) -> int:
        """How many shards run at once: one if there is a limit, or closes are a minute apart."""
        settings = self.accounts[0].settings
        realtime = Options.from_wire(settings.options).realtime and not settings.test
        one = self.is_limited or realtime or self._requests_at_once == 1
        return 1 if one else _AT_ONCE

    @property
    def _requests_at_once(self) -> int:
        """How many requests all shards may have in flight."""
        return min(self.accounts[0].settings.concurrency, self._concurrency)

    async def run(self, shard: int) -> Receipt:
        """Run a shard to its end, and return its receipt.

        Raises BulkSendError if it ends before that, JournalLockedError while another process has it.
        """
        campaign = await self._load(shard)
        if isinstance(campaign, Receipt):
            # Another process has finished it.
            account = self.accounts[shard] = await read_account(self._store, shard)
            self._learned.read(shard, account)
            self._report(shard, progress_of(account))
            return campaign
        self._live[shard] = campaign
        if self._halted is not None:
            campaign.halt(*self._halted)
        try:
            return await campaign.run(None)
        finally:
            del self._live[shard]
            self._learned.ended(shard, campaign)

    async def _load(self, shard: int) -> Campaign | Receipt:
        return await load_campaign(
            self._new_session(),
            self._store.journal(shard),
            base_url=self._base_url,
            concurrency=self._requests_at_once // self.at_once,
            max_cost=self._limits.max_cost,
            max_recipients=self._limits.max_recipients,
            on_progress=lambda progress: self._report(shard, progress),
            ask_siblings=lambda: self._siblings_of(shard),
        )

    async def _siblings_of(self, shard: int) -> Siblings:
        """Return what the other shards have spent and learned, as it is now."""
        if self._store.is_shared and self.is_limited:
            for other, account in enumerate(self.accounts):
                if other != shard and not account.finished:
                    self.accounts[other] = await read_account(self._store, other)
                    self._learned.read(other, self.accounts[other])
        return self._learned.siblings_of(shard)

    def _check_places(self) -> None:
        for shard, account in enumerate(self.accounts):
            if len(self._store.places(shard)) != account.total:
                raise JournalCorruptError(
                    f"{account.journal}: the journal is damaged: it has not the places of its "
                    "recipients in the source"
                )

    async def _keep_exchanging(self) -> None:
        while True:
            await asyncio.sleep(_EXCHANGE_EVERY)
            # Without the database, the shards themselves end soon.
            with suppress(JournalError):
                await self._exchange()

    async def _exchange(self) -> None:
        """Tell the other processes what is learned here, and learn what they tell."""
        for campaign in self._live.values():
            self._learned.careful |= campaign.careful
        told = self._learned.news()
        self._learned.heard(told, await on_disk(self._store, self._store.exchange, told))
        if self._learned.careful:
            for campaign in self._live.values():
                campaign.be_careful()

    async def _end(self) -> JournalError | None:
        if self._exchanging is not None:
            self._exchanging.cancel()
            await drain([self._exchanging])
        failure: JournalError | None = None
        if self._store.is_shared:
            with suppress(JournalError):
                await self._exchange()
        # Shards that ended, or did not begin, before others closed one of their messages.
        for shard in self._learned.unseen():
            if not self.accounts[shard].finished:
                try:
                    await doubt_open_messages(self._store.journal(shard))
                except JournalError as error:
                    failure = failure or error
        return failure
