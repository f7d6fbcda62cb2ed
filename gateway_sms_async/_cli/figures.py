"""Delivery figures in words, shared by the terminal and the HTML page.

Neither numbers of recipients nor texts of messages are in them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

from .._delivery.state import DeliveryState
from .._delivery.statistics import DeliveryStatistics, DeliverySums

_MOST_FAILURES = 12

_MOST_COUNTRIES = 20

_WAITS = (5, 15, 30, 60, 5 * 60, 15 * 60, 60 * 60, 6 * 60 * 60, 24 * 60 * 60)
"""Seconds: the bounds between the bars of the time to deliver."""

_ORDER = (
    DeliveryState.DELIVERED,
    DeliveryState.AT_OPERATOR,
    DeliveryState.PENDING,
    DeliveryState.UNDELIVERED,
    DeliveryState.EXPIRED,
    DeliveryState.REJECTED,
)


@dataclass(frozen=True, slots=True)
class Share:
    """A count out of a total, shown as one line with a bar. `kind` chooses its colour."""

    label: str
    kind: str
    count: int
    of: int
    note: str = ""

    @property
    def share(self) -> float:
        """The share, from 0 to 1."""
        return self.count / self.of if self.of else 0.0

    @property
    def percent(self) -> str:
        """The share as text. Never rounds a partial share to 100 % or a non-zero one to 0 %."""
        tenths = round(1000 * self.share)
        if self.count and not tenths:
            return "<0.1 %"
        if self.count < self.of and tenths == 1000:  # noqa: PLR2004 - all of them
            return ">99.9 %"
        return f"{tenths / 10:.1f} %"


class Country(NamedTuple):
    """The figures of one calling code, or of all smaller ones together; amounts in euro.

    A text is empty if its figure is not known.
    """

    code: str
    delivered: Share
    half_within: str
    most_within: str
    price: str
    real_cost: str


def count_recipients(statistics: DeliveryStatistics) -> int:
    """Return how many recipients the messages have, including invalid and unlisted ones."""
    return statistics.total.recipients + statistics.unlisted + statistics.invalid


def headline(statistics: DeliveryStatistics) -> str:
    """Return the most important figures as one sentence."""
    total, recipients = statistics.total, count_recipients(statistics)
    if not recipients:
        return "No recipients."
    delivered = Share("delivered", "delivered", total.delivered, recipients)
    parts = [f"{delivered.count:,} of {recipients:,} delivered ({delivered.percent})"]
    if failed := total.failed + statistics.invalid:
        parts.append(f"{failed:,} not delivered")
    if undecided := total.undecided + statistics.unlisted:
        parts.append(f"{undecided:,} under way")
    return ", ".join(parts) + "."


def outcomes(statistics: DeliveryStatistics) -> list[Share]:
    """Return the recipients by state, without the states that no recipient has."""
    total, recipients = statistics.total, count_recipients(statistics)
    counts = [
        (state.value.replace("_", " "), state.name.lower(), total.states[state]) for state in _ORDER
    ]
    counts.append(("invalid number", "invalid", statistics.invalid))
    counts.append(("not listed", "unlisted", statistics.unlisted))
    return [Share(label, kind, count, recipients) for label, kind, count in counts if count]


def failures(statistics: DeliveryStatistics) -> list[Share]:
    """Return the reasons for failed deliveries, the most frequent first, as shares of all failures.

    `note` is "yes" if a retry may succeed, else "no".
    """
    all_failed = statistics.failures.total()
    reasons: Counter[tuple[str, bool]] = Counter()
    for failure, count in statistics.failures.items():
        reasons[failure.reason, failure.permanent] += count
    lines = [
        Share(reason, "undelivered", count, all_failed, "no" if permanent else "yes")
        for (reason, permanent), count in reasons.most_common(_MOST_FAILURES)
    ]
    if rest := all_failed - sum(line.count for line in lines):
        lines.append(Share("other reasons", "undelivered", rest, all_failed))
    return lines


def waits(total: DeliverySums) -> list[Share]:
    """Return the delivered recipients by the time that delivery took, the shortest first."""
    labels = [f"within {_in_words(_WAITS[0])}"]
    labels += [f"{_in_words(low)} to {_in_words(high)}" for low, high in pairwise(_WAITS)]
    labels.append(f"over {_in_words(_WAITS[-1])}")
    counts = [0] * len(labels)
    for seconds in total.waits:
        counts[sum(seconds > bound for bound in _WAITS)] += 1
    used = [at for at, count in enumerate(counts) if count]
    if not used:
        return []
    return [
        Share(labels[at], "delivered", counts[at], len(total.waits))
        for at in range(used[0], used[-1] + 1)
    ]


def countries(statistics: DeliveryStatistics) -> list[Country]:
    """Return the calling codes, the one with the most recipients first, the smallest as one."""
    by_size = statistics.by_size()
    lines = [_country(code, sums) for code, sums in by_size[:_MOST_COUNTRIES]]
    if others := by_size[_MOST_COUNTRIES:]:
        rest = DeliverySums()
        for _, sums in others:
            rest.merge(sums)
        lines.append(_country(f"{len(others)} more", rest))
    return lines


def _country(code: str, sums: DeliverySums) -> Country:
    half, most = sums.seconds(0.5, 0.9)
    return Country(
        code,
        Share(code, "delivered", sums.delivered, sums.recipients),
        _in_words(half),
        _in_words(most),
        _amount(sums.price),
        _amount(sums.real_cost),
    )


def facts(statistics: DeliveryStatistics, messages: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the single figures, each with its name."""
    total = statistics.total
    yield "messages", f"{len(messages):,}"
    yield "recipients", f"{count_recipients(statistics):,}"
    yield "SMS parts", f"{total.parts:,}"
    half, most = total.seconds(0.5, 0.9)
    if half is not None:
        yield "50 % delivered within", _in_words(half)
        yield "90 % delivered within", _in_words(most)
    if total.price is not None:
        yield "estimated cost", f"{_amount(total.price)} EUR"
    if total.real_cost is not None:
        so_far = "" if total.charged == total.recipients else f" of {total.charged:,}"
        yield f"real cost{so_far}", f"{_amount(total.real_cost)} EUR"
    if statistics.failures:
        yield "worth a retry", f"{statistics.can_be_tried_again:,}"


def _in_words(seconds: float | None) -> str:
    """Return a duration as in "1 h 5 min", or an empty text for None."""
    if seconds is None:
        return ""
    if seconds < 10:  # noqa: PLR2004 - so short that tenths matter
        return f"{seconds:.1f} s".replace(".0 ", " ")
    whole = round(seconds)
    for name, unit, smaller, per in (
        ("d", 86400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= unit:
            rest = whole % unit // per
            return f"{whole // unit} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def _amount(euro: Decimal | None) -> str:
    return "" if euro is None else f"{euro:,.2f}"
