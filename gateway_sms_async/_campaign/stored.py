"""What a journal says without its campaign being resumed: the receipt and the numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

from .._http.session import Session
from .._journal.journal import Journal
from .._journal.place import JournalLike
from .._journal.records import without
from .._journal.replay import SavedMessage
from .._journal.schema import Saved
from .._receipt import Marks, Progress, Receipt, RecipientOutcome
from .._recipients.batches import Batcher
from .._transaction.results import Results, shortfall, unaccounted
from ..errors import JournalCorruptError, JournalError
from .accounts import accepted_on, count_of, progress_of

__all__ = [
    "journal_numbers",
    "purge_journal",
    "read_campaign",
    "read_state",
    "stored_receipt",
    "stored_results",
]


async def read_campaign(path: JournalLike) -> tuple[str, Receipt]:
    """Return the base URL that a journal's campaign was sent to, and its receipt."""
    journal, saved = await Journal.read(path)
    try:
        receipt = await stored_receipt(journal, saved)
    finally:
        await journal.close()
    running = journal.running and saved.position.finished is None
    return saved.settings.base_url, replace(receipt, running=running)


async def read_state(path: JournalLike) -> tuple[Progress, bool]:
    """Return how far a campaign has come, and whether it is finished. Reads no recipients."""
    journal, saved = await Journal.snapshot(path)
    try:
        with journal.checked():
            return progress_of(saved), saved.position.finished is not None
    finally:
        await journal.close()


async def purge_journal(path: JournalLike) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it.

    Raises JournalError if the file cannot be read, if `path` is a link to it, or if its campaign is
    not finished: then resume it first, or delete the file yourself if its outcome does not matter.
    Raises JournalLockedError while its campaign is running.
    """
    journal, saved = await Journal.open(path)
    try:
        if saved.settings.campaign:
            raise JournalError(
                f"{journal.place}: this is one shard of a campaign; purge the whole campaign"
            )
        if saved.position.finished is None:
            raise JournalError(
                f"{journal.place}: the campaign in it is not finished; resume it first, or delete "
                "the file yourself"
            )
        await journal.remove()
    finally:
        await journal.close()


async def journal_numbers(path: JournalLike) -> AsyncIterator[tuple[int, str]]:
    """Yield the numbers in a journal as the caller wrote them, each with its position in the source.

    A journal keeps no duplicates and no excluded numbers. Raises JournalError if the file cannot be
    read.
    """
    journal, saved = await Journal.read(path)
    try:
        refused = deque(saved.invalid)
        async for batch in journal.batches([(0, saved.recipients)]):
            for position, written in zip(batch.positions, batch.written, strict=True):
                while refused and refused[0].position < position:
                    one = refused.popleft()
                    yield one.position, one.number
                yield position, written
        for one in refused:
            yield one.position, one.number
    finally:
        await journal.close()


async def stored_receipt(journal: Journal, saved: Saved) -> Receipt:
    """Return the receipt of a campaign from its open journal.

    Raises JournalCorruptError if it does not account for every recipient.
    """
    with journal.checked():
        return await _stored_receipt(journal, saved)


async def _stored_receipt(journal: Journal, saved: Saved) -> Receipt:
    results = await stored_results(journal, saved, None)
    for message in saved.position.messages.values():
        if message.ended is not None:
            if message.ended.unknown:
                await _add_ended(journal, results, message)
            continue
        if message.is_lost:
            continue
        state = "unknown" if message.may_be_closed else "left_open"
        results.add_message(message.message_id, state, None)
        if message.may_be_closed:
            recipients = await journal.recipients(message.recipients)
            results.add_recipients({RecipientOutcome.UNKNOWN: [recipients]}, message.message_id)
        elif message.message_id is not None:
            results.add_recipients(
                {RecipientOutcome.UNSENT: [await journal.recipients(message.recipients)]}
            )
    for run in saved.position.pending():
        results.add_recipients({RecipientOutcome.UNSENT: [await journal.recipients([run])]})
    receipt = results.receipt()
    if unaccounted(receipt):
        raise JournalCorruptError(f"{journal.place}: the journal is damaged: {shortfall(receipt)}")
    finished = saved.position.finished
    if finished is None:
        elapsed = saved.position.runs[-1].elapsed if saved.position.runs else 0.0
        return replace(receipt, elapsed=elapsed)
    return replace(
        receipt,
        message_ids=tuple(finished.message_ids),
        open_message_ids=tuple(finished.open_message_ids),
        requests=finished.requests,
        retries=finished.retries,
        elapsed=finished.elapsed,
        cost=None if finished.cost is None else Decimal(finished.cost),
        complete=finished.complete,
    )


async def stored_results(journal: Journal, saved: Saved, session: Session | None) -> Results:
    """Return the results of the recipients whose message has ended, or cannot be looked at."""
    batcher = Batcher((), allow_missing_fields=True)
    batcher.total, batcher.duplicates = saved.total, saved.duplicates
    batcher.excluded = count_of(saved.excluded)
    batcher.invalid = saved.invalid
    await _mark_source(batcher.marks, journal, saved)
    last = saved.position.runs[-1:]
    results = Results(
        batcher,
        session,
        requests=sum(run.requests for run in last),
        retries=sum(run.retries for run in last),
        elapsed=sum(run.elapsed for run in last),
    )
    for message in saved.position.messages.values():
        if message.is_lost:
            lost = await journal.recipients(message.recipients)
            results.add_recipients({RecipientOutcome.UNKNOWN: [lost]})
        elif message.ended is not None and not message.ended.unknown:
            await _add_ended(journal, results, message)
    return results


async def _mark_source(marks: Marks, journal: Journal, saved: Saved) -> None:
    """Mark every position of the source; one that the journal does not name is a duplicate."""
    marks.mark(range(saved.total), RecipientOutcome.DUPLICATE)
    for run in saved.excluded:
        marks.mark(range(*run), RecipientOutcome.EXCLUDED)
    marks.mark([one.position for one in saved.invalid], RecipientOutcome.INVALID)
    async for batch in journal.batches([(0, saved.recipients)]):
        marks.mark(batch.positions, RecipientOutcome.UNSENT)


async def _add_ended(journal: Journal, results: Results, message: SavedMessage) -> None:
    ended = message.ended
    assert ended is not None
    results.add_message(
        ended.message_id, ended.state, None if ended.price is None else Decimal(ended.price)
    )
    results.add_accepted(accepted_on(message))
    if ended.state == "closed":
        # Unsent recipients keep their mark: another message may have taken them.
        others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
        async for batch in journal.batches(without(message.recipients, others)):
            results.mark(batch, RecipientOutcome.ACCEPTED, ended.message_id)
    for outcome, recipients in (
        (RecipientOutcome.INVALID, ended.invalid),
        (RecipientOutcome.DOUBLED, ended.doubled),
        (RecipientOutcome.UNKNOWN, ended.unknown),
    ):
        if recipients:
            results.add_recipients(
                {outcome: [await journal.recipients(recipients)]}, ended.message_id
            )
