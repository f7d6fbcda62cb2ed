"""The state of one message, without a socket: what may follow what, and the outcomes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway_sms_async._receipt import RecipientOutcome
from gateway_sms_async._recipients.batches import Batch
from gateway_sms_async._transaction import message as message_module
from gateway_sms_async._transaction.message import (
    AssignedBatch,
    BatchState,
    OutgoingMessage,
    State,
    batch_event,
    close_event,
)
from gateway_sms_async.errors import GatewayError
from gateway_sms_async.models import Message

from ..support.accounting import numbers

ACCEPTED, INVALID = RecipientOutcome.ACCEPTED, RecipientOutcome.INVALID
UNKNOWN, UNSENT = RecipientOutcome.UNKNOWN, RecipientOutcome.UNSENT
STATES: tuple[State, ...] = get_args(State)

ID = "a" * 24


def batch(size: int, start: int = 0) -> Batch:
    made = Batch()
    made.numbers = numbers(size, start)
    made.written = list(made.numbers)
    made.positions = range(start, start + size)
    return made


def answer(valid: int, *, is_open: bool = True, price: str | None = None) -> Message:
    wire: dict[str, Any] = {
        "id": ID,
        "transaction": is_open,
        "recipients": {"valid": {"count": valid}, "invalid": {"total": 0, "list": []}},
        "price": price,
    }
    return msgspec.json.decode(msgspec.json.encode(wire), type=Message)


def opened(*sizes: int) -> OutgoingMessage:
    """Return an open message with acknowledged batches of these sizes."""
    message = OutgoingMessage()
    message.opened(ID)
    for size in sizes:
        held = message.acknowledged
        message.acknowledge(message.assign(batch(size, held)), answer(held + size))
    return message


def outcomes(message: OutgoingMessage) -> list[RecipientOutcome]:
    return [one for _, batch_outcomes in message.outcomes() for one in batch_outcomes]


# --- the states ----------------------------------------------------------------------------------


def in_state(state: State) -> OutgoingMessage:
    """Bring a message into a state by what its requests report."""
    message = OutgoingMessage() if state == "new" else opened(2)
    match state:
        case "closing":
            message.begin_close(None)
        case "closed":
            message.settle([[ACCEPTED] * 2], answer(2, is_open=False))
        case "left_open":
            message.end()
        case "abandoned":
            message.deleted()
        case "unknown":
            message.close_may_apply()
            message.end()
        case _:
            pass
    assert message.state == state
    return message


STEPS: dict[State, Callable[[OutgoingMessage], object]] = {
    "open": lambda message: message.opened(ID),
    "closing": lambda message: message.begin_close(None),
    "closed": lambda message: message.settle(
        [[ACCEPTED] * len(one) for one in message.batches], answer(2, is_open=False)
    ),
    "abandoned": lambda message: message.deleted(),
}

ALLOWED = {
    ("new", "open"),
    ("new", "abandoned"),
    ("open", "closing"),
    ("open", "closed"),
    ("open", "abandoned"),
    ("closing", "open"),
    ("closing", "closing"),
    ("closing", "closed"),
    ("closing", "abandoned"),
    ("closed", "closed"),
    ("left_open", "closed"),
    ("left_open", "abandoned"),
    ("abandoned", "abandoned"),
    ("abandoned", "closing"),
    ("abandoned", "closed"),
    ("unknown", "closed"),
    ("unknown", "abandoned"),
}


@pytest.mark.parametrize("to", STEPS)
@pytest.mark.parametrize("from_", STATES)
def test_a_message_changes_its_state_only_as_the_protocol_can(from_: State, to: State) -> None:
    message = in_state(from_)
    if (from_, to) in ALLOWED:
        STEPS[to](message)
        assert message.state == to
        return
    with pytest.raises(RuntimeError, match=f"a message that is {from_} cannot become {to}"):
        STEPS[to](message)
    assert message.state == from_


def test_the_table_names_every_state() -> None:
    assert set(message_module._NEXT) == set(STATES)
    assert set().union(*message_module._NEXT.values()) == set(STATES) - {"new"}


def test_a_closed_message_stays_closed() -> None:
    assert message_module._NEXT["closed"] == {"closed"}


@pytest.mark.parametrize("state", STATES)
def test_a_message_that_has_ended_is_in_no_state_on_the_way(state: State) -> None:
    message = in_state(state)
    message.end()
    ended = {"open": "left_open", "closing": "left_open"}
    assert message.state == ended.get(state, state)


@pytest.mark.parametrize("how", ["close_in_doubt", "byte_has_left", "closed_elsewhere"])
@pytest.mark.parametrize("closing", [False, True])
def test_a_message_that_may_be_closed_ends_unknown(how: str, closing: bool) -> None:
    message = opened(2)
    if closing:
        message.begin_close(None)
    message.close_in_doubt = how == "close_in_doubt"
    message.close_status.departed = how == "byte_has_left"
    message.closed_elsewhere = how == "closed_elsewhere"
    message.end()
    assert message.state == "unknown"
    assert outcomes(message) == [UNKNOWN] * 2


# --- the outcomes in each state ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("open", UNSENT),
        ("closing", UNSENT),
        ("closed", ACCEPTED),
        ("left_open", UNSENT),
        ("abandoned", UNSENT),
        ("unknown", UNKNOWN),
    ],
)
def test_what_is_known_of_a_recipient_in_each_state(
    state: State, outcome: RecipientOutcome
) -> None:
    assert outcomes(in_state(state)) == [outcome] * 2


def test_from_the_first_byte_of_a_close_no_recipient_is_unsent() -> None:
    message = opened(2)
    last = message.assign(batch(1, 2))
    assert outcomes(message) == [UNSENT] * 3
    message.begin_close(last)
    assert not message.close_begun
    message.close_status.departed += 1
    assert message.close_begun
    assert outcomes(message) == [UNKNOWN] * 3
    message.close_may_apply()
    assert outcomes(message) == [UNKNOWN] * 3


def test_after_a_refused_close_its_batch_stays_with_the_message() -> None:
    message = opened(2)
    last = message.assign(batch(1, 2))
    message.begin_close(last)
    message.close_status.departed += 1
    assert outcomes(message) == [UNKNOWN] * 3
    message.close_refused()
    assert (message.state, last.state) == ("open", BatchState.IN_DOUBT)
    assert outcomes(message) == [UNSENT] * 3


def test_after_a_close_that_never_left_its_batch_is_not_on_the_message() -> None:
    message = opened(2)
    last = message.assign(batch(1, 2))
    message.begin_close(last)
    assert message.in_doubt
    message.close_never_left(last)
    assert (message.state, last.state) == ("open", BatchState.PENDING)
    assert [len(one) for one in message.batches] == [2]
    assert message.release(last).numbers == numbers(1, 2)
    assert outcomes(message) == [UNSENT] * 2


def test_a_deleted_message_was_not_closed_whatever_was_begun_before() -> None:
    message = opened(2)
    message.begin_close(None)
    message.close_may_apply()
    message.deleted()
    assert outcomes(message) == [UNSENT] * 2
    assert close_event(message).result == "abandoned"


def test_recipients_that_are_all_invalid_are_so_without_a_close() -> None:
    message = opened(2)
    message.deleted()
    message.found_all_invalid(answer(0))
    assert message.is_settled
    assert outcomes(message) == [INVALID] * 2


def test_a_pending_batch_of_a_closed_message_is_unsent() -> None:
    message = opened(2)
    message.assign(batch(3, 2))
    message.settle([[ACCEPTED, INVALID]], answer(1, is_open=False))
    assert outcomes(message) == [ACCEPTED, INVALID, UNSENT, UNSENT, UNSENT]
    assert [len(one) for _, one in message.outcomes_on_message()] == [2]


@pytest.mark.parametrize("wrong", [[], [[ACCEPTED]], [[ACCEPTED] * 2, [ACCEPTED]]])
def test_outcomes_of_other_recipients_are_refused(wrong: list[list[RecipientOutcome]]) -> None:
    message = opened(2)
    with pytest.raises(GatewayError, match="settled for other recipients"):
        message.settle(wrong, answer(2, is_open=False))
    assert message.state == "open"
    assert not message.is_settled


# --- its batches ---------------------------------------------------------------------------------


def test_batches_have_numbers_of_their_own() -> None:
    message = opened(2)
    released = message.assign(batch(1, 2))
    message.release(released)
    assert [message.assign(batch(1, 3)).number, released.number] == [2, 1]


@pytest.mark.parametrize("state", [one for one in BatchState if one is not BatchState.PENDING])
def test_only_a_batch_that_is_not_on_the_message_can_be_released(state: BatchState) -> None:
    message = opened()
    assigned = message.assign(batch(1))
    assigned.state = state
    with pytest.raises(AssertionError):
        message.release(assigned)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (BatchState.PENDING, "unsent"),
        (BatchState.IN_FLIGHT, "doubtful"),
        (BatchState.IN_DOUBT, "doubtful"),
        (BatchState.ACKNOWLEDGED, "acknowledged"),
    ],
)
def test_the_event_of_a_batch(state: BatchState, outcome: str) -> None:
    event = batch_event(OutgoingMessage(7), AssignedBatch(batch(3), 4, state))
    assert (event.number, event.batch, event.recipients, event.outcome) == (7, 4, 3, outcome)


def test_the_event_of_a_message_counts_its_recipients() -> None:
    message = opened(3)
    message.settle(
        [[ACCEPTED, RecipientOutcome.DOUBLED, INVALID]],
        answer(2, is_open=False, price="0.20"),
    )
    event = close_event(message)
    assert (event.result, event.message_id, event.price) == ("closed", ID, Decimal("0.20"))
    counts = (event.accepted, event.invalid, event.doubled, event.unknown, event.unsent)
    assert counts == (1, 1, 1, 0, 0)


# --- a message of an earlier run -----------------------------------------------------------------


@settings(deadline=None)
@given(
    saved=st.dictionaries(
        st.integers(0, 20), st.tuples(st.integers(1, 4), st.none() | st.integers(1, 50)), min_size=1
    )
)
def test_a_restored_message_goes_on_where_it_was(
    saved: dict[int, tuple[int, int | None]],
) -> None:
    message = OutgoingMessage()
    message.restore(ID, [(n, batch(size), counted) for n, (size, counted) in saved.items()])
    assert (message.state, message.id) == ("open", ID)
    assert message.in_doubt == any(counted is None for _, counted in saved.values())
    assert message.acknowledged == sum(size for size, counted in saved.values() if counted)
    assert message.assign(batch(1)).number == max(saved) + 1


@pytest.mark.parametrize("size", [0, 2])
def test_a_restored_close_may_have_been_applied(size: int) -> None:
    message = OutgoingMessage()
    message.restore(ID, [(0, batch(3), 3)])
    last = message.restore_close(batch(size, 3) if size else None)
    assert (message.state, message.close_begun) == ("closing", True)
    assert (last is None) == (size == 0)
    assert outcomes(message) == [UNKNOWN] * (3 + size)
    # The attempt that follows may be refused, or end the message.
    message.begin_close(last)
    message.end()
    assert message.state == "unknown"


# --- any order of reports ------------------------------------------------------------------------


class AnyLife(RuleBasedStateMachine):
    """A message to which its requests report in any order that the protocol allows.

    Held against it: every recipient has one outcome, and none is called unsent once a close may
    be applied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.message = OutgoingMessage()
        self.last: AssignedBatch | None = None
        self.recipients = 0
        self.may_be_closed = False

    @precondition(lambda self: self.message.state in {"new", "open"})
    @rule(size=st.integers(1, 3))
    def assign(self, size: int) -> None:
        self.message.assign(batch(size, self.recipients))
        self.recipients += size

    @precondition(lambda self: self.message.state == "new" and self.message.assigned)
    @rule()
    def open(self) -> None:
        first = self.message.assigned[0]
        self.message.opened(ID)
        self.message.acknowledge(first, answer(len(first.batch)))

    @precondition(lambda self: self.message.state == "open")
    @rule(state=st.sampled_from(BatchState), data=st.data())
    def end_a_batch(self, state: BatchState, data: st.DataObject) -> None:
        pending = [one for one in self.message.assigned if one.state is BatchState.PENDING]
        if pending:
            data.draw(st.sampled_from(pending)).state = state

    @precondition(lambda self: self.message.state == "open")
    @rule(with_last=st.booleans())
    def begin_close(self, with_last: bool) -> None:
        self.last = self.message.assign(batch(1, self.recipients)) if with_last else None
        self.recipients += with_last
        self.message.begin_close(self.last)

    @precondition(lambda self: self.message.state == "closing" and not self.may_be_closed)
    @rule()
    def refuse_close(self) -> None:
        self.message.close_refused()

    @precondition(lambda self: self.message.state == "closing" and not self.may_be_closed)
    @rule()
    def stop_close(self) -> None:
        self.message.close_never_left(self.last)

    @precondition(lambda self: self.message.state == "closing")
    @rule()
    def lose_close(self) -> None:
        self.message.close_may_apply()
        self.may_be_closed = True

    @precondition(lambda self: self.message.state in {"open", "closing"})
    @rule()
    def settle(self) -> None:
        self.message.settle([[ACCEPTED] * len(one) for one in self.message.batches], answer(1))

    @precondition(lambda self: self.message.state in {"open", "closing"})
    @rule()
    def delete(self) -> None:
        self.message.deleted()
        self.may_be_closed = False

    @rule()
    def end(self) -> None:
        self.message.end()

    @invariant()
    def every_recipient_has_one_outcome(self) -> None:
        assert len(outcomes(self.message)) == self.recipients
        listed = [one for part, _ in self.message.outcomes() for one in part.numbers]
        assert sorted(listed) == numbers(self.recipients)

    @invariant()
    def none_is_unsent_while_a_close_may_be_applied(self) -> None:
        if self.may_be_closed:
            assert not any(UNSENT in one for _, one in self.message.outcomes_on_message())


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(deadline=None)
