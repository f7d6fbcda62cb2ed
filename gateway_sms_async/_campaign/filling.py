"""Fills the messages of a campaign: first from the recipients left over, then from the source.

A message begins to finish once it holds all that it takes, while the next one is being filled. How
many are filled at once is bounded, so that the source is not read far ahead of what is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._recipients.source import Source
from .._transaction.builder import MessageBuilder
from .._transaction.tuning import Tuning
from ..errors import LimitReachedError
from .backlog import Backlog
from .limits import CampaignLimits
from .outstanding import OutstandingMessages

__all__ = ["MessageFiller"]


class MessageFiller:
    """Fills one message after another, and has at most `at_once` of them that are not sent yet.

    `at_limit` is called with the error for a message that is not opened, because nothing more fits
    into the limits of the campaign.
    """

    def __init__(
        self,
        outstanding: OutstandingMessages,
        limits: CampaignLimits,
        backlog: Backlog,
        source: Source,
        tuning: Tuning,
        *,
        at_once: int,
        at_limit: Callable[[LimitReachedError], None],
    ) -> None:
        self._outstanding = outstanding
        self._limits = limits
        self._backlog = backlog
        self._source = source
        self._tuning = tuning
        self._ahead = asyncio.Semaphore(at_once)
        self._at_limit = at_limit
        self.objects_known: asyncio.Event = asyncio.Event()

    async def fill(self, builder: MessageBuilder) -> None:
        """Fill a message and start to finish it.

        The first message with a list of objects goes alone: this then waits until `objects_known`
        is set, or the message has ended.
        """
        self._outstanding.live.append(builder)
        await self._ahead.acquire()
        room = await self._limits.bound(builder)
        while wanted := builder.wanted:
            batch = await self._backlog.take(wanted)
            if batch is None:
                break
            builder.offer(batch)
        if not self._source.exhausted:
            await builder.feed(self._source)
        if not room and builder.taken and not builder.message.assigned:
            self._at_limit(self._limits.reached())
        finishing = builder.finish(on_sent=self._ahead.release)
        if builder.brings_objects and self._tuning.objects_understood is None:
            await self._wait_until_known(finishing)

    async def _wait_until_known(self, finishing: asyncio.Task[None]) -> None:
        """Wait until it is known whether the gateway understands lists of objects.

        If it does not, other messages would have to be deleted with the first one.
        """
        known = asyncio.create_task(self.objects_known.wait())
        try:
            await asyncio.wait([finishing, known], return_when=asyncio.FIRST_COMPLETED)
        finally:
            known.cancel()
