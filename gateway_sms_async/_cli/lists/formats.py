"""The formats of a list: CSV, JSON Lines, or one number a line.

Each format reads its rows one at a time, and writes chosen rows back as they were, so that they can
be corrected and read again. Numbers are not checked here: the campaign reports the invalid ones.
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

_COMMENT = re.compile(r"\s#")

_REPORT_COLUMNS = ("outcome", "message_id")
"""The columns by which the report of a campaign is recognised."""

Record = tuple[int, str, dict[str, str] | None]
"""The line that a row begins on, its number as written, and the values of the fields it has."""


class Format(Protocol):
    """One format of a list."""

    def names(self) -> Sequence[str]:
        """Return the names of the columns, or of the keys of the first row."""
        ...

    def check_fields(self, fields: Sequence[str]) -> None:
        """Raise ListError if no row of this file can have one of the fields."""

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        """Yield all rows, from the beginning of the file. Raises ListError."""
        ...

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        """Yield the line, number and outcome of all rows.

        A row of a campaign's report has the columns outcome and message_id; for any other row, the
        outcome is empty.
        """
        ...

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        """Write the rows that have a reason, each with its line and its reason added.

        `reasons` has one item for each row, in order: None leaves the row out. `fields` are those
        that a text uses; line and reason are named so that they do not replace one.
        """


def _flatten(reason: str) -> str:
    """Return a reason without line breaks and control characters."""
    printable = (one if one.isprintable() else " " for one in reason)
    return " ".join("".join(printable).split())


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

    def names(self) -> Sequence[str]:
        return self._names

    def check_fields(self, fields: Sequence[str]) -> None:
        for name in fields:
            if not field_places(self._names, name):
                raise self._error(
                    f"no column is named {name!r}, which the text uses "
                    f"(there are {show_names(self._names)})"
                )

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        number_at = self._number_at
        found = ((name, self._find(name)) for name in fields)
        wanted = [(name, at) for name, at in found if at is not None]
        for line, cells in self._read():
            number = cells[number_at] if number_at < len(cells) else ""
            if number.startswith(("=", "'")):
                # Both are used to keep Excel from reading a phone number as an amount.
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
            raise self._error(f"more than one column is named {name!r}; keep one")
        return places[0] if places else None

    def outcomes(self) -> Iterator[tuple[int, str, str]]:
        is_report = set(_REPORT_COLUMNS) <= set(self._names)
        for line, number, held in self.rows(_REPORT_COLUMNS[:1] if is_report else ()):
            yield line, number, held.get(_REPORT_COLUMNS[0], "") if held else ""

    def _read(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the rows: the line that each begins on, and no more cells than columns."""
        width = len(self._names)
        header_line = self._header.line
        reader = csv.reader(self._text.lines(), delimiter=self._header.delimiter, strict=True)
        line = 1
        try:
            for cells in reader:
                # Fast path: a first cell from "!" on, the character after the space, is not blank.
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
        # Excel reads a file as UTF-8 only with a byte order mark, so keep it if there was one.
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
    """Return the text in `="text"`; any other cell is returned unchanged."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > len('="'):
        return cell[2:-1].replace('""', '"')
    return cell


_Item = str | dict[str, msgspec.Raw]


_json = msgspec.json.Decoder(_Item)


_json_text = msgspec.json.Decoder(str)


def is_json(line: str) -> bool:
    """Whether a line is one item of JSON Lines."""
    try:
        _json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


class JSONLines:
    """JSON Lines: on each line an object with a number and fields, or a number as a string.

    Keys may differ from line to line. The lines may also be the items of one array whose brackets
    are on separate lines, as in the report of a campaign.
    """

    def __init__(self, text: TextFile, number_column: NumberColumn) -> None:
        self._text = text
        self._number_column = number_column

    def names(self) -> Sequence[str]:
        first = next((item for _, item in self._read()), "")
        return () if isinstance(first, str) else tuple(first)

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
                # Fast path: most lines have the keys of the line before.
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
            if isinstance(item, str) or not item.keys() >= set(_REPORT_COLUMNS):
                yield line, number, ""
            else:
                yield line, number, _read_outcome(item[_REPORT_COLUMNS[0]])

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
        """Yield the lines that hold an item, without the brackets and commas of an array."""
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
                raise self._text.error(
                    "this array has no end: the file is incomplete; create it again", begin
                )
        for line, _ in lines:
            raise self._text.error("more than one array; put each in its own file", line)

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
    """Yield the fields that an item has, each with its key in that item."""
    for name in fields:
        places = field_places(keys, name)
        if len(places) > 1:
            raise ValueError(f"more than one key is named {name!r}; keep one")
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
        raise ValueError("the number is not in quotes, so its plus sign is lost; write it as text")
    raise ValueError("the number must be text, in quotes")


def _read_value(value: msgspec.Raw) -> str | None:
    """Return a string decoded, and a number as it is written: `1.50` keeps both decimals."""
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
    """One number a line. A # at the beginning or after a space begins a comment."""

    def __init__(self, text: TextFile) -> None:
        self._text = text

    def names(self) -> Sequence[str]:
        return ()

    def check_fields(self, fields: Sequence[str]) -> None:
        first = next(self.rows(()), None)
        if fields and first is not None:
            raise self._text.error(
                f"numbers alone have no {fields[0]!r}, which the text uses; give a CSV", first[0]
            )

    def rows(
        self,
        fields: Sequence[str],  # noqa: ARG002 - as in Format
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
        fields: Sequence[str],  # noqa: ARG002 - as in Format
        file: IO[str],
    ) -> None:
        for (line, number, _), reason in zip(self.rows(()), reasons, strict=False):
            if reason is not None:
                file.write(f"{number}  # line {line}: {_flatten(reason)}\n")
