"""Lists of recipients in files: CSV, JSON Lines, or one number a line.

The command line enters. A list is looked through when it is opened, so that what is wrong with
the file as a whole is known before anything is sent; each pass holds one row at a time. A bad
number is no fault of the file: it goes through, and the campaign names it.
"""

from __future__ import annotations

import codecs
import csv
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import IO, NamedTuple

import msgspec

from .errors import InvalidNumberError
from .receipt import InvalidRecipient, Receipt
from .recipients import RecipientLike, normalize

__all__ = ["ListError", "RecipientList", "Row", "open_list", "write_rejects", "write_unsent"]

_DELIMITERS = ",;\t"
_LONGEST = 1024 * 1024
"""Bytes of one line: a file without line breaks must not fill the memory."""

_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_json = msgspec.json.Decoder(str | dict[str, msgspec.Raw])


class ListError(ValueError):
    """A file that is no list; the text says what is wrong, where, and what to do about it."""


class Row(NamedTuple):
    """One recipient as the file has it, and the line it begins on."""

    line: int
    number: str
    fields: dict[str, str] | None


class RecipientList:
    """The recipients of one open file: `total` of them, in an iterable that starts anew each time.

    `fields` are the names that each recipient brings values for, as far as its row has them.
    """

    def __init__(
        self, file: IO[bytes], name: str, fields: Sequence[str], *, allow_missing_fields: bool
    ) -> None:
        self.fields = tuple(fields)
        self._file = file
        self._name = name
        self._allow_missing_fields = allow_missing_fields
        self._read = _choose_reader(name, _Lines(file, name))
        self.total = sum(1 for _ in self.rows())
        if not self.total:
            raise ListError(f"{name}: nobody is listed in this file")

    def rows(self) -> Iterator[Row]:
        """Go through the file from its beginning; one pass at a time."""
        lines = _Lines(self._file, self._name)
        return self._read(lines, self.fields, self._allow_missing_fields)

    def __iter__(self) -> Iterator[RecipientLike]:
        for _, number, fields in self.rows():
            yield number if fields is None else (number, fields)


@contextmanager
def open_list(
    path: str, fields: Sequence[str] = (), *, allow_missing_fields: bool = False
) -> Generator[RecipientList]:
    """Open a file of recipients, `-` for standard input, and look it through.

    `fields` names what to keep of a row besides its number. Unless `allow_missing_fields`, a file
    that has no such column at all is refused. Raises ListError.
    """
    with _open_copy(path) as file:
        name = "standard input" if path == "-" else path
        yield RecipientList(file, name, fields, allow_missing_fields=allow_missing_fields)


def write_rejects(
    recipients: RecipientList, invalid: Sequence[InvalidRecipient], file: IO[str]
) -> None:
    """Write the refused rows as CSV, in a form that can be corrected and sent again."""
    reasons = {one.position: one.reason for one in invalid}
    _write_rows(recipients, file, lambda position, _: reasons.get(position))


def write_unsent(recipients: RecipientList, receipt: Receipt, file: IO[str]) -> None:
    """Write the rows that nobody was texted for, read or not, as CSV that can be sent."""
    unsent = set(receipt.unsent)
    refused = {one.position for one in receipt.invalid}
    # Who stands among the rows that were read and is not unsent is texted, or may be: a row
    # further down with the same number must not bring that number back.
    settled: set[str] = set()

    def reason(position: int, row: Row) -> str | None:
        try:
            number = normalize(row.number)
        except InvalidNumberError:
            return "not read" if position >= receipt.total else None
        if position in refused:
            return None
        if number in unsent:
            return "not sent"
        if position < receipt.total:
            settled.add(number)
        return None if number in settled else "not read"

    _write_rows(recipients, file, reason)


def _write_rows(
    recipients: RecipientList, file: IO[str], reason: Callable[[int, Row], str | None]
) -> None:
    columns = dict.fromkeys(("line", "reason", "number", *recipients.fields))
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for position, row in enumerate(recipients.rows()):
        if (why := reason(position, row)) is not None:
            cells = {"line": row.line, "reason": why, "number": row.number}
            writer.writerow(cells | (row.fields or {}))


def _open_copy(path: str) -> IO[bytes]:
    """Return a private copy: a list that is changed while it goes out must not matter."""
    if path == "-":
        return _copy(sys.stdin.buffer)
    try:
        with Path(path).open("rb") as file:
            return _copy(file)
    except OSError as error:
        raise ListError(
            f"{path}: {error.strerror or error}; give a file that can be read"
        ) from None


def _copy(stream: IO[bytes]) -> IO[bytes]:
    # Readable by its owner only, and without a name: nothing is left behind.
    file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
    shutil.copyfileobj(stream, file)
    return file


