"""Delivery figures in words, as bars, and as a page, whatever text the gateway sends."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from gateway_sms_async._cli.figures import (
    Share,
    countries,
    facts,
    failures,
    headline,
    outcomes,
    waits,
)
from gateway_sms_async._cli.reports.html import write_page
from gateway_sms_async._cli.terminal.deliveries import bar, is_plain, print_statistics
from gateway_sms_async._delivery.statistics import DeliveryStatistics

from ...support.cli import Page
from ...support.recipients import ABSENT, UNKNOWN, added, recipient, shapes


def delivered(seconds: float, number: str = "+39-3401234567") -> Any:
    return recipient(
        number,
        state="DELIVERED",
        timestamp_sent="1700000000000",
        timestamp_delivery=str(1_700_000_000_000 + round(seconds * 1000)),
    )


def page_of(statistics: DeliveryStatistics, *messages: str) -> str:
    file = io.StringIO()
    write_page(statistics, messages, file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("count", "of", "shown"),
    [
        (0, 10, "0.0 %"),
        (1, 10_000, "<0.1 %"),
        (1, 3, "33.3 %"),
        (9_999, 10_000, ">99.9 %"),
        (10_000, 10_000, "100.0 %"),
        (0, 0, "0.0 %"),
    ],
)
def test_a_partial_share_is_never_100_percent(count: int, of: int, shown: str) -> None:
    assert Share("x", "delivered", count, of).percent == shown


def test_the_headline_has_the_most_important_figures() -> None:
    assert headline(DeliveryStatistics()) == "No recipients."
    statistics = added(delivered(1), delivered(2), recipient(state="EXPIRED"), recipient())
    assert headline(statistics) == "2 of 4 delivered (50.0 %), 1 not delivered, 1 under way."
    statistics.unlisted, statistics.invalid = 3, 1
    assert headline(statistics) == "2 of 8 delivered (25.0 %), 2 not delivered, 4 under way."
    assert sum(one.count for one in outcomes(statistics)) == 8
    assert [one.label for one in outcomes(statistics)] == [
        "delivered",
        "pending",
        "expired",
        "invalid number",
        "not listed",
    ]


def test_the_time_to_deliver_as_bars() -> None:
    statistics = added(*map(delivered, (0.5, 5, 5.1, 61, 90_000)))
    shown = {one.label: one.count for one in waits(statistics.total)}
    assert shown == {
        "within 5 s": 2,
        "5 s to 15 s": 1,
        "15 s to 30 s": 0,
        "30 s to 1 min": 0,
        "1 min to 5 min": 1,
        "5 min to 15 min": 0,
        "15 min to 1 h": 0,
        "1 h to 6 h": 0,
        "6 h to 1 d": 0,
        "over 1 d": 1,
    }


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (2.5, "2.5 s"),
        (9.04, "9 s"),
        (59.6, "1 min"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_times_in_words(seconds: float, shown: str) -> None:
    assert dict(facts(added(delivered(seconds)), ["a"]))["50 % delivered within"] == shown


def test_one_line_for_each_reason() -> None:
    undelivered, rejected = {"status": {"groupId": 2}}, {"status": {"groupId": 5}}
    statistics = added(
        recipient(report=undelivered | {"error": ABSENT}),
        recipient(report=rejected | {"error": ABSENT}),
        recipient(report=rejected | {"error": UNKNOWN}),
    )
    assert [(one.label, one.count, one.of, one.note) for one in failures(statistics)] == [
        ("Absent Subscriber", 2, 3, "yes"),
        ("Unknown", 1, 3, "no"),
    ]


def test_the_smallest_reasons_and_countries_share_one_line() -> None:
    codes = (20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 51, 52, 53, 54)
    statistics = added(
        *(
            recipient(f"+{code}-7111111111", state="EXPIRED", state_detail=f"reason {code}")
            for code in codes
        )
    )
    assert failures(statistics)[-1].label == "other reasons"
    assert sum(one.count for one in failures(statistics)) == len(codes)
    assert countries(statistics)[-1].code == "2 more"
    assert sum(one.delivered.of for one in countries(statistics)) == len(codes)


def test_bars() -> None:
    assert bar(1.0, 10, plain=True) == "#" * 10
    assert bar(0.0, 10, plain=True) == bar(0.0, 10, plain=False) == ""
    assert bar(0.00001, 10, plain=True) == "#"
    assert bar(0.00001, 10, plain=False) == "▏"
    assert bar(0.25, 10, plain=False) == "██▌"
    assert bar(1.0, 10, plain=False) == "█" * 10


def test_bars_are_ascii_if_the_terminal_cannot_draw_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    utf8 = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert not is_plain(Console(file=utf8, force_terminal=True))
    assert is_plain(Console(file=utf8, force_terminal=False))
    assert is_plain(Console(file=latin, force_terminal=True))


def test_text_from_the_gateway_is_no_command_to_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_statistics(
        added(recipient(state="EXPIRED", state_detail="\x1b[2J[bold]no[/bold]")), ["a"]
    )
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]no[/bold]" in out


def test_text_from_the_gateway_is_no_markup_of_the_page() -> None:
    words = "</table><script>alert('x')</script>&amp;\""
    text = page_of(added(recipient(state="EXPIRED", state_detail=words)), "<id>")
    assert "<script" not in text
    assert words in unescape(text)
    assert "<id>" not in text


@given(st.lists(shapes, max_size=6))
def test_any_figures_make_a_page_and_a_summary(documents: list[dict[str, Any]]) -> None:
    statistics = added(*(recipient(**one) for one in documents))
    text = page_of(statistics, "abc")
    text.encode()
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    widths = map(float, re.findall(r'width="([0-9.]+)%"', text))
    assert all(0 <= width <= 100 for width in widths)
    print_statistics(statistics, ["abc"])


@pytest.mark.parametrize("width", [50, 60, 72, 80, 100])
def test_bars_are_in_proportion_however_narrow_the_terminal(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    statistics = added(
        *[recipient(state="EXPIRED", state_detail="x " * 39)] * 30,
        *[recipient(state="REJECTED", state_detail="y " * 39)] * 70,
    )
    print_statistics(statistics, ["a"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    bars = [line.count("#") for line in lines if "#" in line]
    assert len(bars) == 4
    for shorter, longer in (sorted(bars[:2]), sorted(bars[2:])):
        assert 2 <= longer / shorter <= 2.8
