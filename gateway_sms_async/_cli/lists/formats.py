"""How a list may be written down: CSV, JSON Lines, or one number a line.

`_detect` enters to choose a form, `lists` to use it. Each form reads its rows one at a time, and
writes chosen ones back as they were so that they can be corrected and read again. A bad number is
no fault of the file: it goes through, and the campaign names it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import IO, NamedTuple, Protocol

import msgspec

from .columns import (
    NUMBER_NAMES,
    NumberColumn,
    field_places,
    looks_like_number,
    name_additions,
    show_names,
)
from .text_file import ListError, TextFile

__all__ = ["Form", "Header", "JSONLines", "PlainLines", "Record", "Table", "is_json"]

_COMMENT = re.compile(r"\s#")


_OF_A_REPORT = ("outcome", "message_id")


Record = tuple[int, str, dict[str, str] | None]
"""The line that a row begins on, its number as written, and the values of the fields it has."""


class Form(Protocol):
    """One way to write a list down."""

    def check_fields(self, fields: Sequence[str]) -> None:
        """Raise ListError when no row of this file can have one of the fields."""

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        """Go through the file from its beginning. Raises ListError."""
        ...

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        """Go through lines and numbers as `rows` does, and through the outcomes of a report.

        An outcome is empty where a row is none of a report: it has an outcome and a message_id.
        """
        ...

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        """Write the rows that have a reason, each with its line and its reason.

        `reasons` has one for each row, in order, None for a row to leave out. `fields` are those
        that a text uses: line and reason do not take their places.
        """


def _flatten(reason: str) -> str:
    """Return a reason as it can stand on one line of a file that can be read again."""
    printable = (one if one.isprintable() else " " for one in reason)
    return " ".join("".join(printable).split())


# The forms


class Header(NamedTuple):
    """The names of the columns, and how they are written.

    They begin on `line`; `excel` is the line before them that names the delimiter, empty when
    there is none.
    """

    columns: list[str]
    delimiter: str
    excel: str
    line: int


class Table:
    """CSV. A row that is short lacks values; one with blanks alone is none."""

    def __init__(self, text: TextFile, header: Header, number_column: NumberColumn) -> None:
        self._text = text
        self._header = header
        self._names = [name.strip() for name in header.columns]
        try:
            self._number_at = number_column.find(self._names, "column")
        except ValueError as error:
            if any(map(looks_like_number, self._names)):
                problem = "this line holds numbers, not names of columns"
                raise self._error(f"{problem}; put a line such as number,name above it") from None
            raise self._error(str(error)) from None

    def _error(self, problem: str) -> ListError:
        return self._text.error(problem, self._header.line)

    def check_fields(self, fields: Sequence[str]) -> None:
        for name in fields:
            if not field_places(self._names, name):
                raise self._error(
                    f"no column is called {name!r}, which the text uses "
                    f"(there are {show_names(self._names)})"
                )

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        number_at = self._number_at
        found = ((name, self._find(name)) for name in fields)
        wanted = [(name, at) for name, at in found if at is not None]
        for line, cells in self._read():
            number = cells[number_at] if number_at < len(cells) else ""
            if number.startswith(("=", "'")):
                # Both are ways to keep Excel from taking a number for a sum.
                number = _without_formula(number).removeprefix("'")
            if not fields:
                yield line, number, None
                continue
            held = {name: cells[at] for name, at in wanted if at < len(cells)}
            for name, value in held.items():
                if value.startswith("="):
                    held[name] = _without_formula(value)
            yield line, number, held

    def _find(self, name: str) -> int | None:
        places = field_places(self._names, name)
        if len(places) > 1:
            raise self._error(f"more than one column is called {name!r}; keep one")
        return places[0] if places else None

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        is_report = set(_OF_A_REPORT) <= set(self._names)
        for line, number, held in self.rows(_OF_A_REPORT[:1] if is_report else ()):
            yield line, number, held.get(_OF_A_REPORT[0], "") if held else ""

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Go through the rows: the line that each begins on, and at most its proper cells."""
        width = len(self._names)
        header_line = self._header.line
        reader = csv.reader(self._text.lines(), delimiter=self._header.delimiter, strict=True)
        line = 1
        try:
            for cells in reader:
                # Hardly any row begins with a blank, which stands before "!".
                if line > header_line and cells and (cells[0] >= "!" or _any(cells)):
                    if len(cells) > width:
                        if any(cells[width:]):
                            raise self._text.error(
                                "more cells than columns; put quotes around such text", line
                            )
                        del cells[width:]
                    yield line, cells
                line = reader.line_num + 1
        except csv.Error as error:
            raise self._text.error(f"broken row ({error}); look for a stray quote", line) from None

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        columns, names = self._header.columns.copy(), self._names.copy()
        additions = name_additions(fields, names[self._number_at])
        for name in additions:
            if name not in names:
                columns.append(name)
                names.append(name)
        line_at, reason_at = map(names.index, additions)
        # Without the mark that it came with, Excel would not take the file for UTF-8.
        file.write(("\ufeff" if self._text.marked else "") + self._header.excel)
        writer = csv.writer(file, delimiter=self._header.delimiter, lineterminator="\n")
        writer.writerow(columns)
        for (line, cells), reason in zip(self._read(), reasons, strict=False):
            if reason is not None:
                cells.extend([""] * (len(columns) - len(cells)))
                cells[line_at], cells[reason_at] = str(line), _flatten(reason)
                writer.writerow(cells)


def _any(cells: list[str]) -> bool:
    return any(map(str.strip, cells))


