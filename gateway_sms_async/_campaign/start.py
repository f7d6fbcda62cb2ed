"""From the arguments of `send_bulk` to a campaign.

The keywords of a campaign are declared, checked and turned into the objects that a campaign works
with here, and nowhere else: `preview` and the command line use the same settings.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from .._arguments import check_cost, check_count, check_flag, check_per_message, check_verify
from .._http.session import Session
from .._journal.journal import Journal
from .._journal.place import JournalLike
from .._journal.schema import Settings
from .._messages.draft import Draft, Options
from .._receipt import Progress
from .._recipients.batches import Batcher, excluded_keys
from .._recipients.national import number_reader, only_in_use
from .._recipients.source import Source
from .._template import field_check
from .._transaction.results import Results
from .backlog import Backlog
from .campaign import Campaign
from .state import CampaignState, new_spending, new_tuning

__all__ = ["CampaignSettings", "check_total", "new_campaign"]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)  # a repr would show numbers
class CampaignSettings:
    """The keywords of `send_bulk` that say what is sent, to which recipients and how.

    Checked on creation: raises ValueError for a value out of range, TypeError for one of the wrong
    type. `draft` is the message that they describe.
    """

    sender: str
    body: str
    priority: float | Decimal | None = None
    options: Options | None = None
    test: bool = False
    batch_size: int = 500
    concurrency: int | None = None
    recipients_per_message: int = 20_000
    careful: bool = False
    verify: Literal["auto", "always"] = "auto"
    default_region: str | None = None
    strict_numbers: bool = False
    allow_missing_fields: bool = False
    exclude: Iterable[str] | None = None
    max_cost: Decimal | float | str | None = None
    max_recipients: int | None = None
    draft: Draft = field(init=False, compare=False)

    def __post_init__(self) -> None:
        draft = Draft(
            sender=self.sender,
            body=self.body,
            priority=self.priority,
            options=self.options,
            test=self.test,
        )
        object.__setattr__(self, "draft", draft)
        check_count("batch_size", self.batch_size)
        if self.concurrency is not None:
            check_count("concurrency", self.concurrency)
        check_per_message(self.recipients_per_message)
        check_flag("careful", self.careful)
        check_verify(self.verify)
        check_flag("strict_numbers", self.strict_numbers)
        if self.max_cost is not None:
            check_cost("max_cost", self.max_cost)
        if self.max_recipients is not None:
            check_count("max_recipients", self.max_recipients)

    @property
    def verify_always(self) -> bool:
        """Whether the recipient list of every message is read."""
        return check_verify(self.verify)

    @property
    def read(self) -> Callable[[str], str]:
        """What turns a number as written into the gateway's form."""
        read = number_reader(self.default_region)
        return only_in_use(read) if self.strict_numbers else read

    def excluded_keys(self) -> AsyncIterator[list[int]]:
        """Yield the digits of the numbers in `exclude`; raises ValueError for an invalid one."""
        # A number to exclude need not be in use.
        return excluded_keys(self.exclude, number_reader(self.default_region))

    async def batcher(self) -> Batcher:
        """Return what validates the recipients; raises ValueError for a number in `exclude`."""
        return self.batcher_without({key async for keys in self.excluded_keys() for key in keys})

    def batcher_without(self, excluded: AbstractSet[int]) -> Batcher:
        """Return what validates the recipients; numbers with the digits in `excluded` are left out."""
        return Batcher(
            self.draft.placeholders,
            allow_missing_fields=self.allow_missing_fields,
            read=self.read,
            excluded=excluded,
            check=field_check(self.draft.body),
        )

    def stored(self, base_url: str) -> Settings:
        """Return the settings as a journal stores them. `concurrency` must be known by now."""
        assert self.concurrency is not None
        return Settings(
            base_url=base_url,
            sender=self.sender,
            body=self.draft.body,
            priority=None if self.priority is None else float(self.priority),
            options={} if self.options is None else self.options.to_wire(),
            test=self.test,
            batch_size=self.batch_size,
            concurrency=self.concurrency,
            recipients_per_message=self.recipients_per_message,
            careful=self.careful,
            verify_always=self.verify_always,
            max_cost=None if self.max_cost is None else str(check_cost("max_cost", self.max_cost)),
            max_recipients=self.max_recipients,
        )


def check_total(total: int | None) -> None:
    """Raise ValueError for a number of recipients that no source has."""
    if total is not None and total < 0:
        raise ValueError("total is the number of recipients in the source")


async def new_campaign(
    session: Session,
    source: Source,
    settings: CampaignSettings,
    *,
    base_url: str,
    journal: JournalLike | None,
    on_progress: Callable[[Progress], object] | None,
    total: int | None,
) -> Campaign:
    """Return a new campaign, with a new journal if `journal` names one.

    Raises JournalError if the journal cannot be created.
    """
    check_total(total)
    batcher = await settings.batcher()
    stored = settings.stored(base_url)
    opened = None if journal is None else await Journal.create(journal)
    return Campaign(
        session,
        settings.draft,
        source,
        stored,
        CampaignState(
            results=Results(batcher, session),
            tuning=new_tuning(stored),
            spending=new_spending(stored),
            backlog=Backlog(opened),
        ),
        journal=opened,
        concurrency=stored.concurrency,
        on_progress=on_progress,
        total=source.size if total is None else total,
    )
