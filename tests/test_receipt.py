"""The outcome of each recipient, one by one: marks, and the receipts made from them."""

import pickle
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import GatewayClient, Outcome, read_journal
from gateway_sms_async._journal.records import ranges, without
from gateway_sms_async._receipt import InvalidRecipient, Marks, RecipientOutcome
from gateway_sms_async.testing import Fault, Simulator

from .support.accounting import check, number, numbers

pytestmark = pytest.mark.anyio


@given(
    st.lists(
        st.tuples(
            st.lists(st.integers(0, 40), unique=True, max_size=12),
            st.sampled_from(list(RecipientOutcome)),
            st.sampled_from([None, "a", "b", "c"]),
        ),
        max_size=10,
    ),
    st.integers(41, 50),
)
def test_marks_agree_with_a_dictionary(marked, total):
    marks, naive = Marks(), {}
    for positions, mark, message_id in marked:
        marks.mark(positions, mark, message_id)
        naive |= dict.fromkeys(positions, (mark.name.lower(), message_id))
    reported = marks.outcomes(total, ())
    assert len(reported) == total
    assert [(one.name, one.message_id) for one in reported] == [
        naive.get(position, ("unsent", None)) for position in range(total)
    ]
    assert pickle.loads(pickle.dumps(reported)) == reported
    assert reported[-1] == reported[total - 1]
    assert reported[2:9:3] == [reported[2], reported[5], reported[8]]


def test_what_is_marked_later_is_not_in_outcomes_given_out():
    marks = Marks()
    marks.mark(range(3), RecipientOutcome.ACCEPTED, "m")
    before = marks.outcomes(4, ())
    marks.mark([3, 1], RecipientOutcome.DOUBLED, "n")
    assert [one.name for one in before] == ["accepted", "accepted", "accepted", "unsent"]
    assert [one.name for one in marks.outcomes(4, ())] == [
        "accepted",
        "doubled",
        "accepted",
        "doubled",
    ]


def test_an_invalid_one_has_its_reason():
    marks = Marks()
    marks.mark([1, 4], RecipientOutcome.INVALID)
    reported = marks.outcomes(
        5, (InvalidRecipient("x", "letters", 1), InvalidRecipient("y", "too short", 4))
    )
    assert reported[1] == Outcome("invalid", None, "letters")
    assert reported[-1] == Outcome("invalid", None, "too short")
    assert reported[0].reason is None
    with pytest.raises(IndexError):
        reported[5]


RANGES = st.lists(st.integers(0, 60), unique=True, max_size=30).map(ranges)


@given(RANGES, RANGES)
def test_ranges_without_others(recipients, others):
    def listed(some):
        return [one for run in some for one in range(*run)]

    assert listed(without(recipients, others)) == [
        one for one in listed(recipients) if one not in listed(others)
    ]


def test_outcomes_show_no_numbers():
    marks = Marks()
    marks.mark([0], RecipientOutcome.ACCEPTED, "m")
    assert repr(marks.outcomes(1, ())) == "Outcomes(1 recipients)"


async def test_each_recipient_is_on_the_message_that_its_outcome_names(
    gateway: GatewayClient, simulator: Simulator
):
    people = numbers(40)
    source = [*people[:20], "no number", people[3], *people[20:]]
    receipt = await gateway.send_bulk(
        source, sender="ACME", body="Ciao", batch_size=4, recipients_per_message=15
    )
    check(receipt, simulator, set(people))
    assert len(receipt.message_ids) == 3
    assert receipt.outcomes[20].name == "invalid"
    assert receipt.outcomes[21] == Outcome("duplicate", None, None)
    for message_id in receipt.message_ids:
        listed = {one.number for one in await gateway.messages.recipients(message_id)}
        assert listed == {
            written
            for written, outcome in zip(source, receipt.outcomes, strict=True)
            if outcome.message_id == message_id
        }


async def test_a_transaction_tells_them_at_any_time(gateway: GatewayClient):
    async with gateway.transaction(sender="ACME", body="Ciao", batch_size=2) as transaction:
        await transaction.add([*numbers(5), number(0)])
        assert Counter(one.name for one in transaction.receipt.outcomes) == {
            "unsent": 5,
            "duplicate": 1,
        }
    assert [one.name for one in transaction.receipt.outcomes] == ["accepted"] * 5 + ["duplicate"]
    assert {one.message_id for one in transaction.receipt.outcomes[:5]} == {transaction.message_id}


async def test_a_journal_tells_them_too(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
):
    people = numbers(30)
    source = [*people[:10], "no number", people[0], *people[10:]]
    simulator.faults.add(Fault.reset(after_apply=True), on="append")
    receipt = await gateway.send_bulk(
        source,
        sender="ACME",
        body="Ciao",
        batch_size=4,
        recipients_per_message=12,
        exclude=people[5:8],
        journal=tmp_path / "campaign.db",
    )
    check(receipt, simulator, set(people) - set(people[5:8]))
    assert (await read_journal(tmp_path / "campaign.db")).outcomes == receipt.outcomes
