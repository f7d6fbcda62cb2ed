"""Cells of written tables: they read back as they were, and none is a formula."""

import csv
import io
import re

import pytest
from hypothesis import example, given, strategies as st

from gateway_sms_async._cli.cells import RowWriter, guard, guard_number, unguard

SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
# Pieces that meet in hostile texts more often than by chance.
TEXTS = st.text() | st.lists(
    st.sampled_from([*SIGNS, *";,\t\r\n \0\v\x85\u2028\ufeff'\"_x", "000D", "_x000D_", "1", "a"]),
    max_size=8,
).map("".join)


def written(*rows: list[str], delimiter: str = ",") -> str:
    file = io.StringIO(newline="")
    writer = RowWriter(file, delimiter)
    for row in rows:
        writer.write(row)
    return file.getvalue()


def cells_in_a_spreadsheet(text: str, delimiter: str) -> list[str]:
    """Return the cells of a file in a spreadsheet whose delimiter may be another."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [cell for row in reader for cell in row]


def is_formula(cell: str) -> bool:
    """Whether a cell is computed: a text in quotes behind the sign is the text itself."""
    bare = cell.lstrip("\"' \t\r\n\v\f\x85\xa0\ufeff\u2028\0")
    return bare.startswith(SIGNS) and not re.fullmatch(r'="(?:[^"]|"")*"', cell)


@given(TEXTS)
@example("_x000D;=")
@example('="a"')
@example("Eve\r+44-7700900000")
@example(";'=1+1")
def test_a_guarded_text_is_read_as_it_was(text: str) -> None:
    assert unguard(guard(text)) == text


@given(TEXTS)
@example("none;=1+2")
@example(";\u2028=1")
@example('x;"=1+1;')
@example("Eve\n=1+1")
def test_no_guarded_text_is_a_formula_whatever_ends_a_cell(text: str) -> None:
    file = written(["number", "name", "town"], ["39", guard(text), "Rome"])
    assert "\r" not in file
    for delimiter in ",;\t":
        if delimiter != ",":
            # Quotes inside a cell of another delimiter mean nothing there.
            cells = [one for row in file.split("\n") for one in row.split(delimiter)]
            assert not any(map(is_formula, cells)), delimiter
        assert not any(map(is_formula, cells_in_a_spreadsheet(file, delimiter))), delimiter


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=3)),
    st.sampled_from(",;\t|"),
)
def test_rows_are_read_as_they_were_written(rows: list[list[str]], delimiter: str) -> None:
    file = io.StringIO(written(*rows, delimiter=delimiter), newline="")
    assert list(csv.reader(file, delimiter=delimiter, strict=True)) == rows


def test_other_cells_are_written_as_they_are() -> None:
    assert written([None, 5, "a;b", "Rossi, Anna"]) == ',5,a;b,"Rossi, Anna"\n'
    for text in ("", "Anna", "a=b", "a-b", "10 - 5; 3", "due;tre", "_x000D_", "two\nlines"):
        assert guard(text) == text


@pytest.mark.parametrize(
    ("number", "cell"),
    [
        ("+39-3401234567", "+39 3401234567"),
        ("+39 340 1234567", "+39 340 1234567"),
        ("(0039) 340/12", "(0039) 340/12"),
        ("+39-340-12", "+39-340-12"),
        ("-3401234528", "-3401234528"),
        ("=1+1", '="=1+1"'),
        ("+39;=1", '="+39_x003B_=1"'),
        ("+39\r=1", '="+39_x000D_=1"'),
        ("+cmd|' /C calc'!A0", "=\"+cmd|' /C calc'!A0\""),
    ],
)
def test_a_number_stays_readable_for_programs(number: str, cell: str) -> None:
    assert guard_number(number) == cell


def test_a_long_hostile_text_takes_no_longer() -> None:
    # With a pattern that looks twice at the same characters, this would take hours.
    for piece in (";", "; ", "\n", " ", '"', "_x"):
        text = piece * 300_000
        assert unguard(guard(text)) == text
