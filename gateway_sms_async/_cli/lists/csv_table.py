"""CSV, read and written back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import IO, NamedTuple, TypeVar

from ..cells import RowWriter, guard, unguard
from .cells import BrokenRowError, read_rows
from .columns import (
    NumberColumns,
    Single,
    choose_one,
    field_places,
    name_additions,
    show_names,
)
from .formats import REPORT_COLUMNS, Exclusion, Record, flatten
from .number_shapes import find_possible, holds_number, is_international, looks_like_number
from .text_file import ListError, TextFile

_Found = TypeVar("_Found")

_SIGNS = frozenset("='")

_ODD_STARTS = frozenset("=\t\u00a0\u2007\u202f\u3000\ufeff")


class Header(NamedTuple):
    """The header of a CSV file, which begins on `line`.

    `excel` is the `sep=` line before it, which names the delimiter; empty if there is none.
    """

    columns: list[str]
    delimiter: str
    excel: str
    line: int


class CSVTable:
    """CSV. A short row lacks its last values; a row of spaces only is skipped."""

    def __init__(self, text: TextFile, header: Header, columns: NumberColumns) -> None:
        self.number_names: list[str] = []
        self._text = text
        self._header = header
        self._names = [unguard(name.strip()) for name in header.columns]
        self._columns = columns
        self._is_checked = False

    def _find_numbers(self, find: Callable[[Sequence[str], str], _Found]) -> _Found:
        """Return the places of the numbers, or raise ListError on the header's line."""
        try:
            return find(self._names, "column")
        except ValueError as error:
            if any(map(looks_like_number, self._names)):
                problem = "this line holds numbers, not names of columns"
                raise self._error(f"{problem}; put a line such as number,name above it") from None
            raise self._error(str(error)) from None

    def _error(self, problem: str) -> ListError:
        return self._text.error(problem, self._header.line)

    def names(self) -> Sequence[str]:
        return self._names

    def check_fields(self, fields: Sequence[str]) -> None:
        self._find_numbers(self._columns.find_single)
        for name in fields:
            if not field_places(self._names, name):
                raise self._error(
                    f"no column is named {name!r}, which the text uses "
                    f"(there are {show_names(self._names)})"
                )

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        places = self._find_numbers(self._columns.find_single)
        number_at = places.place
        self.number_names = [self._names[number_at]]
        found = ((name, self._find(name)) for name in fields)
        wanted = [(name, at) for name, at in found if at is not None]
        # The file is a copy that cannot change, so one whole pass is enough.
        for line, cells in self._read() if self._is_checked else self._read_checked(places):
            number = cells[number_at] if number_at < len(cells) else ""
            # Fast path: a call for each row takes long.
            if number[:1] in _SIGNS:
                number = _without_signs(number)
            if not fields:
                yield line, number, None
                continue
            held = {name: cells[at] for name, at in wanted if at < len(cells)}
            for name, value in held.items():
                if value and value[0] in _ODD_STARTS:
                    held[name] = unguard(value.lstrip())
            yield line, number, held

    def _read_checked(self, places: Single) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows. Raises ListError for one that has a second number in another column."""
        number_at, likely, rest = places
        for line, cells in self._read():
            for at in likely:
                if holds_number(_number_at(cells, at)):
                    raise self._ambiguous(number_at, at, line)
            for at in rest:
                cell = cells[at] if at < len(cells) else ""
                # Fast path: most cells begin with a letter, but not as tel:, or with a digit but 0.
                if cell[3:4] != ":" and (
                    "A" <= cell < "\x7f" or "1" <= cell < ":" or cell[:1].isalpha()
                ):
                    continue
                if is_international(cell):
                    raise self._ambiguous(number_at, at, line)
            yield line, cells
        self._is_checked = True

    def _ambiguous(self, number_at: int, other_at: int, line: int) -> ListError:
        names = (self._names[number_at], self._names[other_at])
        return self._text.error(choose_one("column", names), line)

    def _find(self, name: str) -> int | None:
        places = field_places(self._names, name)
        if len(places) > 1:
            raise self._error(f"more than one column is named {name!r}; keep one")
        return places[0] if places else None

    def exclusions(self) -> Iterator[Exclusion]:
        certain, likely, doubtful, rest = self._find_numbers(self._columns.find_several)
        self.number_names = [self._names[at] for at in certain]
        is_report = set(REPORT_COLUMNS) <= set(self._names)
        outcome_at = self._names.index(REPORT_COLUMNS[0]) if is_report else len(self._names)
        others = () if is_report else (*doubtful, *rest)
        for line, cells in self._read():
            numbers = [_number_at(cells, at) for at in certain]
            for at in likely:
                if holds_number(number := _number_at(cells, at)):
                    numbers.append(number)
                    if self._names[at] not in self.number_names:
                        self.number_names.append(self._names[at])
            possible = [
                (self._names[at] or f"column {at + 1}", one)
                for at in others
                if at < len(cells) and not cells[at].isalpha()
                for one in find_possible(_number_at(cells, at), named=at in doubtful)
            ]
            outcome = cells[outcome_at] if outcome_at < len(cells) else ""
            yield Exclusion(line, numbers, outcome, possible)

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows: the line that each begins on, and no more cells than columns."""
        width = len(self._names)
        header_line = self._header.line
        try:
            for line, cells in read_rows(self._text.lines(), self._header.delimiter):
                # Fast path: a first cell from "!" on, the character after the space, is not blank.
                if line > header_line and cells and (cells[0] >= "!" or _any(cells)):
                    if len(cells) > width:
                        if any(cells[width:]):
                            raise self._text.error(
                                "more cells than columns; put quotes around such text", line
                            )
                        del cells[width:]
                    yield line, cells
        except BrokenRowError as error:
            raise self._text.error(f"broken row {error}", error.line) from None

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        columns, names = self._header.columns.copy(), self._names.copy()
        number_at = self._find_numbers(self._columns.find_single).place
        additions = name_additions(fields, names[number_at])
        for name in additions:
            if name not in names:
                columns.append(name)
                names.append(name)
        line_at, reason_at = map(names.index, additions)
        writer = self._begin(file, columns)
        for (line, cells), reason in zip(self._read(), reasons, strict=False):
            if reason is not None:
                cells.extend([""] * (len(columns) - len(cells)))
                cells[line_at], cells[reason_at] = str(line), guard(flatten(reason))
                writer.write(cells)

    def divide(self, parts: Iterable[int], files: Sequence[IO[str]]) -> None:
        writers = [self._begin(file, self._header.columns) for file in files]
        for (_, cells), part in zip(self._read(), parts, strict=False):
            writers[part].write(cells)

    def _begin(self, file: IO[str], columns: Sequence[str]) -> RowWriter:
        """Write the header, and return the writer of the rows."""
        # Excel reads a file as UTF-8 only with a byte order mark, so keep it if there was one.
        marked = self._text.marked or self._text.needs_mark
        file.write(("\ufeff" if marked else "") + self._header.excel)
        writer = RowWriter(file, self._header.delimiter)
        writer.write(columns)
        return writer


def _number_at(cells: Sequence[str], at: int) -> str:
    return _without_signs(cells[at]) if at < len(cells) else ""


def _without_signs(number: str) -> str:
    """Return a number without the signs that keep Excel from reading an amount."""
    return unguard(number).removeprefix("'") if number[:1] in _SIGNS else number


def _any(cells: list[str]) -> bool:
    return any(map(str.strip, cells))
