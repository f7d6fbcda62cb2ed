"""Receipt and numbers from a journal."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from decimal import Decimal
from os import PathLike

from .._http.session import Session
from .._journal.journal import Journal
from .._journal.records import without
from .._journal.replay import SavedMessage
from .._journal.schema import Saved
from .._receipt import Marks, Receipt, RecipientOutcome
from .._recipients.batches import Batcher
from .._transaction.results import Results
from ..errors import JournalError

__all__ = ["journal_numbers", "purge_journal", "read_campaign", "read_journal", "stored_receipt"]


async def read_journal(path: str | PathLike[str]) -> Receipt:
    """Return what a journal says of everyone; nothing is asked of the gateway.

    Whoever is on a message that may have been closed is `unknown` in it; everybody who is on none
    is `unsent`. Raises JournalError when the file cannot be read, JournalLockedError while its
    campaign is running.
    """
    return (await read_campaign(path))[1]


async def read_campaign(path: str | PathLike[str]) -> tuple[str, Receipt]:
    """Return the base URL that a journal's campaign was sent to, and what `read_journal` does."""
    journal, saved = await Journal.open(path)
    try:
        return saved.settings.base_url, await stored_receipt(journal, saved)
    finally:
        await journal.close()


async def purge_journal(path: str | PathLike[str]) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it.

    Raises JournalError when there is none, or its campaign is not finished: then resume it first,
    or delete the file yourself if you do not want to know.
    """
    journal, saved = await Journal.open(path)
    try:
        if saved.position.finished is None:
            raise JournalError(
                f"{journal.path}: the campaign in it is not finished; resume it first, or delete "
                "the file yourself"
            )
        await journal.remove()
    finally:
        await journal.close()


async def journal_numbers(path: str | PathLike[str]) -> AsyncIterator[tuple[int, str]]:
    """Go through the numbers in a journal as they were written, each with its place in the source.

    Duplicates and excluded ones are not kept. Raises JournalError when the file cannot be read.
    """
    journal, saved = await Journal.open(path)
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
    """Return the receipt of a campaign as its journal has it."""
    results = await _results(journal, saved, None)
    for message in saved.position.messages.values():
        if message.ended is not None:
            if message.ended.unknown:
                await _add_ended(journal, results, message)
            continue
        state = "unknown" if message.may_be_closed else "left_open"
        results.add_message(message.message_id, state, None)
        if message.may_be_closed:
            people = await journal.recipients(message.recipients)
            results.add_recipients({RecipientOutcome.UNKNOWN: [people]}, message.message_id)
        elif message.message_id is not None:
            results.add_recipients(
                {RecipientOutcome.UNSENT: [await journal.recipients(message.recipients)]}
            )
    for run in saved.position.pending():
        results.add_recipients({RecipientOutcome.UNSENT: [await journal.recipients([run])]})
    finished = saved.position.finished
    if finished is None:
        elapsed = saved.position.runs[-1].elapsed if saved.position.runs else 0.0
        return replace(results.receipt(), elapsed=elapsed)
    return replace(
        results.receipt(),
        message_ids=tuple(finished.message_ids),
        open_message_ids=tuple(finished.open_message_ids),
        requests=finished.requests,
        retries=finished.retries,
        elapsed=finished.elapsed,
        cost=None if finished.cost is None else Decimal(finished.cost),
        complete=finished.complete,
    )


async def _results(journal: Journal, saved: Saved, session: Session | None) -> Results:
    """Return the accounts of everyone whose message has come to its end."""
    batcher = Batcher((), allow_missing_fields=True)
    batcher.total, batcher.duplicates = saved.total, saved.duplicates
    batcher.excluded = _count(saved.excluded)
    batcher.invalid = saved.invalid
    await _mark_source(batcher.marks, journal, saved)
    went = saved.position.runs[-1:]
    results = Results(
        batcher,
        session,
        requests=sum(one.requests for one in went),
        retries=sum(one.retries for one in went),
        elapsed=sum(one.elapsed for one in went),
    )
    for message in saved.position.messages.values():
        if message.ended is not None and not message.ended.unknown:
            await _add_ended(journal, results, message)
    return results


async def _mark_source(marks: Marks, journal: Journal, saved: Saved) -> None:
    """Mark everyone who is not to be sent to: whoever is neither kept nor named is a duplicate."""
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
    results.add_accepted(_accepted(message))
    if ended.state == "closed":
        # Those unsent are left as they are: another message may have taken them.
        others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
        async for batch in journal.batches(without(message.recipients, others)):
            results.mark(batch, RecipientOutcome.ACCEPTED, ended.message_id)
    for fate, people in (
        (RecipientOutcome.INVALID, ended.invalid),
        (RecipientOutcome.DOUBLED, ended.doubled),
        (RecipientOutcome.UNKNOWN, ended.unknown),
    ):
        if people:
            results.add_recipients({fate: [await journal.recipients(people)]}, ended.message_id)


def _accepted(message: SavedMessage) -> int:
    ended = message.ended
    assert ended is not None
    if ended.accepted is not None:
        return ended.accepted
    others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
    return _count(message.recipients) - _count(others)


def _count(ranges: Sequence[tuple[int, int]]) -> int:
    return sum(end - first for first, end in ranges)
