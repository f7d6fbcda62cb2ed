"""Bugs to plant: each is a small change of the real code that could be made by mistake.

`python -m tests.support.mutations` plants one after another and reports how many schedules it took
until the proof found it. Each docstring says what is broken.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from gateway_sms_async import _cancellation
from gateway_sms_async._campaign import resume
from gateway_sms_async._campaign.campaign import Campaign
from gateway_sms_async._http import (
    responses as _responses,
    retry as _retry,
    transport as _transport,
)
from gateway_sms_async._journal import journal, replay
from gateway_sms_async._journal.records import (
    Appended,
    CloseRefused,
    Ended,
    Opened,
    Record,
    Resumed,
)
from gateway_sms_async._journal.replay import Position
from gateway_sms_async._messages import sending
from gateway_sms_async._receipt import RecipientOutcome
from gateway_sms_async._recipients.batches import Batch, Batcher
from gateway_sms_async._recipients.number_set import NumberSet
from gateway_sms_async._transaction import (
    accumulator,
    closing,
    reconcile,
    requests as _requests,
    restore,
    verification,
)
from gateway_sms_async._transaction.builder import MessageBuilder
from gateway_sms_async._transaction.closing import MessageCloser
from gateway_sms_async._transaction.message import AssignedBatch, BatchState, OutgoingMessage
from gateway_sms_async._transaction.outside_close import OutsideClose
from gateway_sms_async._transaction.reconcile import Listing
from gateway_sms_async._transaction.requests import MessageRequests
from gateway_sms_async._transaction.sender import BatchSender
from gateway_sms_async._transaction.verification import OpenMessageVerifier
from gateway_sms_async.errors import GatewayError, OutcomeUnknownError, ServerError

from ..simulation.many import run_many, schedule_of
from ..simulation.matrix import CELLS
from ..simulation.regressions import FOUND
from ..simulation.run import run

Plant = Callable[[pytest.MonkeyPatch], None]


def aiohttp_repeats(patch: pytest.MonkeyPatch) -> None:
    """Leave aiohttp's own repeat of a dropped PUT switched on, and its tripwire off."""

    async def passes(departure: Any, request: Any, handler: Any) -> Any:
        request.departure = departure
        return await handler(request)

    async def no_tripwire(request: Any, connection: Any) -> Any:
        await request.departure.depart()
        request.departure.sent = True
        return await aiohttp.ClientRequest.send(request, connection)

    patch.setattr(_transport._Departure, "__call__", passes)
    patch.setattr(_transport._Request, "send", no_tripwire)


def repeat_appends(patch: pytest.MonkeyPatch) -> None:
    """Repeat a batch whose answer was lost."""
    _repeat(patch, _retry.Operation.APPEND)


def repeat_closes(patch: pytest.MonkeyPatch) -> None:
    """Repeat a close whose answer was lost, without looking."""
    _repeat(patch, _retry.Operation.CLOSE)


def repeat_sends(patch: pytest.MonkeyPatch) -> None:
    """Repeat a send whose answer was lost."""
    _repeat(patch, _retry.Operation.SEND)


def _repeat(patch: pytest.MonkeyPatch, operation: _retry.Operation) -> None:
    row = _retry.TABLE[operation]
    patch.setitem(row, _retry.AttemptResult.AMBIGUOUS, _retry.Action.REPEAT)


def repeat_after_5xx(patch: pytest.MonkeyPatch) -> None:
    """Take a 5xx for a request that was not applied."""
    original = _responses.refused

    def refused(*args: Any) -> _retry.AttemptFailed:
        failed = original(*args)
        if isinstance(failed.error, ServerError):
            failed.outcome = _retry.AttemptResult.NOT_SENT
        return failed

    patch.setattr(_responses, "refused", refused)


def a_404_page_is_a_no(patch: pytest.MonkeyPatch) -> None:
    """Take a proxy's 404 page for an answer of the gateway."""
    patch.setattr(_responses, "_REFUSED_BY_STATUS", {401, 404, 413, 429})


def nothing_was_sent(patch: pytest.MonkeyPatch) -> None:
    """Judge by the exception, not by whether a byte had left."""
    original = _transport.TransportFault.__init__

    def init(self: Any, error: Any, *, sent: bool, permanent: bool = False) -> None:
        del sent
        original(self, error, sent=False, permanent=permanent)

    patch.setattr(_transport.TransportFault, "__init__", init)


