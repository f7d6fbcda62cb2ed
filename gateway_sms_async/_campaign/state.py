"""What a campaign has come to so far: results, tuning, spending, and recipients still to send to.

`start` makes it for a new campaign, `resume` from the journal of an earlier run.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .._journal.schema import Settings
from .._transaction.results import Results
from .._transaction.spending import SpendingLimit, Spent
from .._transaction.tuning import Tuning
from .backlog import Backlog

__all__ = ["CampaignState", "new_spending", "new_tuning"]


_NOTHING = Spent()


@dataclass(slots=True)
class CampaignState:
    """The state of a campaign. `next_number` is a number that no message has yet."""

    results: Results
    tuning: Tuning
    spending: SpendingLimit
    backlog: Backlog
    next_number: int = 0


def new_tuning(settings: Settings) -> Tuning:
    """Return the tuning that a campaign begins with."""
    return Tuning(
        batch_size=settings.batch_size,
        per_message=settings.recipients_per_message,
        careful=settings.careful,
        verify_always=settings.verify_always,
    )


def new_spending(settings: Settings, elsewhere: Spent = _NOTHING) -> SpendingLimit:
    """Return the spending limits of a campaign, with nothing spent but by others of its shards."""
    return SpendingLimit(
        max_recipients=settings.max_recipients,
        max_cost=None if settings.max_cost is None else Decimal(settings.max_cost),
        elsewhere=elsewhere,
    )
