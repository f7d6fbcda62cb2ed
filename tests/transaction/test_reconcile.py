"""What counts and lists prove, compared with naive models: never more than is true."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given, settings, strategies as st

from gateway_sms_async._receipt import RecipientOutcome
from gateway_sms_async._recipients.batches import Batch
from gateway_sms_async._transaction.reconcile import (
    Counts,
    Listing,
    count,
    counts_add_up,
    entries_are_distinct,
    outcomes_by_counts,
    outcomes_by_list,
    read_list,
    unnamed,
)
from gateway_sms_async.models import Message, RecipientReport

from ..support.accounting import number, numbers

STRANGER = "+39-333999999"


def batch(people: list[str]) -> Batch:
    made = Batch()
    made.numbers = list(people)
    made.written = list(people)
    made.positions = list(range(len(people)))
    return made


def message(
    valid: int, invalid: int = 0, named: list[str] | None = None, *, is_open: bool = False
) -> Message:
    wire: dict[str, Any] = {
        "id": "a" * 24,
        "transaction": is_open,
        "recipients": {
            "valid": {"count": valid},
            "invalid": {"total": invalid, "list": named or []},
        },
    }
    return msgspec.json.decode(json.dumps(wire), type=Message)


def flat(outcomes: list[list[RecipientOutcome]]) -> list[RecipientOutcome]:
    return [outcome for one in outcomes for outcome in one]


# --- counts that add up --------------------------------------------------------------------------------


def some_order_adds_up(counts_by_batch: list[tuple[int, int]], total: int) -> bool:
    """Whether in some order each batch brought the count to what its own answer says."""
    for order in itertools.permutations(counts_by_batch):
        reached = 0
        for counted, size in order:
            reached += size
            if counted != reached:
                break
        else:
            if reached == total:
                return True
    return False


@given(
    counts_by_batch=st.lists(st.tuples(st.integers(0, 12), st.integers(1, 4)), max_size=5),
    total=st.integers(0, 14),
)
def test_counts_add_up_if_some_order_of_the_batches_explains_them(
    counts_by_batch: list[tuple[int, int]], total: int
) -> None:
    assert counts_add_up(counts_by_batch, total) == some_order_adds_up(counts_by_batch, total)


@given(sizes=st.lists(st.integers(1, 9), max_size=6), data=st.data())
def test_counts_of_batches_applied_once_each_add_up_in_any_order_of_answers(
    sizes: list[int], data: st.DataObject
) -> None:
    answers = list(zip(itertools.accumulate(sizes), sizes, strict=True))
    assert counts_add_up(data.draw(st.permutations(answers)), sum(sizes))


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    strike=st.lists(st.sampled_from([0, 1, 2]), min_size=6, max_size=6),
)
def test_counts_with_lost_and_doubled_batches_do_not_add_up(
    sizes: list[int], strike: list[int]
) -> None:
    # The gateway drops a batch (0) though it answers as if it took it, or applies it twice (2) and
    # gives the first answer. The second answer could fill the gap of a dropped batch.
    reached = 0
    counts_by_batch: list[tuple[int, int]] = []
    for size, times in zip(sizes, strike, strict=False):
        counts_by_batch.append((reached + size, size))
        reached += size * times
    once = all(times == 1 for times in strike[: len(sizes)])
    assert counts_add_up(counts_by_batch, reached) == once


@pytest.mark.parametrize("lost_first", [True, False])
@given(size=st.integers(1, 5), others=st.lists(st.integers(1, 5), max_size=3))
def test_a_lost_and_a_doubled_batch_of_one_size_do_not_add_up_though_the_total_fits(
    lost_first: bool, size: int, others: list[int]
) -> None:
    reached = 0
    counts_by_batch: list[tuple[int, int]] = []
    for one in others:
        reached += one
        counts_by_batch.append((reached, one))
    counts_by_batch.append((reached + size, size))
    if lost_first:
        counts_by_batch.append((reached + size, size))
    else:
        counts_by_batch.append((reached + 3 * size, size))
    assert not counts_add_up(counts_by_batch, reached + 2 * size)


def test_no_batches_add_up_to_nothing() -> None:
    assert counts_add_up([], 0)
    assert not counts_add_up([], 1)


# --- a world that knows the truth, and what the gateway shows of it -----------------------------


@dataclass
class Truth:
    """A closed message: how often each batch was applied, and which numbers are invalid."""

    batches: list[list[str]]
    drained: list[int]
    bad: set[str]
    strangers: int = 0
    named: int | None = None
    lists_invalid: bool = False
    rewritten: bool = False
    cap: int | None = None

    @property
    def entries(self) -> list[str]:
        held = [
            one
            for people, times in zip(self.batches, self.drained, strict=True)
            for one in people * times
        ]
        return held + [f"{STRANGER}{n}" for n in range(self.strangers)]

    @property
    def good(self) -> list[str]:
        return [one for one in self.entries if one not in self.bad]

    @property
    def wrong(self) -> list[str]:
        return [one for one in self.entries if one in self.bad]

    def shown(self, entries: list[str]) -> list[str]:
        return [one.replace("-", "") if self.rewritten else one for one in entries]

    @property
    def message(self) -> Message:
        named = self.shown(self.wrong)[: self.named]
        return message(len(self.good), len(self.wrong), named)

    @property
    def listed(self) -> list[str]:
        entries = self.good + (self.wrong if self.lists_invalid else [])
        return self.shown(entries)[: self.cap]

    @property
    def sent(self) -> list[Batch]:
        return [batch(people) for people in self.batches]


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    fresh = iter(numbers(sum(sizes)))
    batches = [list(itertools.islice(fresh, size)) for size in sizes]
    all_recipients = [one for people in batches for one in people]
    return Truth(
        batches,
        draw(st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=len(sizes), max_size=len(sizes))),
        set(draw(st.lists(st.sampled_from(all_recipients), max_size=4))),
        strangers=draw(st.sampled_from([0, 0, 0, 1, 2])),
        named=draw(st.sampled_from([None, None, 0, 1])),
        lists_invalid=draw(st.booleans()),
        rewritten=draw(st.booleans()),
        cap=draw(st.one_of(st.none(), st.integers(0, 12))),
    )


def believed(truth: Truth) -> Listing | None:
    """Return the list if the closer would believe it: not if unnamed invalid ones may be in it."""
    if truth.lists_invalid and unnamed(truth.message, truth.sent):
        return None
    return read_list(truth.message, truth.sent, truth.listed)


@settings(max_examples=400)
@given(truths())
def test_a_list_never_proves_what_is_not_so(truth: Truth) -> None:
    listing = believed(truth)
    assume(listing is not None)
    assert listing is not None
    texted = Counter(truth.good)
    outcomes = outcomes_by_list(truth.message, truth.sent, listing)
    for people, reported in zip(truth.batches, outcomes, strict=True):
        for one, outcome in zip(people, reported, strict=True):
            match outcome:
                case RecipientOutcome.ACCEPTED:
                    assert texted[one] == 1
                case RecipientOutcome.DOUBLED:
                    assert texted[one] > 1
                case RecipientOutcome.UNSENT:
                    assert texted[one] == 0
                case RecipientOutcome.INVALID:
                    assert texted[one] == 0


@settings(max_examples=300)
@given(truths())
@example(Truth([[number(0)], [number(1)]], [2, 0], {number(0)}))
@example(Truth([[number(0)], [number(1)]], [2, 0], {number(0)}, named=0))
def test_only_recipients_that_the_gateway_counts_as_invalid_are_invalid(truth: Truth) -> None:
    listing = believed(truth)
    assume(listing is not None)
    assert listing is not None
    outcomes = flat(outcomes_by_list(truth.message, truth.sent, listing))
    all_recipients = [one for people in truth.batches for one in people]
    invalid = {
        one
        for one, outcome in zip(all_recipients, outcomes, strict=True)
        if outcome is RecipientOutcome.INVALID
    }
    assert invalid <= set(truth.wrong)


@settings(max_examples=300)
@given(truths())
def test_a_list_is_complete_only_if_it_is_as_long_as_the_valid_count(truth: Truth) -> None:
    shown = truth.message
    ours = {one for people in truth.batches for one in people}
    named = {one for one in ours if one.replace("-", "") in _plain(shown.recipients.invalid.list)}
    if len(truth.batches) == 1 and shown.invalid == len(ours) and not shown.valid:
        named = ours
    kept = [one for one in _plain(truth.listed) if one not in _plain(named)]
    listing = read_list(shown, truth.sent, truth.listed)
    assert (listing is not None) == (len(kept) == shown.valid)
    if listing is not None:
        assert listing.times == Counter(int(one) for one in kept)
        assert listing.strangers == len([one for one in kept if one not in _plain(ours)])
        assert listing.doubled == (max(listing.times.values(), default=0) > 1)


def _plain(written: Any) -> list[str]:
    return [one.replace("-", "") for one in written]


@settings(max_examples=300)
@given(truths())
def test_outcomes_by_list_agree_with_the_naive_model(truth: Truth) -> None:
    listing = believed(truth)
    assume(listing is not None)
    assert listing is not None
    times = Counter(_plain(truth.listed))
    named = set(_plain(truth.message.recipients.invalid.list))
    outcomes = outcomes_by_list(truth.message, truth.sent, listing)
    nobody_valid = not truth.message.valid
    for people, reported in zip(truth.batches, outcomes, strict=True):
        for one, outcome in zip(_plain(people), reported, strict=True):
            if nobody_valid:
                continue
            if one in named:
                assert outcome is RecipientOutcome.INVALID
            elif times[one] == 1:
                assert outcome is RecipientOutcome.ACCEPTED
            elif times[one] > 1:
                assert outcome is RecipientOutcome.DOUBLED
            else:
                assert outcome is (
                    RecipientOutcome.UNKNOWN if truth.strangers else RecipientOutcome.UNSENT
                )


@given(
    size=st.integers(1, 4),
    more=st.lists(st.integers(1, 4), max_size=2),
    at=st.integers(0, 3),
    rewritten=st.booleans(),
)
def test_a_lost_and_a_doubled_batch_of_one_size_are_told_apart_by_the_list(
    size: int, more: list[int], at: int, rewritten: bool
) -> None:
    sizes = [size, size, *more]
    fresh = iter(numbers(sum(sizes)))
    batches = [list(itertools.islice(fresh, one)) for one in sizes]
    drained = [2, 0, *[1] * len(more)]
    truth = Truth(batches, drained, set(), rewritten=rewritten)
    listing = read_list(truth.message, truth.sent, truth.listed)
    assert listing is not None, "the count alone would pass"
    assert listing.doubled
    outcomes = outcomes_by_list(truth.message, truth.sent, listing)
    assert set(outcomes[0]) == {RecipientOutcome.DOUBLED}
    assert set(outcomes[1]) == {RecipientOutcome.UNSENT}
    assert set(flat(outcomes[2:])) <= {RecipientOutcome.ACCEPTED}


@given(strangers=st.integers(1, 3), missing=st.integers(0, 3))
def test_a_recipient_absent_from_a_list_with_strangers_is_unknown(
    strangers: int, missing: int
) -> None:
    people = numbers(6)
    listed = people[: 6 - missing] + [f"{STRANGER}{n}" for n in range(strangers)]
    final = message(len(listed))
    listing = read_list(final, [batch(people)], listed)
    assert listing is not None
    assert listing.strangers == strangers
    [outcomes] = outcomes_by_list(final, [batch(people)], listing)
    assert (
        outcomes
        == [RecipientOutcome.ACCEPTED] * (6 - missing) + [RecipientOutcome.UNKNOWN] * missing
    )


@pytest.mark.parametrize("length", [0, 1, 2, 4, 5])
def test_a_list_of_another_length_proves_nothing(length: int) -> None:
    assert read_list(message(3), [batch(numbers(5))], numbers(length)) is None


def test_named_invalid_ones_in_the_list_are_left_out_before_it_is_measured() -> None:
    people = numbers(4)
    final = message(3, 1, [people[1]])
    with_them = read_list(final, [batch(people)], [people[0], *people[2:], people[1]])
    without = read_list(final, [batch(people)], [people[0], *people[2:]])
    assert (
        with_them
        == without
        == Listing(Counter({_key(one): 1 for one in people if one != people[1]}), 0)
    )


def _key(written: str) -> int:
    return int(written.replace("-", ""))


@pytest.mark.parametrize(
    "written", ["+39340{:07}", "0039 340 {:07}", "39-340-{:07}", "39.340{:07}"]
)
def test_a_list_may_write_a_number_in_its_own_way(written: str) -> None:
    people = numbers(2)
    listed = [written.format(n) for n in range(2)]
    listing = read_list(message(2), [batch(people)], listed)
    assert listing is not None
    outcomes = flat(outcomes_by_list(message(2), [batch(people)], listing))
    # Either it is recognized, or it counts as a stranger: then no recipient is sent to again.
    assert set(outcomes) in ({RecipientOutcome.ACCEPTED}, {RecipientOutcome.UNKNOWN})


# --- entries of a list ---------------------------------------------------------------------------

THIS, OTHER = "a" * 24, "b" * 24


def entry(report_id: str | None, place: int, message_id: str | None = THIS) -> dict[str, Any]:
    return {"number": number(0), "id": report_id, "i": place, "message_id": message_id}


@pytest.mark.parametrize(
    ("entries", "distinct"),
    [
        ([], True),
        ([entry("x", 0), entry("y", 1)], True),
        ([entry("x", 0), entry("y", 1), entry("x", 0)], False),
        ([entry("x", 0), entry("x", 1)], True),
        ([entry(None, 0), entry(None, 0)], True),
        ([entry("x", 0), entry("y", 1, OTHER)], False),
        ([entry("x", 0, None)], True),
    ],
    ids=[
        "none",
        "two",
        "a repeat",
        "one id, two places",
        "no ids",
        "of another message",
        "no message",
    ],
)
def test_a_list_with_a_repeat_or_an_entry_of_another_message_is_not_whole(
    entries: list[dict[str, Any]], distinct: bool
) -> None:
    reports = msgspec.json.decode(json.dumps(entries), type=list[RecipientReport])
    assert entries_are_distinct(reports, THIS) is distinct


# --- counts -------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=4),
    bad=st.sets(st.integers(0, 15), max_size=5),
    named=st.sampled_from([None, 0, 1]),
    with_last=st.booleans(),
    last_landed=st.sampled_from([0, 1, 2]),
)
@settings(max_examples=300)
def test_counts_never_prove_what_is_not_so(
    sizes: list[int], bad: set[int], named: int | None, with_last: bool, last_landed: int
) -> None:
    fresh = iter(numbers(sum(sizes)))
    batches = [list(itertools.islice(fresh, size)) for size in sizes]
    wrong = {number(n) for n in bad}
    assume(with_last or last_landed == 1)
    assume(len(batches) > 1 or not with_last)
    early = batches[:-1] if with_last else batches
    seen = Truth(early, [1] * len(early), wrong, named=named).message
    # Counts are used only if all invalid recipients before the close were named.
    assume(not unnamed(seen, [batch(one) for one in early]))
    drained = [1] * len(early) + ([last_landed] if with_last else [])
    truth = Truth(batches, drained, wrong, named=named)
    sent = truth.sent
    outcomes = outcomes_by_counts(count(seen), truth.message, sent, sent[-1] if with_last else None)
    if outcomes is None:
        assert last_landed != 1
        return
    texted = Counter(truth.good)
    for people, reported in zip(batches, outcomes, strict=True):
        for one, outcome in zip(people, reported, strict=True):
            if outcome is RecipientOutcome.ACCEPTED:
                assert texted[one] == 1
            elif outcome is RecipientOutcome.INVALID:
                assert one in wrong
            else:
                assert outcome is RecipientOutcome.UNKNOWN
                assert with_last
                assert one in batches[-1], "those before the close were proven"


@given(before=st.integers(0, 5), brought=st.integers(1, 4), off=st.integers(-3, 3))
def test_counts_that_do_not_add_up_prove_nothing(before: int, brought: int, off: int) -> None:
    assume(off)
    early, last = batch(numbers(before)), batch(numbers(brought, before))
    final = message(max(0, before + brought + off))
    assert outcomes_by_counts(Counts(before, 0), final, [early, last], last) is None


def test_a_last_batch_that_is_all_invalid_needs_no_names() -> None:
    early, last = batch(numbers(3)), batch(numbers(2, 3))
    outcomes = outcomes_by_counts(Counts(3, 0), message(3, 2), [early, last], last)
    assert outcomes == [[RecipientOutcome.ACCEPTED] * 3, [RecipientOutcome.INVALID] * 2]


def test_a_last_batch_with_an_unnamed_invalid_one_is_unknown_and_no_other() -> None:
    early, last = batch(numbers(3)), batch(numbers(2, 3))
    outcomes = outcomes_by_counts(Counts(3, 0), message(4, 1), [early, last], last)
    assert outcomes == [[RecipientOutcome.ACCEPTED] * 3, [RecipientOutcome.UNKNOWN] * 2]


def test_a_stranger_among_the_named_does_not_hide_one_of_ours() -> None:
    people = batch(numbers(3))
    assert unnamed(message(2, 1, [STRANGER]), [people]) == 1
    assert unnamed(message(2, 1, [number(1)]), [people]) == 0