def counts_for_the_list(patch: pytest.MonkeyPatch) -> None:
    """Decide from counts alone which recipients are missing."""

    async def by_counts(self: MessageCloser, final: Any, **_: Any) -> list[list[RecipientOutcome]]:
        assigned = [one for one in self._message.assigned if one.state is not BatchState.PENDING]
        missing = sum(len(one.batch) for one in assigned) - final.valid
        outcomes: list[list[RecipientOutcome]] = []
        for one in assigned:
            gone = one.state is BatchState.IN_DOUBT and missing > 0
            missing -= len(one.batch) if gone else 0
            outcomes.append(
                [RecipientOutcome.UNSENT if gone else RecipientOutcome.ACCEPTED] * len(one.batch)
            )
        return outcomes

    patch.setattr(MessageCloser, "_outcomes_by_list", by_counts)


def wait_then_resend(patch: pytest.MonkeyPatch) -> None:
    """Wait, list, and send a missing batch into the open message once more."""
    original = MessageRequests.append

    async def append(
        self: MessageRequests, assigned: AssignedBatch, wire_status: Any = None
    ) -> None:
        await original(self, assigned, wire_status)
        if assigned.state is not BatchState.IN_DOUBT:
            return
        await asyncio.sleep(15)
        listed = {reconcile.digits(number) for number in await self.list_numbers()}
        if not listed & {reconcile.digits(number) for number in assigned.batch.numbers}:
            await original(self, assigned, wire_status)

    patch.setattr(MessageRequests, "append", append)


def counts_not_compared(patch: pytest.MonkeyPatch) -> None:
    """Do not compare the counts with what was acknowledged."""
    patch.setattr(verification, "counts_add_up", lambda *_: True)


def another_message_before_the_close(patch: pytest.MonkeyPatch) -> None:
    """Give a batch whose answer was lost to another message before this one is closed."""
    original = MessageRequests.append

    async def append(
        self: MessageRequests, assigned: AssignedBatch, wire_status: Any = None
    ) -> None:
        await original(self, assigned, wire_status)
        if assigned.state is BatchState.IN_DOUBT:
            self._not_applied(assigned)

    patch.setattr(MessageRequests, "append", append)


def no_look_before_the_close(patch: pytest.MonkeyPatch) -> None:
    """Close without looking."""

    async def look(self: OpenMessageVerifier, _: Any) -> Any:
        return self._message.seen, True

    patch.setattr(OpenMessageVerifier, "look", look)


def no_look_after_the_close(patch: pytest.MonkeyPatch) -> None:
    """Take the answer to the close as proof of it."""
    original, look = MessageRequests.close_once, MessageCloser._look_again

    async def close_once(self: MessageRequests, payload: bytes, last: Any) -> Any:
        self.answer = await original(self, payload, last)  # type: ignore[attr-defined]
        return self.answer  # type: ignore[attr-defined]

    async def look_again(self: MessageCloser) -> Any:
        answer = getattr(self._requests, "answer", None)
        if answer is None:
            return await look(self)
        self._message.seen = answer
        return answer

    patch.setattr(MessageRequests, "close_once", close_once)
    patch.setattr(MessageCloser, "_look_again", look_again)


def intent_after_its_bytes(patch: pytest.MonkeyPatch) -> None:
    """Write the intent to close when the close is answered."""
    intend, close = MessageRequests.intend_close, MessageRequests.close_once
    later: dict[int, Callable[[], Awaitable[None]]] = {}

    async def intend_close(self: MessageRequests, *args: Any, **more: Any) -> None:
        later[id(self)] = lambda: intend(self, *args, **more)

    async def close_once(self: MessageRequests, payload: bytes, last: Any) -> Any:
        answer = await close(self, payload, last)
        if (write := later.pop(id(self), None)) is not None:
            await write()
        return answer

    patch.setattr(MessageRequests, "intend_close", intend_close)
    patch.setattr(MessageRequests, "close_once", close_once)


def intents_not_durable(patch: pytest.MonkeyPatch) -> None:
    """Note intents, and continue before they are on the disk."""

    async def intend(self: journal.Journal, record: Record) -> None:
        self._check()
        self.note(record)

    patch.setattr(journal.Journal, "intend", intend)


