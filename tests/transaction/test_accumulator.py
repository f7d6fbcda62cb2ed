"""From recipients to batches, without a socket: each comes out once, in order, the last kept back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from gateway_sms_async._recipients.batches import Batch, Batcher
from gateway_sms_async._recipients.source import Items
from gateway_sms_async._transaction.accumulator import Accumulator
from gateway_sms_async._transaction.message import BatchState, OutgoingMessage
from gateway_sms_async._transaction.tuning import Tuning

from ..support.accounting import numbers


class World:
    """An accumulator, and a builder of which only the decisions are left."""

    def __init__(
        self,
        recipients: Iterable[Any] = (),
        *,
        batch_size: int = 10,
        per_message: int = 1_000,
        replaceable: bool = True,
        **modes: Any,
    ) -> None:
        self.message = OutgoingMessage()
        self.tuning = Tuning(batch_size, per_message, **modes)
        self.batcher = Batcher((), allow_missing_fields=True)
        self.accumulator = Accumulator(
            self.message, self.batcher, self.tuning, replaceable=replaceable
        )
        self.items = Items(recipients)
        self.replaceable = replaceable
        self.at_end = False

    def take_some(self) -> None:
        """Do one step of `MessageBuilder.feed`."""
        accumulator = self.accumulator
        held, size = len(accumulator.buffer), accumulator.size
        if held < size:
            left = min(size, held + accumulator.room) if self.replaceable else size
            self.at_end = accumulator.take(self.items, accumulator.buffer, left)
        else:
            self.at_end = accumulator.follow(self.items)

    def feed(self) -> None:
        while not self.at_end and not (self.replaceable and not self.accumulator.room):
            self.take_some()

    def launch(self, state: BatchState = BatchState.ACKNOWLEDGED) -> Batch:
        """Send the first batch that is ready; release it if it is not applied."""
        assigned = self.message.assign(self.accumulator.ready.popleft())
        assigned.state = state
        if state is BatchState.PENDING:
            self.accumulator.set_aside.append(self.message.release(assigned))
        return assigned.batch

    def launch_all(self) -> None:
        while self.accumulator.ready:
            self.launch()

    @property
    def assigned(self) -> list[str]:
        return [one for batch in self.message.batches for one in batch.numbers]

    @property
    def unplaced(self) -> list[str]:
        return [one for batch in self.accumulator.unplaced() for one in batch.numbers]


def batch_of(some: list[str]) -> Batch:
    made = Batch()
    made.numbers = some
    made.written = some
    made.positions = range(len(some))
    return made


def with_fields(some: list[str]) -> list[tuple[str, dict[str, str]]]:
    return [(one, {"name": "Anna"}) for one in some]


@settings(deadline=None)
@given(
    count=st.integers(0, 120),
    batch_size=st.integers(1, 25),
    replaceable=st.booleans(),
    fields=st.booleans(),
    launches=st.lists(st.booleans(), max_size=20),
)
def test_every_recipient_comes_out_once_and_in_order(
    count: int, batch_size: int, replaceable: bool, fields: bool, launches: list[bool]
) -> None:
    source = numbers(count)
    world = World(
        with_fields(source) if fields else source, batch_size=batch_size, replaceable=replaceable
    )
    leaves = cycle(launches or [False])
    while not world.at_end:
        world.take_some()
        if world.accumulator.ready and next(leaves):
            world.launch()
        assert world.accumulator.taken == len(world.assigned) + len(world.unplaced)
    assert world.accumulator.taken == count
    if count:
        # The last batch is kept back, however the others have left.
        assert len(world.accumulator.buffer) >= 1
    world.launch_all()
    world.accumulator.keep_for_close()
    world.launch_all()
    assert world.assigned + world.accumulator.buffer.numbers == source
    sizes = [len(batch) for batch in world.message.batches]
    assert all(1 <= size <= batch_size for size in sizes)
    assert len(world.accumulator.buffer) <= batch_size
    # The close brings one at least, unless the message is only one recipient.
    assert bool(world.accumulator.buffer) == (count > 1)


@settings(deadline=None)
@given(count=st.integers(0, 80), batch_size=st.integers(1, 25), per_message=st.integers(1, 60))
def test_no_more_are_taken_than_the_message_may_hold(
    count: int, batch_size: int, per_message: int
) -> None:
    world = World(numbers(count), batch_size=batch_size, per_message=per_message)
    while not world.at_end and world.accumulator.room:
        world.take_some()
        world.launch_all()
    assert world.accumulator.taken == min(count, per_message)


@settings(deadline=None)
@given(
    count=st.integers(1, 120),
    batch_size=st.integers(1, 25),
    ends=st.lists(st.none() | st.sampled_from(BatchState), max_size=40),
)
def test_nothing_is_lost_when_batches_fail(
    count: int, batch_size: int, ends: list[BatchState | None]
) -> None:
    source = numbers(count)
    world = World(source, batch_size=batch_size)
    for end in ends:
        if end is None:
            if not world.at_end and world.accumulator.room:
                world.take_some()
        elif world.accumulator.ready and not world.accumulator.sealed:
            world.launch(end)
    held = len(world.unplaced)
    world.accumulator.set_ready_aside()
    assert len(world.unplaced) == held
    assert sorted(world.assigned + world.unplaced) == source[: world.accumulator.taken]
    if world.message.in_doubt:
        assert not world.accumulator.ready


@settings(deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    batch_size=st.integers(1, 25),
    careful=st.booleans(),
)
def test_offered_batches_are_cut_to_size(sizes: list[int], batch_size: int, careful: bool) -> None:
    world = World(batch_size=batch_size, careful=careful)
    source = numbers(sum(sizes))
    start = 0
    for size in sizes:
        world.accumulator.offer(batch_of(source[start : start + size]))
        start += size
        if not careful:
            world.launch_all()
    assert world.accumulator.taken == len(source)
    world.accumulator.keep_for_close()
    ready = [*world.message.batches, *world.accumulator.ready]
    assert all(1 <= len(one) <= batch_size for one in ready)
    listed = [one for batch in ready for one in batch.numbers]
    assert listed + world.accumulator.buffer.numbers == source


def test_a_full_buffer_is_ready_only_when_another_recipient_follows() -> None:
    world = World(numbers(10), batch_size=10)
    world.take_some()
    assert len(world.accumulator.buffer) == 10
    world.take_some()
    assert (world.at_end, list(world.accumulator.ready)) == (True, [])
    assert world.accumulator.buffer.numbers == numbers(10)


def test_a_repeated_or_invalid_recipient_does_not_follow() -> None:
    world = World([*numbers(10), numbers(1)[0], "12", *numbers(1, 10)], batch_size=10)
    for _ in range(3):
        world.take_some()
        assert not world.accumulator.ready
    assert (world.batcher.duplicates, len(world.batcher.invalid)) == (1, 1)
    world.take_some()
    assert [one.numbers for one in world.accumulator.ready] == [numbers(10)]
    assert world.accumulator.buffer.numbers == numbers(1, 10)


def test_a_recipient_that_has_left_a_source_that_raises_is_not_lost() -> None:
    def source() -> Iterable[str]:
        yield from numbers(10)
        raise BrokenPipeError

    world = World(source(), batch_size=10)
    with pytest.raises(BrokenPipeError):
        world.feed()
    assert world.unplaced == numbers(10)


def test_batches_of_one_message_differ_in_size() -> None:
    world = World(numbers(300), batch_size=50)
    while not world.at_end:
        world.take_some()
        world.launch_all()
    assert [len(one) for one in world.message.batches] == [50, 49, 48, 47, 46, 45]
    assert len(world.accumulator.buffer) == 15


@pytest.mark.parametrize(("sent", "left", "kept"), [(0, 1, 0), (0, 2, 1), (0, 9, 1), (11, 5, 5)])
def test_what_the_close_brings(sent: int, left: int, kept: int) -> None:
    world = World(numbers(left, sent), batch_size=10)
    if sent:
        world.message.assign(batch_of(numbers(sent)))
    world.feed()
    world.accumulator.keep_for_close()
    assert len(world.accumulator.buffer) == kept
    assert sum(map(len, world.accumulator.ready)) == left - kept


@pytest.mark.parametrize(("understood", "kept"), [(True, 5), (False, 1), (None, 1)])
def test_a_close_brings_objects_only_once_they_are_understood(
    understood: bool | None, kept: int
) -> None:
    world = World(with_fields(numbers(5, 5)), batch_size=10)
    world.message.assign(batch_of(numbers(5)))
    world.feed()
    assert world.accumulator.brings_objects
    world.tuning.objects_understood = understood
    world.accumulator.keep_for_close()
    assert len(world.accumulator.buffer) == kept
    most = 1 if understood is False else 10
    assert all(len(one) <= most for one in world.accumulator.ready)


def test_a_close_that_must_be_empty_brings_none() -> None:
    world = World(numbers(5), batch_size=10, close_empty=True)
    world.feed()
    world.accumulator.keep_for_close()
    assert (len(world.accumulator.buffer), world.unplaced) == (0, numbers(5))


@pytest.mark.parametrize("replaceable", [True, False])
def test_after_a_lost_answer_only_a_replaceable_message_is_sealed(replaceable: bool) -> None:
    world = World(numbers(40), batch_size=10, replaceable=replaceable)
    while not world.accumulator.ready:
        world.take_some()
    world.launch(BatchState.IN_DOUBT)
    assert world.accumulator.sealed == world.accumulator.closes_next == replaceable
    held = len(world.accumulator.buffer)
    if replaceable:
        assert world.accumulator.room == world.accumulator.size - held
    else:
        assert world.accumulator.room > 10


def test_a_careful_message_is_one_batch_and_one_close() -> None:
    world = World(numbers(100), batch_size=10, careful=True)
    world.feed()
    [first] = world.accumulator.ready
    assert len(first) == 10
    assert not world.accumulator.sealed
    assert world.accumulator.closes_next
    world.launch()
    assert world.accumulator.sealed
    assert world.accumulator.room == 0
    world.accumulator.offer(batch_of(numbers(2, 200)))
    assert not world.accumulator.ready
    assert world.accumulator.buffer.numbers[-2:] == numbers(2, 200)


def test_a_batch_of_the_close_is_placed() -> None:
    world = World(numbers(5), batch_size=10)
    world.feed()
    assert world.unplaced == numbers(5)
    world.message.assign(world.accumulator.buffer)
    assert world.unplaced == []


def test_ready_batches_of_a_sealed_message_are_set_aside() -> None:
    world = World(numbers(60), batch_size=10)
    while len(world.accumulator.ready) < 3:
        world.take_some()
    world.accumulator.set_ready_aside()
    assert not world.accumulator.set_aside
    world.launch(BatchState.IN_DOUBT)
    waiting = list(world.accumulator.ready)
    world.accumulator.set_ready_aside()
    assert world.accumulator.set_aside == waiting
    assert not world.accumulator.ready
    assert world.accumulator.unplaced() == [*waiting, world.accumulator.buffer]
