"""Rows of cells: read as they are meant, or refused with their line; never in the wrong columns."""

import io
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, strategies as st

from gateway_sms_async._cli.cells import RowWriter
from gateway_sms_async._cli.lists.cells import BrokenRowError, read_rows
from gateway_sms_async._cli.lists.number_shapes import holds_number

BLANKS = ["", " ", "  ", "\t", "\u00a0", " \u00a0", "\u2003", "\u200b", "\ufeff"]


def read(text: str, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    return list(read_rows(io.StringIO(text, newline="\n"), delimiter))


def cells_of(text: str, delimiter: str = ",") -> list[str]:
    [(_, cells)] = read(text, delimiter)
    return cells


def written(table: Sequence[Sequence[str]], delimiter: str) -> str:
    file = io.StringIO()
    writer = RowWriter(file, delimiter)
    for cells in table:
        writer.write(cells)
    return file.getvalue()


@given(
    st.lists(
        st.lists(
            st.text(st.sampled_from(' ,;\t|"\nab\u00a0') | st.characters(exclude_characters="\0\r")),
            min_size=1,
        ),
        min_size=1,
    ),
    st.sampled_from(",;\t| "),
)  # fmt: skip
def test_a_program_s_csv_is_read_as_it_is(table: list[list[str]], delimiter: str) -> None:
    # Quotes around a text that is itself in typographic quotes may look split: see below.
    table = [[cell.translate(dict.fromkeys(map(ord, "“”„«»"))) for cell in row] for row in table]
    # So may a number in a cell of several lines.
    cells = [cell for row in table for cell in row]
    assume(not any("\n" in cell and holds_number(cell) for cell in cells))
    assert [cells for _, cells in read(written(table, delimiter), delimiter)] == table


@given(
    st.lists(st.text(st.sampled_from("ab ,;|")), min_size=2, max_size=4),
    st.sampled_from(",;|"),
    st.sampled_from(BLANKS),
    st.sampled_from(BLANKS),
)
def test_quotes_after_a_blank_are_read_as_meant_or_refused(
    cells: list[str], delimiter: str, before: str, after: str
) -> None:
    typed = f"{after}{delimiter}{before}".join(f'"{cell}"' for cell in cells)
    try:
        read_cells = cells_of(typed, delimiter)
    except BrokenRowError as error:
        assert error.line == 1
        assert set(before + after) - {" "} or after
    else:
        assert read_cells == cells


@pytest.mark.parametrize(
    "row",
    [
        '1,\t"Rossi, Anna",Roma,',
        '1,\u00a0"Rossi, Anna",Roma,',
        '1, \u00a0"Rossi",Roma,',
        '1,"a", \t"Rossi, Anna"',
        '1,"",\t"",Roma',
        '1,\t",Anna",Roma',
        "1,“Rossi, Anna”,Roma,",
        "1,„Rossi, Anna“,Roma,",
        "1,« Rossi, Anna »,Roma,",
        "1,»Rossi, Anna«,Roma,",
        '1,Rossi "il Rosso, detto Anna",Roma,',
        "1,Rossi (“il Rosso, detto Anna”),Roma,",
        "1,“a, b, c, d”,Roma",
    ],
)
def test_a_text_in_two_cells_is_refused(row: str) -> None:
    with pytest.raises(BrokenRowError, match=r"^\(a quote inside a cell") as caught:
        read(f'number,name,city,note\n2,"a\nb",c,d\n{row}\n')
    assert caught.value.line == 4
    assert "Rossi" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ('1, "Rossi, Anna", Roma', ["1", "Rossi, Anna", "Roma"]),
        ('  "1",  "Rossi, Anna"', ["1", "Rossi, Anna"]),
        ('1," Anna "," ""b"""', ["1", " Anna ", ' "b"']),
        ('6",8",9" x 7"', ['6"', '8"', '9" x 7"']),
        ('5 ",8 "', ['5 "', '8 "']),
        ("1,“Anna”,“Bea”", ["1", "“Anna”", "“Bea”"]),
        ('1,Anna "Nina" Rossi,"La ""Rossa"", detta"', ["1", 'Anna "Nina" Rossi', 'La "Rossa", detta']),
        ('1,"he said,\t""hello"""', ["1", 'he said,\t"hello"']),
        ("'s-Hertogenbosch,'t Zand", ["'s-Hertogenbosch", "'t Zand"]),
        (" , ,", ["", "", ""]),
    ],
)  # fmt: skip
def test_other_quotes_and_blanks_are_no_mistake(row: str, cells: list[str]) -> None:
    assert cells_of(row) == cells


def test_spaces_count_if_they_are_the_delimiter() -> None:
    assert cells_of('1  "Rossi Anna"', " ") == ["1", "", "Rossi Anna"]
    assert cells_of('1\t\t"Rossi\tAnna"', "\t") == ["1", "", "Rossi\tAnna"]


def test_the_line_of_a_row_that_is_not_csv() -> None:
    with pytest.raises(BrokenRowError) as caught:
        read('a,b\n"x\ny",1\n"Rossi" ,2\n')
    assert caught.value.line == 4
    assert str(caught.value) == "(',' expected after '\"'); look for a stray quote"


@pytest.mark.parametrize(
    "rows",
    [
        '1,"Anna\n+393407654321,Bob"\n',
        '1,Anna,"vuole il 5\n+393407654321,Bob,TV 32"\n',
        '1,Anna,"x\n\n Bob,0039 340/7654321,TV 32"\n',
        '1,"Anna\n""+393407654321"",Bob"\n',
        '1,"Anna\ntel:+393407654321,Bob"\n',
        '1,"Anna\n2026-01-31,340 7654321"\n',
        # The number of the row that the cell begins in, after the name: the next row's is read.
        'Anna,"vuole il 5,+393401234567\nBob,TV 32",+393407654321\n',
    ],
)
def test_a_cell_that_may_hold_other_rows_is_refused(rows: str) -> None:
    for delimiter in ",;\t|":
        with pytest.raises(
            BrokenRowError, match=r"^\(a cell over several lines holds a nu"
        ) as caught:
            read(f'a,"b\nc",d\n{rows}9,x,y\n'.replace(",", delimiter), delimiter)
        assert caught.value.line == 3
        assert "look for a stray quote" in str(caught.value)
        assert "Anna" not in str(caught.value)
        assert "340" not in str(caught.value)


@pytest.mark.parametrize(
    "cell",
    [
        "Via Roma 1\n00184 Roma",
        "+393407654321\n",
        "+393407654321\nAnna",
        "+39 340\n7654321",
        "+393407654321\n0039 340 1234567",
        "richiamare\n31/12/2026\n2026-01-31 10:30:00, ore 12",
        "tel. 340 7654321\ntel. 340 7654321",
        "a\n12,345",
    ],
)
def test_a_cell_may_have_several_lines(cell: str) -> None:
    assert cells_of(written([["1", cell]], ",")) == ["1", cell]