def acknowledge_before_the_answer(patch: pytest.MonkeyPatch) -> None:
    """Write that a batch is acknowledged before the gateway has answered."""
    original = MessageRequests.append

    async def append(
        self: MessageRequests, assigned: AssignedBatch, wire_status: Any = None
    ) -> None:
        await self._journal.intend(_adding(self, assigned))
        message = self.message
        counted = message.acknowledged + len(assigned.batch)
        self._journal.note(Appended(message.number, assigned.number, counted))
        await original(self, assigned, wire_status)

    patch.setattr(MessageRequests, "append", append)


def _adding(requests: MessageRequests, assigned: AssignedBatch) -> Any:
    from gateway_sms_async._journal.records import AppendIntent, ranges

    return AppendIntent(requests.message.number, assigned.number, ranges(assigned.batch.ordinals))


def siblings_cancelled(patch: pytest.MonkeyPatch) -> None:
    """Cancel the other batches when one is lost, and treat them as not sent."""
    append, send_alone = MessageRequests.append, BatchSender._send

    async def cancellable(
        self: MessageRequests, assigned: AssignedBatch, wire_status: Any = None
    ) -> None:
        try:
            await append(self, assigned, wire_status)
        except asyncio.CancelledError:
            if assigned.state is not BatchState.PENDING:
                self._not_applied(assigned)

    async def send(
        self: BatchSender, assigned: AssignedBatch, wire_status: Any, *, first: bool
    ) -> None:
        await send_alone(self, assigned, wire_status, first=first)
        if assigned.state is BatchState.IN_DOUBT:
            for task in self._flights:
                if task is not asyncio.current_task():
                    task.cancel()

    patch.setattr(MessageRequests, "append", cancellable)
    patch.setattr(BatchSender, "_send", send)


def the_last_batch_dropped(patch: pytest.MonkeyPatch) -> None:
    """Forget the recipients that were kept for the close."""
    original = MessageBuilder._send_rest

    async def send_rest(self: MessageBuilder) -> None:
        await original(self)
        self._accumulator.buffer = Batch()

    patch.setattr(MessageBuilder, "_send_rest", send_rest)


def unsent_after_a_close_was_begun(patch: pytest.MonkeyPatch) -> None:
    """Call recipients unsent though a close may have reached the gateway."""
    patch.setattr(OutgoingMessage, "close_begun", property(lambda _: False))


def an_unanswered_delete_is_done(patch: pytest.MonkeyPatch) -> None:
    """Delete a message that did not close at once, and treat a DELETE without an answer as done."""
    original, settle_if_closed = MessageRequests.delete, MessageCloser._settle_if_closed

    async def delete(self: MessageRequests) -> None:
        try:
            await original(self)
        except (OutcomeUnknownError, ServerError):
            self.message.deleted()

    async def or_deleted(self: MessageCloser, *args: Any, **more: Any) -> bool:
        closed = await settle_if_closed(self, *args, **more)
        if not closed:
            await self._requests.delete()
            raise closing.RestartMessageError("it did not close at once")
        return closed

    patch.setattr(MessageRequests, "delete", delete)
    patch.setattr(MessageCloser, "_settle_if_closed", or_deleted)


def a_close_is_undone_by_hope(patch: pytest.MonkeyPatch) -> None:
    """Give up a close whose message cannot be read: delete nothing and send again."""
    original = MessageCloser._look_again

    async def look_again(self: MessageCloser) -> Any:
        try:
            return await self._requests.look()
        except GatewayError as error:
            self._message.close_in_doubt = False
            raise closing.RestartMessageError("the close is taken for lost") from error

    assert original is not None
    patch.setattr(MessageCloser, "_look_again", look_again)


def a_list_of_any_length(patch: pytest.MonkeyPatch) -> None:
    """Believe a list of recipients that is not complete."""
    original = closing.read_list

    def read_list(message: Any, batches: Any, numbers: Any, **more: Any) -> Listing:
        numbers = list(numbers)
        whole = original(message, batches, numbers, **more)
        return whole or Listing(reconcile.Counter(map(reconcile.digits, numbers)), 0)

    patch.setattr(closing, "read_list", read_list)
    patch.setattr(verification, "read_list", read_list)