class _Lines:
    """The lines of a file as text, from its beginning; `number` is the one read last, from 1."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        file.seek(0)
        self.number = 0
        self._file = file
        self._name = name

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        raw = self._file.readline(_LONGEST)
        if not raw:
            raise StopIteration
        self.number += 1
        if self.number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise self.error("this is UTF-16; save the file as UTF-8")
        if b"\0" in raw:
            raise self.error("this is not a text file; export the list as CSV in UTF-8")
        if len(raw) == _LONGEST:
            raise self.error("a line of more than 1 MiB is no recipient; check the file")
        try:
            # The mark that some programs begin a UTF-8 file with is no part of its text.
            return raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
        except UnicodeDecodeError:
            if _CONTROLS.search(raw):
                raise self.error("this is not a text file; export the list as CSV") from None
            raise self.error("this is not UTF-8; save the file as UTF-8") from None

    def first(self) -> str:
        """Return the first line that is not blank; ListError when there is none."""
        for text in self:
            if text.strip():
                return text
        raise ListError(f"{self._name}: the file is empty")

    def error(self, problem: str, line: int | None = None) -> ListError:
        """Return an error that names the file and the line, the one read last unless given."""
        return ListError(f"{self._name}:{line or self.number}: {problem}")


_Reader = Callable[[_Lines, tuple[str, ...], bool], Iterator[Row]]


def _choose_reader(name: str, lines: _Lines) -> _Reader:
    """Go by the file's name, else by its first line."""
    first = lines.first()
    match PurePath(name).suffix.lower():
        case ".csv" | ".tsv":
            return _read_csv
        case ".jsonl" | ".ndjson":
            return _read_json_lines
        case _:
            pass
    if _find_delimiter(first) is not None:
        return _read_csv
    return _read_json_lines if first.lstrip().startswith(("{", "[", '"')) else _read_plain


def _read_csv(
    lines: _Lines,
    fields: tuple[str, ...],
    allow_missing_fields: bool,  # noqa: FBT001 - as in _Reader
) -> Iterator[Row]:
    header = lines.first()
    delimiter = _find_delimiter(header)
    if delimiter is None:
        raise lines.error("no column is called number; name the columns here: number,name")
    columns = _split_header(header, delimiter)
    number_at = _find_column(lines, list(map(str.lower, columns)), "number")
    wanted = [
        (name, _find_column(lines, columns, name))
        for name in fields
        if name in columns or not allow_missing_fields
    ]
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        try:
            cells = next(rows, None)
        except csv.Error as error:
            raise lines.error(f"broken row ({error}); look for a stray quote", line) from None
        if cells is None:
            return
        if not any(cells):
            continue
        if any(cells[len(columns) :]):
            raise lines.error("more cells than columns; put quotes around such text", line)
        number = cells[number_at] if number_at < len(cells) else ""
        held = {name: cells[at] for name, at in wanted if at < len(cells)}
        yield Row(line, number, held if fields else None)


def _find_column(lines: _Lines, columns: list[str], name: str) -> int:
    match columns.count(name):
        case 1:
            return columns.index(name)
        case 0:
            raise lines.error(f"no column is called {name!r}, which the text uses")
        case _:
            raise lines.error(f"more than one column is called {name!r}; keep one")


def _find_delimiter(header: str) -> str | None:
    """Return what separates the columns, None when none of them is called number."""
    for delimiter in _DELIMITERS:
        if "number" in map(str.lower, _split_header(header, delimiter)):
            return delimiter
    return None


def _split_header(header: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([header], delimiter=delimiter))]


def _read_json_lines(
    lines: _Lines,
    fields: tuple[str, ...],
    allow_missing_fields: bool,  # noqa: ARG001, FBT001 - as in _Reader: each line has its own keys
) -> Iterator[Row]:
    for text in lines:
        if not text.strip():
            continue
        try:
            number, held = _read_object(text, fields)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise lines.error(f"not one recipient in JSON ({error}); correct the line") from None
        yield Row(lines.number, number, held)


def _read_object(text: str, fields: tuple[str, ...]) -> tuple[str, dict[str, str] | None]:
    item = _json.decode(text)
    if isinstance(item, str):
        return item, None
    if not bytes(item.get("number", b"")).startswith(b'"'):
        raise ValueError('"number" must be there and be text, in quotes')
    given = (name for name in fields if bytes(item.get(name, b"null")) != b"null")
    held = {name: _as_text(item[name]) for name in given}
    return _as_text(item["number"]), held if fields else None


def _as_text(value: msgspec.Raw) -> str:
    """Return text as it is meant and a number as it is written, `1.50` with both its decimals."""
    written = bytes(value)
    if written.startswith(b'"'):
        return msgspec.json.decode(written, type=str)
    if written[:1].isdigit() or written.startswith(b"-"):
        return written.decode()
    raise ValueError("a field that the text uses must be text or a number")


def _read_plain(
    lines: _Lines,
    fields: tuple[str, ...],
    allow_missing_fields: bool,  # noqa: FBT001 - as in _Reader
) -> Iterator[Row]:
    if fields and not allow_missing_fields:
        lines.first()
        raise lines.error(f"numbers alone have no {fields[0]!r}, which the text uses; give a CSV")
    for text in lines:
        if number := text.strip():
            yield Row(lines.number, number, None)
