"""What the journals of the shards say, each without its recipients: cheap also for many millions."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from decimal import Decimal

from .._campaign.accounts import Account, account_of, check_accounts, count_of
from .._campaign.resume import spending_of
from .._journal.journal import Journal
from .._journal.schema import Saved, Settings
from .._journal_place import JournalPlace
from .._receipt import InvalidRecipient
from .._transaction.spending import Spent
from ..errors import JournalCorruptError

__all__ = ["ShardAccount", "read_account"]

_REFUSED = "the gateway counts it as invalid"


@dataclass(slots=True)
class ShardAccount:
    """One shard, as its journal has it.

    `opened` are the ids of all its messages. `recipients` says where those are that are to be sent to. Positions are those in the shard. It is
    `careful` if it has met a double.
    """

    journal: JournalPlace
    settings: Settings
    recipients: Account
    total: int
    duplicates: int
    excluded: int
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


async def read_account(place: JournalPlace) -> ShardAccount:
    """Read the journal of a shard, also while it is written.

    Raises JournalError if it cannot be read, JournalCorruptError if it does not account for every
    recipient.
    """
    try:
        journal, saved = await Journal.snapshot(place)
    except JournalCorruptError:
        # Its last write was cut short, which only opening it undoes.
        journal, saved = await Journal.read(place)
    try:
        with journal.checked():
            return await _account(journal, saved)
    finally:
        await journal.close()


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
        total=saved.total,
        duplicates=saved.duplicates,
        excluded=count_of(saved.excluded),
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
