"""From records to a state, without a socket and without a file."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async._journal.records import (
    AbandonIntent,
    Appended,
    AppendIntent,
    BatchReleased,
    ClosedElsewhere,
    CloseIntent,
    CloseRefused,
    Ended,
    Finished,
    Opened,
    OpenIntent,
    Ranges,
    Record,
    Resumed,
    RunSummary,
    SingleSendIntent,
    decode,
    encode,
)
from gateway_sms_async._journal.replay import Position, SavedBatch, replay

ID = "a" * 24


def summary(wasted: str | None = None) -> RunSummary:
    return RunSummary(10, 1, 2.5, 200, 10_000, False, None, None, wasted)


def ended(
    message: int = 0,
    state: str = "closed",
    *,
    invalid: Ranges | None = None,
    unknown: Ranges | None = None,
    unsent: Ranges | None = None,
) -> Ended:
    return Ended(message, state, ID, "0.50", invalid or [], [], unknown or [], unsent or [])


OPEN: list[Record] = [OpenIntent(0, [(0, 3)]), Opened(0, ID, 3)]
APPENDED: list[Record] = [AppendIntent(0, 1, [(3, 5)]), Appended(0, 1, 5)]
CLOSING: list[Record] = [*OPEN, *APPENDED, CloseIntent(0, [(5, 6)], 5, 0, True, "0.60")]


def state_of(*records: Record, recipients: int = 8) -> Position:
    """Replay records as they come back from a file."""
    return replay([decode(encode(record)) for record in records], recipients)


# --- which recipients are on no message ----------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "pending"),
    [
        ([], [(0, 8)]),
        # An intent may have been applied, unless the message has no id: it then never goes out.
        ([OpenIntent(0, [(0, 3)])], [(0, 8)]),
        (OPEN, [(3, 8)]),
        ([*OPEN, AppendIntent(0, 1, [(3, 5)])], [(5, 8)]),
        ([*OPEN, *APPENDED], [(5, 8)]),
        ([*OPEN, AppendIntent(0, 1, [(3, 5)]), BatchReleased(0, 1)], [(3, 8)]),
        (CLOSING, [(6, 8)]),
        ([*CLOSING, CloseRefused(0)], [(5, 8)]),
        # A message that is to be deleted keeps its recipients until that is proven.
        ([*OPEN, AbandonIntent(0)], [(3, 8)]),
        ([*OPEN, AbandonIntent(0), ended(state="abandoned", unsent=[(0, 3)])], [(0, 8)]),
        ([*OPEN, ClosedElsewhere(0)], [(3, 8)]),
        ([*CLOSING, ended()], [(6, 8)]),
        ([*CLOSING, ended(invalid=[(0, 1)], unsent=[(3, 5)])], [(3, 5), (6, 8)]),
        ([*CLOSING, ended(unknown=[(0, 6)])], [(6, 8)]),
        # The opened message of a run that was killed: given to another one in the next run.
        (
            [OpenIntent(0, [(0, 3)]), Resumed(), OpenIntent(1, [(0, 2)]), Opened(1, ID, 2)],
            [(2, 8)],
        ),
    ],
)
def test_which_recipients_are_pending(records: list[Record], pending: Ranges) -> None:
    assert state_of(*records).pending() == pending


def test_recipients_of_an_unanswered_message_are_released_only_once() -> None:
    # Released at the first resume, they went to message 1; the second resume must not do it again.
    lost, taken = OpenIntent(0, [(0, 3)]), [OpenIntent(1, [(0, 3)]), Opened(1, ID, 3)]
    assert state_of(lost, Resumed(), *taken, Resumed()).pending() == [(3, 8)]


@settings(deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["unanswered", "lost", "released", "ended"]), st.integers(1, 4)),
        max_size=12,
    ),
    spare=st.integers(0, 3),
)
def test_pending_agrees_with_a_naive_model(steps: list[tuple[str, int]], spare: int) -> None:
    records: list[Record] = []
    pending: set[int] = set()
    end = 0
    for number, (what, size) in enumerate(steps):
        first, end = end, end + 2 * size
        records += [OpenIntent(number, [(first, first + size)])]
        if what == "unanswered":
            pending |= set(range(first, end))
            continue
        records += [Opened(number, ID, size), AppendIntent(number, 1, [(first + size, end)])]
        if what == "released":
            records += [BatchReleased(number, 1)]
            pending |= set(range(first + size, end))
        if what == "ended":
            records += [ended(number, unsent=[(first, first + 1)])]
            pending |= {first}
    total = end + spare
    position = state_of(*records, recipients=total)
    listed = [one for run in position.pending() for one in range(*run)]
    assert listed == sorted(pending | set(range(end, total)))
    assert position.next_number == len(steps)


# --- a message -----------------------------------------------------------------------------------


def test_a_message_as_far_as_its_records_go() -> None:
    message = state_of(*CLOSING[:-1], AppendIntent(0, 2, [(6, 8)])).messages[0]
    assert (message.number, message.message_id) == (0, ID)
    assert message.batches == {
        0: SavedBatch([(0, 3)], 3),
        1: SavedBatch([(3, 5)], 5),
        2: SavedBatch([(6, 8)], None),
    }
    assert message.recipients == [(0, 3), (3, 5), (6, 8)]
    assert message.is_unfinished
    assert not message.may_be_closed


def test_an_intent_to_close_brings_its_recipients() -> None:
    message = state_of(*CLOSING).messages[0]
    assert message.closing == CLOSING[-1]
    assert message.recipients == [(0, 3), (3, 5), (5, 6)]
    assert message.may_be_closed


@pytest.mark.parametrize(
    ("records", "may_be_closed"),
    [
        ([], False),
        ([AbandonIntent(0)], False),
        ([ClosedElsewhere(0)], True),
        ([SingleSendIntent(0, "reference")], True),
        ([SingleSendIntent(0, "reference"), CloseRefused(0)], False),
        ([CloseIntent(0, [], 3, 0, True)], True),
        ([CloseIntent(0, [], 3, 0, True), CloseRefused(0)], False),
        ([CloseIntent(0, [], 3, 0, True), CloseRefused(0), ClosedElsewhere(0)], True),
        ([AbandonIntent(0), CloseIntent(0, [], 3, 0, True)], True),
    ],
)
def test_what_may_have_closed_a_message(records: list[Record], may_be_closed: bool) -> None:
    assert state_of(*OPEN, *records).messages[0].may_be_closed == may_be_closed


@pytest.mark.parametrize(
    ("records", "unfinished"),
    [
        ([OpenIntent(0, [(0, 3)])], False),
        (OPEN, True),
        (CLOSING, True),
        ([*CLOSING, ended()], False),
        ([*CLOSING, ended(unsent=[(0, 6)])], False),
        # A resume looks again for recipients that are unknown.
        ([*CLOSING, ended(unknown=[(0, 1)])], True),
        ([*CLOSING, ended(unknown=[(0, 1)]), ended()], False),
    ],
)
def test_which_messages_a_resume_finishes(records: list[Record], unfinished: bool) -> None:
    assert state_of(*records).messages[0].is_unfinished == unfinished


# --- the campaign --------------------------------------------------------------------------------


def test_orphans_are_counted_by_the_run_that_ended_or_by_the_replay() -> None:
    lost: list[Record] = [OpenIntent(0, [(0, 3)]), OpenIntent(1, [(3, 5)]), Opened(1, ID, 2)]
    assert state_of(*lost).orphans == 3
    assert state_of(*lost, summary("0.30")).orphans == 0
    assert state_of(*lost, summary("0.30")).wasted == Decimal("0.30")
    again = state_of(*lost, summary("0.30"), Resumed(), OpenIntent(2, [(0, 2)]))
    assert (again.orphans, again.wasted) == (2, Decimal("0.30"))


def test_the_last_run_counts() -> None:
    position = state_of(summary("0.10"), summary(None))
    assert [one.wasted for one in position.runs] == ["0.10", None]
    assert position.wasted == 0
    assert state_of().wasted == 0


def test_a_finished_campaign() -> None:
    finished = Finished(True, [ID], [], 10, 0, 2.5, "0.50")
    assert state_of(*OPEN).finished is None
    assert state_of(*CLOSING, ended(), finished).finished == finished


@pytest.mark.parametrize(
    "record", [Opened(7, ID, 1), Appended(0, 5, 1), BatchReleased(0, 5), CloseRefused(7)]
)
def test_a_record_of_a_message_or_batch_that_never_began_is_refused(record: Record) -> None:
    with pytest.raises(KeyError):
        state_of(*OPEN, record)