def numbers_as_written_and_strangers_ignored(patch: pytest.MonkeyPatch) -> None:
    """Recognize a number only in the form that was sent, and ignore strangers."""
    digits, by_list = reconcile.digits, reconcile.outcomes_by_list

    def as_written(number: str) -> int:
        return digits(number) if "-" in number else -digits(number)

    def outcomes(final: Any, batches: Any, listing: Listing, **more: Any) -> Any:
        return by_list(final, batches, listing._replace(strangers=0), **more)

    patch.setattr(reconcile, "digits", as_written)
    patch.setattr(closing, "outcomes_by_list", outcomes)
    patch.setattr(
        OpenMessageVerifier,
        "_read_open_list",
        lambda self, seen, **_: _answer((Listing(reconcile.Counter(), 0), seen)),
    )


async def _answer(value: Any) -> Any:
    return value


def resume_sends_intents_again(patch: pytest.MonkeyPatch) -> None:
    """Treat a batch with an intent and no answer as one that was not sent."""
    original = journal.replay

    def replayed(records: Iterator[Record], people: int) -> Position:
        position = original(records, people)
        for message in position.messages.values():
            if message.ended is None and message.closing is None:
                for number, batch in list(message.batches.items()):
                    if batch.count is None:
                        position._mark(message.batches.pop(number).recipients, replay._PENDING)
        return position

    patch.setattr(journal, "replay", replayed)


def resume_believes_every_open(patch: pytest.MonkeyPatch) -> None:
    """Believe at a resume that each message holds what it was opened with."""

    def opened(*args: Any, **_: Any) -> Opened:
        return Opened(*args)

    patch.setattr(_requests, "Opened", opened)


def resume_replaces_refused_closes(patch: pytest.MonkeyPatch) -> None:
    """Give the recipients of a refused close to another message at a resume."""
    original = journal.replay

    def replayed(records: Iterator[Record], people: int) -> Position:
        position = original(records, people)
        for number, message in list(position.messages.items()):
            if message.refused and message.is_unfinished:
                position._mark(message.recipients, replay._PENDING)
                del position.messages[number]
        return position

    patch.setattr(journal, "replay", replayed)


def resume_trusts_an_old_look(patch: pytest.MonkeyPatch) -> None:
    """Call recipients unsent whose message an earlier run has seen open after a refused close."""

    class WithoutNotes:
        def __init__(self, real: journal.Journal) -> None:
            self.recipients = real.recipients

        def note(self, _: Record) -> None: ...

    async def restored(builder: Any, saved: Any, real: journal.Journal) -> None:
        await restore.restore_message(builder, saved, WithoutNotes(real))  # type: ignore[arg-type]

    patch.setattr(resume, "restore_message", restored)


def half_a_send_is_whole(patch: pytest.MonkeyPatch) -> None:
    """Do not compare how many recipients the gateway counts with how many were sent."""
    patch.setattr(sending, "check_accepted", lambda message, *_: message)


def a_reference_is_proof(patch: pytest.MonkeyPatch) -> None:
    """Take any message with the caller's own reference for the one whose answer was lost."""

    async def is_proven(*_: Any) -> bool:
        return True

    patch.setattr(sending.MessageSender, "_is_proven", is_proven)


def resume_forgets_resumes(patch: pytest.MonkeyPatch) -> None:
    """Release recipients of unanswered messages at every resume, wherever they are meanwhile."""
    original = Position.apply

    def apply(self: Position, record: Record) -> None:
        if not isinstance(record, Resumed):
            original(self, record)

    patch.setattr(Position, "apply", apply)


def ends_not_written(patch: pytest.MonkeyPatch) -> None:
    """Do not write the end of a message."""
    original = journal.Journal.note

    def note(self: journal.Journal, record: Record) -> None:
        if not isinstance(record, Ended):
            original(self, record)

    patch.setattr(journal.Journal, "note", note)


def a_message_to_be_finished_takes_more(patch: pytest.MonkeyPatch) -> None:
    """Add recipients to a message of an earlier run that is being closed."""
    original = MessageBuilder.room
    assert original.fget is not None
    room = original.fget

    def with_room(self: MessageBuilder) -> int:
        procedure, self._procedure = self._procedure, None
        try:
            return room(self)
        finally:
            self._procedure = procedure

    patch.setattr(MessageBuilder, "room", property(with_room))


