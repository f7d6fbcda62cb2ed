"""What the journals of the shards say, each without its recipients: cheap also for many millions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from .._campaign.accounts import Account, account_of, check_accounts
from .._campaign.resume import spending_of
from .._journal.journal import Journal
from .._journal.records import Ranges, without
from .._journal.schema import Saved, Settings
from .._journal_place import JournalPlace
from .._receipt import InvalidRecipient, RecipientOutcome
from .._transaction.spending import Spent
from ..errors import JournalCorruptError
from .store import ShardStore

__all__ = ["Mark", "ShardAccount", "read_account", "read_accounts", "unreadable"]

_REFUSED = "the gateway counts it as invalid"


class Mark(NamedTuple):
    """Some recipients of one outcome, by their ordinals, and the message that they are or may be on."""

    recipients: Ranges
    outcome: RecipientOutcome
    message_id: str | None


@dataclass(slots=True)
class ShardAccount:
    """One shard, as its journal has it.

    `marks` are the outcomes of those that are not `unsent`; a later one replaces an earlier one. `opened` are the ids of all its messages. `recipients` says where those are that are to be sent to. Positions are those in the shard. It is
    `careful` if it has met a double.
    """

    journal: JournalPlace
    settings: Settings
    recipients: Account
    marks: list[Mark]
    total: int
    duplicates: int
    excluded: Ranges
    invalid: list[InvalidRecipient]
    opened: list[str]
    message_ids: list[str]
    open_message_ids: list[str]
    requests: int
    retries: int
    elapsed: float
    cost: Decimal | None
    spent: Spent
    careful: bool
    finished: bool
    complete: bool


async def read_accounts(store: ShardStore) -> list[ShardAccount]:
    """Read the journals of all shards, as `read_account` does.

    Raises JournalCorruptError if together they do not have as many recipients as the source.
    """
    accounts = [await read_account(store, shard) for shard in range(store.shards)]
    total = sum(one.total for one in accounts)
    if total != store.total:
        raise JournalCorruptError(
            f"{store}: the journal is damaged: its shards have {total:,} recipients of {store.total:,}"
        )
    return accounts


async def read_account(store: ShardStore, shard: int) -> ShardAccount:
    """Read the journal of a shard, also while it is written.

    Raises JournalError if it cannot be read, JournalCorruptError if it is not the one of this shard, or
    does not account for every recipient.
    """
    place = store.journal(shard)
    try:
        journal, saved = await Journal.snapshot(place)
    except JournalCorruptError:
        # Its last write was cut short, which only opening it undoes.
        journal, saved = await Journal.read(place)
    try:
        if (saved.settings.campaign, saved.settings.shard) != (store.campaign, shard):
            raise JournalCorruptError(
                f"{place}: the journal is damaged: this is not shard {shard + 1} of this campaign"
            )
        with journal.checked():
            return await _account(journal, saved)
    finally:
        await journal.close()


def unreadable(before: ShardAccount) -> ShardAccount:
    """Return a shard whose journal cannot be read any more: what was unsent before is unknown now."""
    was = before.recipients
    recipients = Account(was.accepted, was.invalid, was.doubled, was.unknown + was.unsent)
    unknown = Mark(was.unsent, RecipientOutcome.UNKNOWN, None)
    return replace(
        before,
        recipients=recipients,
        marks=[*before.marks, unknown],
        finished=False,
        complete=False,
    )


async def _account(journal: Journal, saved: Saved) -> ShardAccount:
    check_accounts(journal.place, saved)
    recipients = account_of(saved)
    refused = await journal.recipients(recipients.invalid)
    closed, left_open, cost = _messages(saved)
    finished = saved.position.finished
    if finished is not None:
        closed, left_open = finished.message_ids, finished.open_message_ids
        cost = None if finished.cost is None else Decimal(finished.cost)
    last = deque(saved.position.runs, maxlen=1)
    spending = spending_of(saved, saved.settings)
    return ShardAccount(
        journal=journal.place,
        settings=saved.settings,
        recipients=recipients,
        marks=_marks(saved),
        total=saved.total,
        duplicates=saved.duplicates,
        excluded=saved.excluded,
        invalid=[
            *saved.invalid,
            *(
                InvalidRecipient(written, _REFUSED, position)
                for written, position in zip(refused.written, refused.positions, strict=True)
            ),
        ],
        opened=[
            message.message_id
            for message in saved.position.messages.values()
            if message.message_id is not None
        ],
        message_ids=closed,
        open_message_ids=left_open,
        requests=sum(run.requests for run in last) if finished is None else finished.requests,
        retries=sum(run.retries for run in last) if finished is None else finished.retries,
        elapsed=sum(run.elapsed for run in last) if finished is None else finished.elapsed,
        cost=cost,
        spent=spending.spent(saved.position.orphans),
        careful=bool(recipients.doubled) or any(run.careful for run in last),
        finished=finished is not None,
        complete=finished is not None and finished.complete,
    )


def _messages(saved: Saved) -> tuple[list[str], list[str], Decimal | None]:
    """Return the ids of the closed messages, of those left open, and what the closed ones cost."""
    closed: list[str] = []
    left_open: list[str] = []
    prices: list[Decimal] = []
    for message in saved.position.messages.values():
        ended = message.ended
        if ended is None:
            if message.message_id is not None and not message.may_be_closed:
                left_open.append(message.message_id)
        elif ended.state == "closed":
            if ended.message_id is not None:
                closed.append(ended.message_id)
            if ended.price is not None:
                prices.append(Decimal(ended.price))
        elif ended.state == "left_open" and ended.message_id is not None:
            left_open.append(ended.message_id)
    return closed, left_open, sum(prices, Decimal()) if prices else None


def _marks(saved: Saved) -> list[Mark]:
    """Return the outcomes of all recipients that are or may be on a message."""
    marks: list[Mark] = []
    for message in saved.position.messages.values():
        ended = message.ended
        if ended is None:
            if message.may_be_closed:
                mark = Mark(message.recipients, RecipientOutcome.UNKNOWN, message.message_id)
                marks.append(mark)
            continue
        if ended.state == "closed":
            # Unsent recipients keep their mark: another message may have taken them.
            others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
            accepted = without(message.recipients, others)
            marks.append(Mark(accepted, RecipientOutcome.ACCEPTED, ended.message_id))
        for outcome, recipients in (
            (RecipientOutcome.INVALID, ended.invalid),
            (RecipientOutcome.DOUBLED, ended.doubled),
            (RecipientOutcome.UNKNOWN, ended.unknown),
        ):
            if recipients:
                marks.append(Mark(recipients, outcome, ended.message_id))
    return marks
