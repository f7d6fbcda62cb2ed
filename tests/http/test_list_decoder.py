"""Responses with more entries than a list can have, and how much memory they take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._http.list_decoder import ListDecoder
from gateway_sms_async._http.responses import judge
from gateway_sms_async._http.retry import AttemptFailed
from gateway_sms_async._http.transport import Reply
from gateway_sms_async._messages.api import _ONE, _REPORTS, _SUMMARIES
from gateway_sms_async.models import Envelope, MessageSummary, RecipientReport

MIB = 2**20

FEW = ListDecoder(RecipientReport, most=3, key="number")


def listed(entry: bytes, size: int) -> bytes:
    """Return a response of about so many bytes, with this entry again and again."""
    entries = b",".join([entry] * (size // (len(entry) + 1)))
    return b'{"success":true,"data":[' + entries + b"]}"


def memory_of(work: Callable[[], object]) -> int:
    """Return the most bytes that were allocated at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@given(st.integers(0, 8), st.sampled_from([b'{"number":"1"}', b'{"\\u006eumber":"{{{{{{","x":{}}']))
def test_a_list_is_decoded_up_to_its_longest(count: int, entry: bytes) -> None:
    body = b'{"success":true,"data":[' + b",".join([entry] * count) + b"]}"
    if count <= 3:
        assert len(FEW.decode(body).data) == count
    else:
        with pytest.raises(msgspec.ValidationError):
            FEW.decode(body)


def test_what_looks_like_many_entries_is_no_reason_to_refuse() -> None:
    many = b",".join([b'{"number":"\\u00e8"}'] * 20_000)
    entry = b'{"number":"1","unknown":[' + many + b"]}"
    assert len(FEW.decode(listed(entry, 3 * len(entry) + 3)).data) == 3


def test_as_many_recipients_as_a_message_may_hold_are_decoded() -> None:
    entry = (
        b'{"number":"1","report":{"price":{},"status":{},"error":{},"a":{},"b":{},"c":{},"d":{}}}'
    )
    for count, is_whole in ((50_000, True), (50_001, False)):
        body = listed(entry, count * (len(entry) + 1))
        if is_whole:
            assert len(_REPORTS.decode(body).data) == count
        else:
            with pytest.raises(msgspec.ValidationError):
                _REPORTS.decode(body)


@pytest.mark.parametrize(
    "entry",
    [
        b'{"number":""}',
        b'{"\\u006eumber":"1"}',
        b'{"number":"+39-3401234567","sms":1,"i":2}',
        b"{}",
    ],
)
def test_too_many_recipients_take_little_memory(entry: bytes) -> None:
    body = listed(entry, 12 * MIB)

    def refuse() -> None:
        with pytest.raises(msgspec.ValidationError):
            _REPORTS.decode(body)

    assert memory_of(refuse) < 24 * MIB


def test_too_many_messages_take_little_memory() -> None:
    body = listed(b'{"id":"a"}', 12 * MIB)

    def refuse() -> None:
        with pytest.raises(msgspec.ValidationError):
            ListDecoder(MessageSummary, most=50_000, key="id").decode(body)

    assert memory_of(refuse) < 24 * MIB


def test_a_list_of_messages_may_have_many_more() -> None:
    wire = msgspec.json.encode(
        Envelope([MessageSummary(id=f"{n:024x}", sender="ACME") for n in range(60_000)], True)
    )
    assert len(_SUMMARIES.decode(wire).data) == 60_000


@pytest.mark.parametrize("part", [b"[[]]", b"{}", b'{"a":[]}', b"1", b'"ab"'])
def test_a_refusal_takes_no_more_memory_than_its_bytes(part: bytes) -> None:
    items = b",".join([part] * (MIB // (len(part) + 1)))
    body = b'{"success":false,"error":1,"message":[' + items + b"]}"

    def refuse() -> None:
        with pytest.raises(AttemptFailed) as caught:
            judge(Reply(404, body, None), "GET", _ONE, None)
        assert caught.value.error.detail is None  # type: ignore[attr-defined]

    assert memory_of(refuse) < 2 * MIB


def with_invalid(listed_numbers: bytes, total: int) -> bytes:
    return (
        b'{"success":true,"data":{"id":"5af0","transaction":true,"recipients":{"valid":{"count":1},'
        b'"invalid":{"total":%d,"list":[%s]}}}}' % (total, listed_numbers)
    )


@pytest.mark.parametrize("part", [b"[[]]", b"{}", b'{"a":[]}', b"1", b'"ab"'])
def test_a_list_of_invalid_numbers_takes_no_more_memory_than_a_few_times_its_bytes(
    part: bytes,
) -> None:
    items = b",".join([part] * (7 * MIB // (len(part) + 1)))
    body = with_invalid(items, 10**8)

    def refuse() -> None:
        with pytest.raises(msgspec.ValidationError, match="than a message can hold"):
            _ONE.decode(body)

    assert memory_of(refuse) < 16 * MIB


def test_all_recipients_of_the_largest_message_may_be_invalid() -> None:
    numbers = [f"+999-{n:012}" for n in range(50_000)]
    body = with_invalid(b", ".join(msgspec.json.encode(one) for one in numbers), 50_000)
    assert len(body) > MIB
    data = _ONE.decode(body).data
    assert not isinstance(data, tuple)
    assert list(data.refused) == numbers


def test_what_is_no_number_is_left_out_of_the_invalid_ones() -> None:
    data = _ONE.decode(with_invalid(b'"1",[["2"]],{"number":"3"}, null , "4"', 5)).data
    assert not isinstance(data, tuple)
    assert data.refused == ("1", "4")


def test_a_list_that_is_not_utf_8_names_nobody() -> None:
    data = _ONE.decode(with_invalid(b'"1","\xff",2', 3)).data
    assert not isinstance(data, tuple)
    assert data.refused == ()