def each_message_for_itself(patch: pytest.MonkeyPatch) -> None:
    """Look for repeated numbers in one slice of the source only."""
    original = Batcher.fill

    def fill(self: Batcher, items: Any, batch: Batch, size: int) -> bool:
        self._seen = NumberSet()
        return original(self, items, batch, size)

    patch.setattr(Batcher, "fill", fill)


def _call_unapplied(requests: MessageRequests, last: Any) -> None:
    """Record that a close was not applied, whether or not that is proven."""
    requests.message.close_never_left(last)
    requests._journal.note(CloseRefused(requests.message.number))


def a_refused_close_is_not_looked_at(patch: pytest.MonkeyPatch) -> None:
    """Take the refusal of a close for a proof that it was not applied."""
    original = MessageRequests.close_once

    async def close_once(self: MessageRequests, payload: bytes, last: Any) -> Any:
        try:
            return await original(self, payload, last)
        except GatewayError:
            if self.message.close_begun:
                _call_unapplied(self, last)
            raise

    patch.setattr(MessageRequests, "close_once", close_once)


def repeated_entries_believed(patch: pytest.MonkeyPatch) -> None:
    """Believe a list that has one entry twice, and so lacks another one."""
    patch.setattr(_requests, "entries_are_distinct", lambda *_: True)


def an_id_in_use_is_taken(patch: pytest.MonkeyPatch) -> None:
    """Fill a message that another builder fills already."""
    patch.setattr(MessageRequests, "_response_to_open", lambda *_: lambda _: True)


