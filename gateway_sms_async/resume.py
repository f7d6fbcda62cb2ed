"""From a journal to a campaign that goes on, or to the receipt of where it stands.

The client enters. Whoever is on a message that may be closed is looked for, never sent to again
before it is known; everybody else is simply still to be sent to.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from os import PathLike

from .builder import MessageBuilder
from .bulk import Campaign
from .errors import JournalError
from .fence import Fence
from .intake import Batch, Intake
from .journal import Journal, Saved
from .outcomes import Mark, Marks
from .protocol import MessageOnWire
from .receipt import Progress, Receipt
from .records import Closing, Resumed, without
from .replay import SavedMessage
from .session import Session
from .settle import Counts, Fate
from .source import Source
from .tally import Tally

__all__ = [
    "journal_numbers",
    "purge_journal",
    "read_campaign",
    "read_journal",
    "resumed",
    "stored_receipt",
]


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
        async for batch in journal.batches([(0, saved.people)]):
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
    tally = await _tally(journal, saved, None)
    for message in saved.position.messages.values():
        if message.ended is not None:
            if message.ended.unknown:
                await _add_ended(journal, tally, message)
            continue
        state = "unknown" if message.may_be_closed else "left_open"
        tally.add_message(message.message_id, state, None)
        if message.may_be_closed:
            people = await journal.people(message.people)
            tally.add_people({Fate.UNKNOWN: [people]}, message.message_id)
        elif message.message_id is not None:
            tally.add_people({Fate.UNSENT: [await journal.people(message.people)]})
    for run in saved.position.pending():
        tally.add_people({Fate.UNSENT: [await journal.people([run])]})
    finished = saved.position.finished
    if finished is None:
        elapsed = saved.position.went[-1].elapsed if saved.position.went else 0.0
        return replace(tally.receipt(), elapsed=elapsed)
    return replace(
        tally.receipt(),
        message_ids=tuple(finished.message_ids),
        open_message_ids=tuple(finished.open_message_ids),
        requests=finished.requests,
        retries=finished.retries,
        elapsed=finished.elapsed,
        cost=None if finished.cost is None else Decimal(finished.cost),
        complete=finished.complete,
    )


async def resumed(
    session: Session,
    journal: Journal,
    saved: Saved,
    *,
    concurrency: int,
    on_progress: Callable[[Progress], object] | None,
) -> Campaign:
    """Return a campaign that goes on where its journal ends."""
    tally = await _tally(journal, saved, session)
    source = Source(())
    source.exhausted = True
    campaign = Campaign(
        session,
        saved.settings.draft(),
        source,
        tally.intake,
        saved.settings,
        journal=journal,
        tally=tally,
        concurrency=concurrency,
        on_progress=on_progress,
        total=saved.total,
    )
    journal.note(Resumed())
    position = saved.position
    for went in position.went[-1:]:
        learned = campaign.learned
        learned.batch_size, learned.per_message = went.batch_size, went.per_message
        learned.careful = learned.careful or went.careful
        learned.objects_understood = went.objects_understood
        learned.lists_hold_invalid = went.lists_hold_invalid
    if any(one.ended is not None and one.ended.doubled for one in position.messages.values()):
        campaign.learned.careful = True
    campaign.ceiling.spent_before = position.wasted
    campaign.learned.orphans = position.orphans
    campaign.next_number = position.next_number
    campaign.backlog.expect(position.pending())
    for message in position.messages.values():
        if message.may_be_closed and (message.ended is None or message.ended.unknown):
            _reserve(campaign, message)
        if message.is_unfinished:
            campaign.adopt(await _builder(campaign, journal, message))
        elif message.ended is not None:
            price = message.ended.price
            people = _accepted(message) if message.ended.state == "closed" else 0
            campaign.ceiling.ended(
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
    people = _count(message.people)
    campaign.ceiling.ended(message.number, people, None if cost is None else Decimal(cost))


async def _tally(journal: Journal, saved: Saved, session: Session | None) -> Tally:
    """Return the accounts of everyone whose message has come to its end."""
    intake = Intake((), allow_missing_fields=True)
    intake.total, intake.duplicates = saved.total, saved.duplicates
    intake.excluded = _count(saved.excluded)
    intake.invalid = saved.invalid
    await _mark_source(intake.marks, journal, saved)
    went = saved.position.went[-1:]
    tally = Tally(
        intake,
        session,
        requests=sum(one.requests for one in went),
        retries=sum(one.retries for one in went),
        elapsed=sum(one.elapsed for one in went),
    )
    for message in saved.position.messages.values():
        if message.ended is not None and not message.ended.unknown:
            await _add_ended(journal, tally, message)
    return tally


async def _mark_source(marks: Marks, journal: Journal, saved: Saved) -> None:
    """Mark everyone who is not to be sent to: whoever is neither kept nor named is a duplicate."""
    marks.mark(range(saved.total), Mark.DUPLICATE)
    for run in saved.excluded:
        marks.mark(range(*run), Mark.EXCLUDED)
    marks.mark([one.position for one in saved.invalid], Mark.INVALID)
    async for batch in journal.batches([(0, saved.people)]):
        marks.mark(batch.positions, Mark.UNSENT)


async def _add_ended(journal: Journal, tally: Tally, message: SavedMessage) -> None:
    ended = message.ended
    assert ended is not None
    tally.add_message(
        ended.message_id, ended.state, None if ended.price is None else Decimal(ended.price)
    )
    tally.add_accepted(_accepted(message))
    if ended.state == "closed":
        # Those unsent are left as they are: another message may have taken them.
        others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
        async for batch in journal.batches(without(message.people, others)):
            tally.mark(batch, Mark.ACCEPTED, ended.message_id)
    for fate, people in (
        (Fate.INVALID, ended.invalid),
        (Fate.DOUBLED, ended.doubled),
        (Fate.UNKNOWN, ended.unknown),
    ):
        if people:
            tally.add_people({fate: [await journal.people(people)]}, ended.message_id)


def _accepted(message: SavedMessage) -> int:
    ended = message.ended
    assert ended is not None
    if ended.accepted is not None:
        return ended.accepted
    others = (*ended.invalid, *ended.doubled, *ended.unknown, *ended.unsent)
    return _count(message.people) - _count(others)


def _count(runs: Sequence[tuple[int, int]]) -> int:
    return sum(end - first for first, end in runs)


async def _builder(campaign: Campaign, journal: Journal, saved: SavedMessage) -> MessageBuilder:
    """Return a message of an earlier run, ready to be gone on with."""
    builder = campaign.new_message(saved.number)
    given: list[tuple[int, Batch, int | None]] = []
    for number, batch in sorted(saved.batches.items()):
        given.append((number, await journal.people(batch.people), batch.count))
    assert saved.message_id is not None
    builder.restore(saved.message_id, given)
    if saved.abandoning and not saved.may_be_closed:
        builder.go_on_by(_delete)
    elif saved.sending is not None:
        _go_on_sending(builder, saved.sending.reference)
    elif saved.closing is not None:
        closing = saved.closing
        last = await journal.people(closing.people) if closing.people else None
        _go_on_closing(builder, closing, last)
    elif saved.closed_elsewhere:
        builder.message.closed_elsewhere = True
        builder.go_on_by(_settle_closed_elsewhere)
    return builder


def _go_on_sending(builder: MessageBuilder, reference: str | None) -> None:
    builder.message.restore_close(None)

    async def recover(message: MessageOnWire, _: Fence) -> None:
        await message.recover_plain(reference)

    builder.go_on_by(recover)


def _go_on_closing(builder: MessageBuilder, closing: Closing, last: Batch | None) -> None:
    given = builder.message.restore_close(last)
    before = Counts(closing.valid, closing.invalid)

    async def close(_: MessageOnWire, fence: Fence) -> None:
        await fence.go_on_closing(given, before, proven=closing.proven)

    builder.go_on_by(close)


async def _settle_closed_elsewhere(message: MessageOnWire, fence: Fence) -> None:
    await fence.settle_closed_elsewhere()
    message.check_settled()


async def _delete(message: MessageOnWire, _: Fence) -> None:
    await message.delete()
