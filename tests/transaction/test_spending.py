"""The arithmetic of `max_cost` and `max_recipients`: each message counts once, at what is known now."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway_sms_async import LimitReachedError
from gateway_sms_async._transaction.spending import SpendingLimit

PRICE = Decimal("0.03")


def limit(max_cost: str | None = None, max_recipients: int | None = None) -> SpendingLimit:
    return SpendingLimit(
        max_cost=None if max_cost is None else Decimal(max_cost), max_recipients=max_recipients
    )


# --- recipients without a price -----------------------------------------------------------------


def test_recipients_without_a_price_count_as_soon_as_one_is_known() -> None:
    spending = limit("0.70")
    spending.ended(0, 20, None)
    assert spending.price_missing
    spending.learn(PRICE * 10, 10)
    assert spending.room({}, 0) == 3
    assert spending.is_near(4, {}, 0)
    assert not spending.is_near(3, {}, 0)
    with pytest.raises(LimitReachedError, match=r"1\.20 EUR"):
        spending.reserve(1, 20, PRICE * 20, 0, 0)


def test_recipients_without_a_price_count_at_the_highest_one_so_far() -> None:
    spending = limit("3.00")
    spending.ended(0, 10, None)
    spending.ended(1, 10, PRICE * 10)
    assert spending.room({}, 0) == 80
    spending.ended(2, 10, 2 * PRICE * 10)
    assert spending.room({}, 0) == 25, "0.30 and 0.60 were paid, and 0.60 may have been"


def test_recipients_without_a_price_are_in_the_error() -> None:
    spending = limit("0.60")
    spending.ended(0, 20, None)
    spending.learn(PRICE, 1)
    assert "0.63 EUR" in str(spending.no_room(0))


def test_a_price_that_is_named_later_replaces_the_estimate() -> None:
    spending = limit("3.00")
    spending.ended(0, 50, None)
    spending.ended(0, 10, PRICE * 10)
    assert spending.room({}, 0) == 90


def test_what_was_reserved_stays_when_no_price_is_named() -> None:
    spending = limit("3.00")
    spending.reserve(0, 10, PRICE * 10, 10, 0)
    spending.ended(0, 20, None)
    assert spending.room({}, 0) == 80
    assert spending.cost(0) == PRICE * 20


# --- a message of an earlier run, reserved once more ----------------------------------------------


@pytest.mark.parametrize("cost", [None, PRICE * 20], ids=str)
def test_a_message_that_is_reserved_once_more_counts_once(cost: Decimal | None) -> None:
    spending = limit("0.60", 20)
    spending.ended(0, 20, cost)
    spending.reserve(0, 10, PRICE * 10, 10, 0)
    assert spending.cost(0) == PRICE * 20
    assert spending.room({}, 0) == 0
    spending.ended(0, 20, PRICE * 20)
    assert spending.room({}, 0) == 0


@pytest.mark.parametrize("cost", [None, PRICE * 20], ids=str)
@pytest.mark.parametrize("lower", [{"max_cost": "0.59"}, {"max_recipients": 19}], ids=str)
def test_a_message_that_does_not_fit_below_a_lower_limit_is_not_reserved(
    lower: dict[str, str | int], cost: Decimal | None
) -> None:
    spending = limit(**lower)  # type: ignore[arg-type]
    spending.ended(0, 20, cost)
    with pytest.raises(LimitReachedError):
        spending.reserve(0, 10, PRICE * 10, 10, 0)
    assert spending.room({}, 0) == 0, "it still may have been sent"


def test_a_message_without_a_price_cannot_be_reserved() -> None:
    spending = limit("0.60")
    with pytest.raises(LimitReachedError, match="price"):
        spending.reserve(0, 0, Decimal(), 10, 0)
