"""Cells that say nothing, and where they are."""

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async._cli.lists.empty_cells import EmptyCells, FirstLines, says_nothing


@pytest.mark.parametrize(
    "cell",
    [
        "", " ", "\t", "\u00a0", "\u200b", " \u2060\ufeff ", "NaN", "nan", "NULL", " null ", "None",
        "#N/A", "#N/D", "#N/V", "#NV", "#REF!", "#RIF!", "#VALUE!", "#VALORE!", "#BEZUG!", "#NAME?",
        "#DIV/0!", "n/a", "N/D", "<NA>", "(null)", "undefined", "-", "--", "\\N",
    ],
)  # fmt: skip
def test_nothing(cell: str) -> None:
    assert says_nothing(cell)


@pytest.mark.parametrize(
    "cell",
    ["Anna", "Nan-Chen", "Nullo", "Nonna", "0", "#1", "#team", "No", "é", "李", "\U0001f600", "x" * 99],
)  # fmt: skip
def test_something(cell: str) -> None:
    assert not says_nothing(cell)


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=5).filter(lambda one: one != "undefined")
)
def test_words_say_something(cell: str) -> None:
    assert not says_nothing(cell)


def test_rows_are_counted_and_the_first_lines_kept() -> None:
    rows = FirstLines()
    for line in range(2, 30):
        rows.add(line)
    assert (rows.count, rows.lines) == (28, list(range(2, 12)))
    empty = EmptyCells()
    for line, cell in enumerate(("", "NaN", " NaN", " ")):
        empty.add(line, cell)
    assert (empty.rows.count, empty.words) == (4, {"NaN": 2})
