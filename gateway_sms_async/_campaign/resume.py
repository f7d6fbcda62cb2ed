"""From a journal to a campaign that goes on, or to the receipt of where it stands.

The client enters. Whoever is on a message that may be closed is looked for, never sent to again
before it is known; everybody else is simply still to be sent to.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from .._http.session import Session
from .._journal.journal import Journal
from .._journal.records import Resumed
from .._journal.replay import SavedMessage
from .._journal.schema import Saved, Settings
from .._messages.draft import Draft, Options
from .._receipt import Progress
from .._recipients.source import Source
from .._transaction.restore import restore_message
from .campaign import Campaign
from .stored import _accepted, _count, _results

__all__ = ["resumed"]


async def resumed(
    session: Session,
    journal: Journal,
    saved: Saved,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], object] | None,
) -> Campaign:
    """Return a campaign that goes on where its journal ends."""
    results = await _results(journal, saved, session)
    source = Source(())
    source.exhausted = True
    campaign = Campaign(
        session,
        _draft(saved.settings),
        source,
        results.batcher,
        saved.settings,
        journal=journal,
        results=results,
        concurrency=concurrency,
        on_progress=on_progress,
        total=saved.total,
    )
    journal.note(Resumed())
    position = saved.position
    for went in position.runs[-1:]:
        tuning = campaign.tuning
        tuning.batch_size, tuning.per_message = went.batch_size, went.per_message
        tuning.careful = tuning.careful or went.careful
        tuning.objects_understood = went.objects_understood
        tuning.lists_hold_invalid = went.lists_hold_invalid
    if any(one.ended is not None and one.ended.doubled for one in position.messages.values()):
        campaign.tuning.careful = True
    campaign.spending.spent_before = position.wasted
    campaign.tuning.orphans = position.orphans
    campaign.next_number = position.next_number
    campaign.backlog.expect(position.pending())
    for message in position.messages.values():
        if message.may_be_closed and (message.ended is None or message.ended.unknown):
            _reserve(campaign, message)
        if message.is_unfinished:
            builder = campaign.new_message(message.number)
            await restore_message(builder, message, journal)
            campaign.adopt(builder)
        elif message.ended is not None:
            price = message.ended.price
            people = _accepted(message) if message.ended.state == "closed" else 0
            campaign.spending.ended(
                message.number, people, None if price is None else Decimal(price)
            )
    return campaign


def _reserve(campaign: Campaign, message: SavedMessage) -> None:
    """Reserve for a message whose close may have been sent: its people count before anything new."""
    cost: str | None = None
    if message.ended is not None:
        cost = message.ended.price
    elif message.closing is not None:
        cost = message.closing.cost
    people = _count(message.recipients)
    campaign.spending.ended(message.number, people, None if cost is None else Decimal(cost))


def _draft(settings: Settings) -> Draft:
    return Draft(
        sender=settings.sender,
        body=settings.body,
        priority=settings.priority,
        options=Options.from_wire(settings.options),
        test=settings.test,
    )
