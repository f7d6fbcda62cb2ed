"""The duplicate check: exact, in the `set` and in the buckets."""

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import GatewayClient
from gateway_sms_async._recipients import number_set as seen
from gateway_sms_async._recipients.number_set import NumberSet
from gateway_sms_async.testing import Simulator

from ..support.accounting import check, numbers

HIGHEST = 10**15 - 1


def spread_back(spread: int) -> int:
    """Return the key whose permuted bits are these."""
    return spread * pow(seen._SPREAD, -1, 1 << seen._BITS) & seen._MASK


# Keys of one bucket with similar entries: a match may straddle two of them.
ALIKE = st.builds(
    lambda rest: spread_back(7 << seen._REST_BITS | int.from_bytes(bytes(rest), "little")),
    st.lists(st.sampled_from([0, 1, 255]), min_size=4, max_size=4),
)
KEYS = st.lists(st.one_of(st.integers(0, HIGHEST), st.integers(0, 20), ALIKE), max_size=60)


@given(KEYS, st.sampled_from([0, 3, 1_000]))
def test_it_agrees_with_a_set(keys, in_set):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seen, "_IN_SET", in_set)
        ours, naive = NumberSet(), set()
        for key in keys:
            assert ours.add(key) == (key not in naive)
            naive.add(key)
        assert len(ours._first) <= in_set
        assert not any(map(ours.add, keys))


def test_every_number_of_fifteen_digits_has_room():
    assert HIGHEST <= seen._MASK
    assert seen._SPREAD % 2, "only an odd number makes a permutation"


@pytest.mark.anyio
async def test_no_number_is_doubled_or_lost_beyond_the_set(
    gateway: GatewayClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(seen, "_IN_SET", 700)
    recipients = numbers(5_000)
    receipt = await gateway.send_bulk(
        [*recipients, *recipients[::7], *recipients[-3:]],
        sender="ACME",
        body="Ciao",
        exclude=recipients[:100:9],
    )
    check(receipt, simulator, set(recipients) - set(recipients[:100:9]))
    assert receipt.excluded == len(recipients[:100:9]) + len(
        set(recipients[:100:9]) & set(recipients[::7])
    )
    assert receipt.total == 5_000 + 715 + 3
