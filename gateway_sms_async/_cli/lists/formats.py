"""What a format of a list can do, and the simplest one: one number a line.

Each format reads its rows one at a time, and writes chosen rows back as they were, so that they can
be corrected and read again. Numbers are not checked here: the campaign reports the invalid ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple, Protocol

from .number_shapes import comment_holds_number, holds_number
from .text_file import TextFile

_COMMENT = re.compile(r"\s#")

REPORT_COLUMNS = ("outcome", "message_id")
"""The columns by which the report of a campaign is recognised."""

Record = tuple[int, str, dict[str, str] | None]
"""The line that a row begins on, its number as written, and the values of the fields it has."""


class Exclusion(NamedTuple):
    """A row that excludes recipients: the line that it begins on, and the numbers in it.

    A row of a campaign's report has an `outcome`; it is empty for any other row. `possible` are texts
    that may be numbers, each with the name of its column or key: one that is no number is no error.
    """

    line: int
    numbers: list[str]
    outcome: str
    possible: list[tuple[str, str]]


class Format(Protocol):
    """One format of a list."""

    number_names: list[str]
    """The columns, or keys, that numbers were read from, as far as rows were read."""

    def names(self) -> Sequence[str]:
        """Return the names of the columns, or of the keys of the first row."""
        ...

    def check_fields(self, fields: Sequence[str]) -> None:
        """Raise ListError if no row of this file can have one of the fields."""

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        """Yield all rows, from the beginning of the file. Raises ListError.

        Also raises it if a row has two numbers in different columns, and it is not known which one
        is meant.
        """
        ...

    def exclusions(self) -> Iterator[Exclusion]:
        """Yield all rows with all their numbers. Raises ListError."""
        ...

    def write(self, reasons: Iterable[str | None], fields: Sequence[str], file: IO[str]) -> None:
        """Write the rows that have a reason, each with its line and its reason added.

        `reasons` has one item for each row, in order: None leaves the row out. `fields` are those
        that a text uses; line and reason are named so that they do not replace one.
        """

    def divide(self, parts: Iterable[int], files: Sequence[IO[str]]) -> None:
        """Write each row, as it is, to one of the files. `parts` has the index of it for each row."""


def flatten(reason: str) -> str:
    """Return a reason without line breaks and control characters."""
    printable = (one if one.isprintable() else " " for one in reason)
    return " ".join("".join(printable).split())


class PlainLines:
    """One number a line. A # at the beginning or after a space begins a comment."""

    def __init__(self, text: TextFile) -> None:
        self.number_names: list[str] = []
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
            if "#" in number:
                number, _ = _split_comment(number)
            if number:
                yield line, number, None

    def exclusions(self) -> Iterator[Exclusion]:
        for line, content in enumerate(self._text.lines(), 1):
            number, comment = _split_comment(content.strip())
            if comment and not holds_number(number) and comment_holds_number(comment):
                raise self._text.error(
                    "a number after #, so that this recipient would get the text; remove the # to "
                    "exclude the number, else remove the line",
                    line,
                )
            if number:
                yield Exclusion(line, [number], "", [])

    def write(
        self,
        reasons: Iterable[str | None],
        fields: Sequence[str],  # noqa: ARG002 - as in Format
        file: IO[str],
    ) -> None:
        mark = "\ufeff" if self._text.needs_mark else ""
        for (line, number, _), reason in zip(self.rows(()), reasons, strict=False):
            if reason is not None:
                file.write(f"{mark}{number}  # line {line}: {flatten(reason)}\n")
                mark = ""

    def divide(self, parts: Iterable[int], files: Sequence[IO[str]]) -> None:
        for file in files:
            file.write("\ufeff" if self._text.needs_mark else "")
        each = iter(parts)
        for content in self._text.lines():
            if _split_comment(content.strip())[0]:
                files[next(each)].write(content.rstrip("\n") + "\n")


def _split_comment(content: str) -> tuple[str, str]:
    """Return the number on a line without blanks around it, and the comment after it."""
    if "#" in content and (comment := _COMMENT.search(f" {content}")):
        return content[: comment.start()].rstrip(), content[comment.start() :]
    return content, ""
