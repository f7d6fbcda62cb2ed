"""What a campaign writes to its journal: the source, the end of each message, and its own end.

Decides nothing. A campaign without a journal has one that drops its records.
"""

from __future__ import annotations

from .._journal.journal import Journal, NullJournal
from .._journal.records import Ended, Finished, Ranges, RunSummary, ranges
from .._journal.schema import Settings
from .._journal_place import JournalPlace
from .._receipt import Receipt, RecipientOutcome
from .._recipients.batches import Batch, Batcher
from .._transaction.message import OutgoingMessage
from .._transaction.results import group_by_outcome
from .state import CampaignState

__all__ = ["Bookkeeping"]


class Bookkeeping:
    """The records of one campaign."""

    def __init__(self, journal: Journal | None, settings: Settings, state: CampaignState) -> None:
        self.journal: Journal | NullJournal = NullJournal() if journal is None else journal
        self.place: JournalPlace | None = None if journal is None else journal.place
        self._settings = settings
        self._state = state
        self._has_summary = False
        self._has_careful = settings.careful

    @property
    def published(self) -> bool:
        """Whether a journal holds the whole source, so that the campaign can be resumed."""
        return self.journal.published

    @property
    def unpublished(self) -> bool:
        """Whether there is a journal that does not hold the whole source yet."""
        return self.place is not None and not self.journal.published

    async def publish(self, batcher: Batcher) -> None:
        """Make the source, which the backlog has written, durable."""
        assert isinstance(self.journal, Journal)
        await self.journal.publish(self._settings, batcher)

    def note_careful(self) -> None:
        """Record, once, that the campaign became careful: then a resume must be as well."""
        if not self._has_careful and self.published:
            self._has_careful = True
            self.journal.note(self._summary())

    def note_ended(self, message: OutgoingMessage) -> None:
        """Record what became of the recipients of a message."""
        # Grouping the recipients of a message takes time, so not for a record that is dropped.
        if self.place is None or message.message_id is None:
            return
        groups = group_by_outcome(message.outcomes_on_message())
        self.journal.note(
            Ended(
                message.number,
                message.state,
                message.message_id,
                None if message.price is None else str(message.price),
                invalid=_ordinals(groups[RecipientOutcome.INVALID]),
                doubled=_ordinals(groups[RecipientOutcome.DOUBLED]),
                unknown=_ordinals(groups[RecipientOutcome.UNKNOWN]),
                unsent=_ordinals(groups[RecipientOutcome.UNSENT]),
                accepted=sum(map(len, groups[RecipientOutcome.ACCEPTED])),
            )
        )

    async def conclude(self, receipt: Receipt, *, finished: bool) -> None:
        """Record the end of this run, and of the campaign if it is finished; durable on return."""
        if not self.published:
            return
        self._note_summary()
        if finished:
            await self.journal.intend(_finished(receipt))
        else:
            await self.journal.flush()

    async def close(self) -> None:
        """Record the end of this run, unless `conclude` did, and close the journal."""
        self._note_summary()
        await self.journal.close()

    def _note_summary(self) -> None:
        if self.published and not self._has_summary:
            self._has_summary = True
            self.journal.note(self._summary())

    def _summary(self) -> RunSummary:
        results, tuning, spending = self._state.results, self._state.tuning, self._state.spending
        return RunSummary(
            results.requests,
            results.retries,
            results.elapsed,
            tuning.batch_size,
            tuning.per_message,
            tuning.careful,
            tuning.objects_understood,
            tuning.lists_hold_invalid,
            str(spending.wasted(tuning.orphans)),
        )


def _finished(receipt: Receipt) -> Finished:
    return Finished(
        receipt.complete,
        list(receipt.message_ids),
        list(receipt.open_message_ids),
        receipt.requests,
        receipt.retries,
        receipt.elapsed,
        None if receipt.cost is None else str(receipt.cost),
    )


def _ordinals(batches: list[Batch]) -> Ranges:
    return [run for batch in batches for run in ranges(batch.ordinals)]