def _without_formula(cell: str) -> str:
    """Return the text of `="text"`, and anything else as it is."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > len('="'):
        return cell[2:-1].replace('""', '"')
    return cell


_Item = str | dict[str, msgspec.Raw]


_json = msgspec.json.Decoder(_Item)


_json_text = msgspec.json.Decoder(str)


def is_json(line: str) -> bool:
    """Tell whether a line is one item of JSON Lines."""
    try:
        _json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class JSONLines:
    """Objects with a number and more, or numbers alone, one a line; each has keys of its own.

    They may be those of one array whose brackets have lines of their own, as in a report.
    """

    def __init__(self, text: TextFile, number_column: NumberColumn) -> None:
        self._text = text
        self._number_column = number_column

    def check_fields(self, fields: Sequence[str]) -> None:
        pass

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        keys: list[str] | None = None
        number_key = ""
        wanted: list[tuple[str, str]] = []
        for line, item in self._read():
            if isinstance(item, str):
                yield line, item, None
                continue
            try:
                # Most often the keys of the line before.
                if list(item) != keys:
                    keys = list(item)
                    number_key = self._find_key(keys)
                    wanted = list(_find_fields(keys, fields))
                number = _read_number(item[number_key])
                held = {
                    name: value
                    for name, key in wanted
                    if (value := _read_value(item[key])) is not None
                }
            except ValueError as error:
                raise self._text.error(str(error), line) from None
            yield line, number, held if fields else None

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        for (line, number, _), (_, item) in zip(self.rows(()), self._read(), strict=True):
            if isinstance(item, str) or not item.keys() >= set(_OF_A_REPORT):
                yield line, number, ""
            else:
                yield line, number, _read_outcome(item[_OF_A_REPORT[0]])

    def _find_key(self, keys: list[str]) -> str:
        return keys[self._number_column.find(keys, "key")]

    def _read(self) -> Iterator[tuple[int, _Item]]:
        for line, content in self._item_lines():
            try:
                item = _json.decode(content)
            except (msgspec.DecodeError, RecursionError) as error:
                problem = "an array" if content.lstrip().startswith("[") else error
                raise self._text.error(
                    f"not one recipient in JSON ({problem}); write one object a line", line
                ) from None
            yield line, item

    def _item_lines(self) -> Iterator[tuple[int, str]]:
        """Go through the lines with an item, without what makes one array of them."""
        lines = (
            (line, content)
            for line, content in enumerate(self._text.lines(), 1)
            if not content.isspace()
        )
        begin, first = next(lines, (1, ""))
        if first.strip() not in {"[", "[]"}:
            yield from chain([(begin, first)] if first else [], lines)
            return
        if first.strip() == "[":
            for line, content in lines:
                if content.strip() == "]":
                    break
                yield line, content.rstrip().removesuffix(",")
            else:
                raise self._text.error("this array has no end; the file is cut short", begin)
        for line, _ in lines:
            raise self._text.error("more than one array; give each as a file of its own", line)

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        for (line, item), reason in zip(self._read(), reasons, strict=False):
            if reason is None:
                continue
            if isinstance(item, str):
                number_key = self._number_column.wanted or NUMBER_NAMES[0]
                members: dict[str, msgspec.Raw | str] = {number_key: item}
            else:
                number_key = self._find_key(list(item))
                members = {**item}
            line_key, reason_key = name_additions(fields, number_key)
            row = members | {line_key: line, reason_key: _flatten(reason)}
            file.write(msgspec.json.encode(row).decode() + "\n")


def _find_fields(keys: Sequence[str], fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Return the fields that an item has, each with the key that it is called by there."""
    for name in fields:
        places = field_places(keys, name)
        if len(places) > 1:
            raise ValueError(f"more than one key is called {name!r}; keep one")
        if places:
            yield name, keys[places[0]]


def _read_outcome(value: msgspec.Raw) -> str:
    written = bytes(value)
    return _json_text.decode(written) if written.startswith(b'"') else ""


def _read_number(value: msgspec.Raw) -> str:
    written = bytes(value)
    if written.startswith(b'"'):
        return _json_text.decode(written)
    if _is_number(written):
        raise ValueError("the number is not in quotes, so it lost its plus sign; write it as text")
    raise ValueError("the number must be text, in quotes")


def _read_value(value: msgspec.Raw) -> str | None:
    """Return text as it is meant and a number as it is written, `1.50` with both its decimals."""
    written = bytes(value)
    if written.startswith(b'"'):
        return _json_text.decode(written)
    if _is_number(written):
        return written.decode()
    if written == b"null":
        return None
    raise ValueError("a field that the text uses must be text or a number")


def _is_number(written: bytes) -> bool:
    return written[:1] in b"-0123456789"


class PlainLines:
    """Numbers alone; from a # on, at the beginning or after a blank, stands a comment."""

    def __init__(self, text: TextFile) -> None:
        self._text = text

    def check_fields(self, fields: Sequence[str]) -> None:
        first = next(self.rows(()), None)
        if fields and first is not None:
            raise self._text.error(
                f"numbers alone have no {fields[0]!r}, which the text uses; give a CSV", first[0]
            )

    def rows(
        self,
        fields: Sequence[str],  # noqa: ARG002 - as in Form
    ) -> Iterator[Record]:
        for line, content in enumerate(self._text.lines(), 1):
            number = content.strip()
            if "#" in number and (comment := _COMMENT.search(f" {number}")):
                number = number[: comment.start()].rstrip()
            if number:
                yield line, number, None

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        for line, number, _ in self.rows(()):
            yield line, number, ""

    def write(
        self,
        reasons: Iterable[str | None],
        fields: Sequence[str],  # noqa: ARG002 - as in Form
        file: IO[str],
    ) -> None:
        for (line, number, _), reason in zip(self.rows(()), reasons, strict=False):
            if reason is not None:
                file.write(f"{number}  # line {line}: {_flatten(reason)}\n")
