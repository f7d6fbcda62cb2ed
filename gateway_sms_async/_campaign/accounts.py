"""Where each recipient of a journal is, as its log has it: counts, and ranges of ordinals.

Pure, and reads no recipients: cheap also for millions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .._journal.replay import SavedMessage
from .._journal.schema import Saved
from .._receipt import Progress
from ..errors import JournalCorruptError

__all__ = ["Account", "accepted_on", "account_of", "check_accounts", "count_of", "progress_of"]

_Ranges = list[tuple[int, int]]


@dataclass(slots=True)
class Account:
    """The recipients of a journal that are to be sent to, each in one part.

    `accepted` is a count; the others are ranges of ordinals. `invalid` are those that the gateway
    refused.
    """

    accepted: int = 0
    invalid: _Ranges = field(default_factory=_Ranges)
    doubled: _Ranges = field(default_factory=_Ranges)
    unknown: _Ranges = field(default_factory=_Ranges)
    unsent: _Ranges = field(default_factory=_Ranges)


def account_of(saved: Saved) -> Account:
    """Return where the recipients are."""
    account = Account()
    for message in saved.position.messages.values():
        ended = message.ended
        if ended is not None:
            # What it left unsent is pending, or on another message.
            account.accepted += accepted_on(message)
            account.invalid += ended.invalid
            account.doubled += ended.doubled
            account.unknown += ended.unknown
        elif message.may_be_closed:
            account.unknown += message.recipients
        elif message.message_id is not None:
            account.unsent += message.recipients
    account.unsent += saved.position.pending()
    return account


def accepted_on(message: SavedMessage) -> int:
    """Return how many recipients of a message that has ended were accepted."""
    ended = message.ended
    assert ended is not None
    if ended.accepted is not None:
        return ended.accepted
    others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
    return count_of(message.recipients) - count_of(others)


def check_accounts(place: object, saved: Saved) -> None:
    """Raise JournalCorruptError if the log does not account for every recipient, each once.

    Counts only; `stored_receipt` does the same with the recipients themselves.
    """
    account = account_of(saved)
    counted = saved.duplicates + count_of(saved.excluded) + len(saved.invalid) + account.accepted
    for part in (account.invalid, account.doubled, account.unknown, account.unsent):
        counted += count_of(part)
    if counted != saved.total:
        raise JournalCorruptError(
            f"{place}: the journal is damaged: it accounts for {counted:,} recipients of "
            f"{saved.total:,}"
        )


def progress_of(saved: Saved) -> Progress:
    """Return the counts of a campaign."""
    account = account_of(saved)
    invalid, doubled = count_of(account.invalid), count_of(account.doubled)
    unknown = count_of(account.unknown)
    return Progress(
        total=saved.total,
        read=saved.total,
        accepted=account.accepted,
        invalid=len(saved.invalid) + invalid,
        duplicates=saved.duplicates,
        unknown=unknown,
        unsent=max(0, saved.recipients - account.accepted - invalid - doubled - unknown),
        elapsed=saved.position.runs[-1].elapsed if saved.position.runs else 0.0,
    )


def count_of(ranges: Sequence[tuple[int, int]]) -> int:
    """Return how many recipients these ranges of ordinals hold."""
    return sum(end - first for first, end in ranges)
