"""Which entries of a message's list are recipients, and which are repeats."""

from __future__ import annotations

import json

import msgspec
from hypothesis import given, strategies as st

from gateway_sms_async._delivery.listing import ListFilter
from gateway_sms_async.models import Message, RecipientReport

from ..support.recipients import recipient


def list_filter(invalid: int, named: tuple[str, ...] = ()) -> ListFilter:
    counts = {"valid": {"count": 9}, "invalid": {"total": invalid, "list": named}}
    document = {"id": "a", "transaction": False, "recipients": counts}
    return ListFilter(msgspec.json.decode(json.dumps(document), type=Message))


def accepted(entries: ListFilter, *listed: RecipientReport) -> list[int]:
    return [place for place, one in enumerate(listed) if entries.accepts(one)]


def test_an_entry_that_is_repeated_is_one() -> None:
    anna, bea = recipient(id="a", i=0), recipient("+39-3401234502", id="b", i=1)
    one = list_filter(0)
    assert accepted(one, anna, bea, anna, bea, bea) == [0, 1]
    assert one.listed == 2


def test_a_number_twice_on_a_message_is_two() -> None:
    assert accepted(list_filter(0), recipient(id="a"), recipient(id="b")) == [0, 1]
    assert accepted(list_filter(0), recipient(id="a", i=0), recipient(id="a", i=1)) == [0, 1]


def test_without_an_id_nothing_is_called_a_repeat() -> None:
    assert accepted(list_filter(0), recipient(), recipient()) == [0, 1]


def test_an_id_that_all_entries_share_is_no_repeat() -> None:
    listed = [recipient(f"+39-340123450{at}", id="same") for at in range(3)]
    assert accepted(list_filter(0), *listed) == [0, 1, 2]


def test_invalid_ones_are_left_out_as_many_as_the_message_counts() -> None:
    marked = [recipient(f"x{at}", state="INVALID") for at in range(3)]
    one = list_filter(2)
    assert accepted(one, *marked) == [2]
    assert (one.invalid, one.listed) == (2, 3)
    assert accepted(list_filter(1, ("+39 340 1234567",)), recipient(), recipient()) == [1]


@given(
    listed=st.lists(
        st.builds(
            recipient,
            st.sampled_from(["+39-3401234567", "?", ""]),
            id=st.sampled_from([None, "a", "b"]),
            i=st.sampled_from([None, 0, "1", {}]),
            state=st.sampled_from(["INVALID", "DELIVERED", 1, None]),
        )
    ),
    invalid=st.integers(0, 4),
)
def test_each_entry_is_a_recipient_invalid_or_a_repeat(
    listed: list[RecipientReport], invalid: int
) -> None:
    one = list_filter(invalid)
    recipients = accepted(one, *listed)
    assert one.invalid <= invalid
    assert one.listed == len(recipients) + one.invalid <= len(listed)
    assert accepted(one, *(each for each in listed if each.id is not None)) == []