def sizes_stop_shrinking(patch: pytest.MonkeyPatch) -> None:
    """Give batches of one message the same size after a while, and believe their counts."""
    patch.setattr(accumulator, "shrinking", lambda size, batches: size - min(batches, size // 10))
    patch.setattr(verification, "sizes_tell_apart", lambda _: True)


def neighbours_are_not_doubted(patch: pytest.MonkeyPatch) -> None:
    """Call recipients unsent whose message was not looked at after another was closed elsewhere."""
    patch.setattr(OutsideClose, "seen_open_since", lambda _: True)


def messages_left_open_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What is shown after a campaign's last request changes nothing of what it left open."""
    original = Campaign._doubt_left_open

    def doubt_once(self: Campaign) -> None:
        original(self)
        self._left_open.clear()

    patch.setattr(Campaign, "_doubt_left_open", doubt_once)


def adopted_messages_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Forget the messages of earlier runs that a resume had not come to when it met a ceiling."""

    async def settle_adopted(self: Campaign) -> None:
        self._outstanding.adopted.clear()

    patch.setattr(Campaign, "_settle_adopted", settle_adopted)


def a_close_is_undoubted_by_an_exception(patch: pytest.MonkeyPatch) -> None:
    """Take an exception after the answer to a close for a proof that it was not applied."""
    original = MessageRequests.close_once

    async def close_once(self: MessageRequests, payload: bytes, last: Any) -> Any:
        try:
            return await original(self, payload, last)
        except GatewayError:
            raise
        except BaseException:
            _call_unapplied(self, last)
            raise

    patch.setattr(MessageRequests, "close_once", close_once)


def a_batch_is_undoubted_by_an_exception(patch: pytest.MonkeyPatch) -> None:
    """Take an exception after the answer to a batch for a proof that it was not applied."""
    original = MessageRequests.append

    async def append(
        self: MessageRequests, assigned: AssignedBatch, wire_status: Any = None
    ) -> None:
        try:
            await original(self, assigned, wire_status)
        except GatewayError:
            raise
        except BaseException:
            self._not_applied(assigned)
            raise

    patch.setattr(MessageRequests, "append", append)


def stray_answers_believed(patch: pytest.MonkeyPatch) -> None:
    """Use a connection that has received something while it was idle."""

    async def is_usable(_: Any) -> bool:
        return True

    patch.setattr(_transport, "_is_usable", is_usable)


def a_stubborn_source_is_waited_for(patch: pytest.MonkeyPatch) -> None:
    """Wait for a task that swallows every cancellation, however long it takes."""
    patch.setattr(_cancellation, "_CANCELLATIONS", 1_000_000)


PLANTS: list[Plant] = [
    aiohttp_repeats,
    repeat_appends,
    repeat_closes,
    repeat_sends,
    repeat_after_5xx,
    a_404_page_is_a_no,
    nothing_was_sent,
    counts_for_the_list,
    wait_then_resend,
    another_message_before_the_close,
    no_look_before_the_close,
    no_look_after_the_close,
    intent_after_its_bytes,
    intents_not_durable,
    counts_not_compared,
    siblings_cancelled,
    the_last_batch_dropped,
    unsent_after_a_close_was_begun,
    a_close_is_undone_by_hope,
    a_list_of_any_length,
    numbers_as_written_and_strangers_ignored,
    resume_sends_intents_again,
    resume_believes_every_open,
    resume_replaces_refused_closes,
    resume_trusts_an_old_look,
    half_a_send_is_whole,
    a_reference_is_proof,
    resume_forgets_resumes,
    ends_not_written,
    a_message_to_be_finished_takes_more,
    each_message_for_itself,
    a_refused_close_is_not_looked_at,
    repeated_entries_believed,
    an_id_in_use_is_taken,
    sizes_stop_shrinking,
    neighbours_are_not_doubted,
    messages_left_open_are_forgotten,
    adopted_messages_are_forgotten,
    a_close_is_undoubted_by_an_exception,
    a_batch_is_undoubted_by_an_exception,
    stray_answers_believed,
    a_stubborn_source_is_waited_for,
]

# Planted alone, these do no harm that a thousand schedules show: another check makes up for them.
HEALED: dict[Plant, str] = {
    acknowledge_before_the_answer: "the look finds it missing: the counts do not add up",
    an_unanswered_delete_is_done: "needs a close that lands late and a DELETE that never does",
}
# These are found by tests of their own.
FOUND_ELSEWHERE = {
    "a 401 renewed by each task": "test_retry_table and test_money count the renewals",
    "a default for a missing field": "test_models and test_transport: no such answer decodes",
}

MOST = 1_000
KNOWN = Path(__file__).with_name("known_schedules.json")
"""For each bug a schedule that finds it: a seed, or the name of a schedule that failed once."""


class Finding(NamedTuple):
    """After how many schedules a bug was found, by which one, and what was wrong there."""

    after: int
    schedule: int | str
    words: str


def finding_of_known(plant: Plant) -> Finding | None:
    """Plant a bug; run the schedule that is known to find it."""
    known: dict[str, int | str] = json.loads(KNOWN.read_text())
    if (name := known.get(plant.__name__)) is None:
        return None
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        wrong = run(FOUND[name] if isinstance(name, str) else schedule_of(name)).wrong
    return Finding(1, name, wrong[0]) if wrong else None


def first_finding(plant: Plant) -> Finding | None:
    """Plant a bug; return the first schedule that finds it, of a thousand.

    Schedules that failed once come first, then the directed ones, then random ones.
    """
    directed = range(-1, -1 - len(CELLS), -1)
    seeds = [*directed, *range(MOST - len(CELLS) - len(FOUND))]
    with pytest.MonkeyPatch.context() as patch:
        plant(patch)
        for at, (name, schedule) in enumerate(FOUND.items(), 1):
            if wrong := run(schedule).wrong:
                return Finding(at, name, wrong[0])
        for at in range(0, len(seeds), 25):
            summary = run_many(seeds[at : at + 25], enough=1)
            if summary.wrong:
                [(seed, words)] = summary.wrong.items()
                return Finding(len(FOUND) + at + summary.count, seed, words[0])
    return None


def main(*names: str) -> int:
    """Print how many schedules each bug survived: those of these names, or all.

    Writes down which schedule found it.
    """
    known: dict[str, int | str] = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    lived = 0
    for plant in PLANTS:
        if names and plant.__name__ not in names:
            continue
        found = first_finding(plant)
        lived += found is None
        if found is None:
            known.pop(plant.__name__, None)
        else:
            known[plant.__name__] = found.schedule
        KNOWN.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n")
        after, _, words = found or (MOST, None, "NOT FOUND")
        sys.stdout.write(f"{plant.__name__:42}{after:5}  {words[:90]}\n")
        sys.stdout.flush()
    for healed, why in ({} if names else HEALED).items():
        found = first_finding(healed)
        words = why if found is None else f"{found.after}: {found.words}"
        sys.stdout.write(f"{healed.__name__:42}    -  {words[:90]}\n")
    for name, where in ({} if names else FOUND_ELSEWHERE).items():
        sys.stdout.write(f"{name:42}    -  {where}\n")
    return 1 if lived else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
