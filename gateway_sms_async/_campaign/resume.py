"""From a journal to a campaign that continues where the journal ends.

Messages that may be closed are looked up first: none of their recipients is sent to again before
the result is known. All other recipients are still to be sent to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from .._arguments import check_cost, check_count
from .._http.session import Session
from .._journal.journal import Journal
from .._journal.place import JournalLike
from .._journal.records import Resumed
from .._journal.schema import Saved, Settings
from .._messages.draft import Draft, Options
from .._receipt import Progress, Receipt
from .._recipients.source import Source
from .._transaction.restore import restore_message
from .._transaction.spending import SpendingLimit, Spent
from .._transaction.tuning import Closures, Tuning
from ..errors import JournalError
from .accounts import accepted_on, check_accounts, count_of
from .backlog import Backlog
from .campaign import Campaign
from .state import CampaignState, new_spending, new_tuning
from .stored import stored_receipt, stored_results

__all__ = ["Siblings", "checked_limits", "load_campaign", "spending_of"]

_NOTHING = Spent()


@dataclass(slots=True)
class Siblings:
    """What the other shards of a campaign have spent and learned.

    `careful`: one of them has met a double.
    """

    spent: Spent = _NOTHING
    careful: bool = False
    closures: Closures = field(default_factory=Closures)


async def load_campaign(
    session: Session,
    path: JournalLike,
    *,
    base_url: str,
    concurrency: int,
    max_cost: Decimal | float | str | None,
    max_recipients: int | None,
    on_progress: Callable[[Progress], object] | None,
    ask_siblings: Callable[[], Awaitable[Siblings]] | None = None,
) -> Campaign | Receipt:
    """Return the campaign of a journal, ready to run, or its receipt if it is finished.

    `concurrency` is the client's, which the campaign does not exceed. `max_cost` and
    `max_recipients` replace those of the start for this run, None keeps them. `ask_siblings`
    is called once the journal is open, for what a shard has to know of the others. Raises JournalError if the journal cannot be used, or its campaign was
    sent to another base URL.
    """
    limits = checked_limits(max_cost, max_recipients)
    with session.open_messages.message_coming() as shown_closed:
        journal, saved = await Journal.open(path)
        try:
            if saved.settings.base_url != base_url:
                raise JournalError(
                    f"{journal.place}: this campaign was sent to {saved.settings.base_url}; resume "
                    "it with a client of that address"
                )
            if saved.settings.campaign and ask_siblings is None:
                raise JournalError(
                    f"{journal.place}: this is one shard of a campaign, and its limits are those of "
                    "all; resume the whole campaign"
                )
            if saved.position.finished is not None:
                receipt = await stored_receipt(journal, saved)
                await journal.close()
                return receipt
            siblings = Siblings() if ask_siblings is None else await ask_siblings()
            with journal.checked():
                check_accounts(journal.place, saved)
                campaign = await _from_saved(
                    session,
                    journal,
                    saved,
                    replace(saved.settings, **limits),
                    concurrency=min(saved.settings.concurrency, concurrency),
                    on_progress=on_progress,
                    siblings=siblings,
                )
                await _restore_messages(campaign, session, journal, saved, shown_closed)
                return campaign
        except BaseException:
            await journal.close()
            raise


def checked_limits(
    max_cost: Decimal | float | str | None, max_recipients: int | None
) -> dict[str, Any]:
    """Return the settings that these limits change; an infinite cost removes its limit."""
    changes: dict[str, Any] = {}
    if max_cost is not None:
        infinite = str(max_cost).lower() in {"inf", "infinity"}
        changes["max_cost"] = None if infinite else str(check_cost("max_cost", max_cost))
    if max_recipients is not None:
        changes["max_recipients"] = check_count("max_recipients", max_recipients)
    return changes


async def _from_saved(
    session: Session,
    journal: Journal,
    saved: Saved,
    settings: Settings,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], object] | None,
    siblings: Siblings,
) -> Campaign:
    # The whole source is in the journal: nothing more is read.
    source = Source(())
    source.exhausted = True
    return Campaign(
        session,
        _draft(settings),
        source,
        settings,
        CampaignState(
            results=await stored_results(journal, saved, session),
            tuning=_tuning(saved, siblings),
            spending=spending_of(saved, settings, siblings.spent),
            backlog=Backlog(journal, saved.position.pending()),
            next_number=saved.position.next_number,
        ),
        journal=journal,
        concurrency=concurrency,
        on_progress=on_progress,
        total=saved.total,
    )


async def _restore_messages(
    campaign: Campaign,
    session: Session,
    journal: Journal,
    saved: Saved,
    shown_closed: Mapping[str, object],
) -> None:
    # Also if a message may be that of another campaign, which another process had beside this one: the
    # answers to both opens were mixed up, and only the other journal knows of the one that was lost.
    session.opened_ids.lost += saved.position.has_lost_opens or saved.position.has_others_opens
    journal.note(Resumed())
    for message in saved.position.messages.values():
        if message.message_id is not None:
            session.opened_ids.claim(message.message_id)
        if message.is_unfinished:
            builder = campaign.new_message(message.number)
            await restore_message(builder, message, journal, shown_closed)
            campaign.adopt(builder)


def _tuning(saved: Saved, siblings: Siblings) -> Tuning:
    """Return the tuning that the last run ended with."""
    tuning = new_tuning(saved.settings)
    tuning.closures = siblings.closures
    position = saved.position
    tuning.orphans = position.orphans
    for run in position.runs[-1:]:
        tuning.batch_size, tuning.per_message = run.batch_size, run.per_message
        tuning.careful = tuning.careful or run.careful
        tuning.objects_understood = run.objects_understood
        tuning.lists_hold_invalid = run.lists_hold_invalid
    if any(one.ended is not None and one.ended.doubled for one in position.messages.values()):
        tuning.careful = True
    # Not in the settings: so the campaign writes it to its journal.
    tuning.careful = tuning.careful or saved.careful or siblings.careful
    return tuning


def spending_of(saved: Saved, settings: Settings, elsewhere: Spent = _NOTHING) -> SpendingLimit:
    """Return the limits, with what the earlier runs have spent or may still spend."""
    spending = new_spending(settings, elsewhere)
    spending.spent_before = saved.position.wasted
    messages = saved.position.messages.values()
    for message in messages:
        ended = message.ended
        if ended is not None and not message.is_unfinished:
            accepted = accepted_on(message) if ended.state == "closed" else 0
            spending.ended(message.number, accepted, _price(ended.price))
    # After those, which show what a recipient costs.
    for message in messages:
        ended = message.ended
        if message.may_be_closed and (ended is None or ended.unknown):
            # It may have been sent: all of its recipients count before anything new.
            price = None if ended is None else ended.price
            cost = _price(message.cost if price is None else price)
            spending.ended(message.number, count_of(message.recipients), cost)
    return spending


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _draft(settings: Settings) -> Draft:
    return Draft(
        sender=settings.sender,
        body=settings.body,
        priority=settings.priority,
        options=Options.from_wire(settings.options),
        test=settings.test,
        resumed=True,
    )
