"""A source: every item that was read is kept, as it was at the moment it was read."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import GatewayClient, Recipient
from gateway_sms_async._recipients.batches import Batch, Batcher
from gateway_sms_async._recipients.source import Items
from gateway_sms_async.testing import Simulator

from ..support.accounting import number

KINDS = st.sampled_from(
    ["text", "pair", "recipient", "twice", "bad number", "bad kind", "no field"]
)


def made(kind: str, n: int, reused: dict[str, str]) -> Any:
    reused.clear()
    reused["name"] = f"n{n}"
    return {
        "text": number(n),
        "pair": (number(n), reused),
        "recipient": Recipient(number(n), reused),
        "twice": (number(0), reused),
        "bad number": (f"nobody {n}", reused),
        "bad kind": None if n % 2 else (number(n), None),
        "no field": (number(n), {}),
    }[kind]


def reported(batcher: Batcher, batches: list[Batch]) -> list[Any]:
    return [
        batcher.total,
        batcher.duplicates,
        [(one.position, one.reason, one.number) for one in batcher.invalid],
        [
            (at, batch.numbers[i], batch.written[i], batch.fields.get(i))
            for batch in batches
            for i, at in enumerate(batch.positions)
        ],
    ]


def taken(source: Iterator[Any], size: int, placeholders: tuple[str, ...]) -> list[Any]:
    batcher = Batcher(placeholders, allow_missing_fields=False)
    items, batches = Items(source), [Batch()]
    while not batcher.fill(items, batches[-1], size):
        if len(batches[-1]) == size:
            batches.append(Batch())
    assert all(len(batch) == size for batch in batches[:-1])
    return reported(batcher, batches)


@given(st.lists(KINDS, max_size=40), st.integers(1, 12), st.sampled_from([(), ("name",)]))
def test_many_at_once_come_to_the_same_as_one_by_one(kinds, size, placeholders):
    def source() -> Iterator[Any]:
        reused: dict[str, str] = {}
        for n, kind in enumerate(kinds):
            yield made(kind, n, reused)

    batcher, batch = Batcher(placeholders, allow_missing_fields=False), Batch()
    for one in source():
        batcher.fill(Items([one]), batch, len(batch) + 2)
    assert taken(source(), size, placeholders) == reported(batcher, [batch])


@given(st.lists(KINDS, max_size=20), st.integers(1, 8), st.integers(0, 20))
def test_recipients_read_before_a_source_raises_are_counted(kinds, size, at):
    left = 0

    def source() -> Iterator[Any]:
        nonlocal left
        for n, kind in enumerate(kinds):
            if n == at:
                raise OSError
            left += 1
            yield made(kind, n, {})

    batcher, items, batch = Batcher((), allow_missing_fields=False), Items(source()), Batch()
    try:
        while not batcher.fill(items, batch, len(batch) + size):
            assert batcher.total == left
    except OSError:
        pass
    assert batcher.total == left == min(at, len(kinds))
    assert left == len(batch) + len(batcher.invalid) + batcher.duplicates


@pytest.mark.anyio
async def test_each_gets_its_own_fields_though_the_source_reuses_one_dict(
    gateway: GatewayClient, simulator: Simulator
):
    def source() -> Iterator[Any]:
        reused: dict[str, str] = {}
        for n in range(30):
            reused["name"] = f"n{n}"
            yield (number(n), reused) if n % 5 else Recipient(number(n), reused)

    await gateway.send_bulk(source(), sender="ACME", body="Ciao {{name}}", batch_size=7)
    [message_id] = [
        one.id
        for one in await gateway.messages.list()
        if (await gateway.messages.get(one.id)).valid > 1
    ]
    texts = {one.number: one.body for one in await gateway.messages.recipients(message_id)}
    assert texts == {number(n): f"Ciao n{n}" for n in range(30)}
