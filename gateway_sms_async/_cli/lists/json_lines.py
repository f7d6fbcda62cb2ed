"""JSON Lines, read and written back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import IO

import msgspec

from .columns import (
    NUMBER_NAMES,
    NumberColumns,
    Several,
    choose_one,
    field_places,
    is_fax_name,
    may_name_numbers,
    name_additions,
    show_names,
)
from .formats import REPORT_COLUMNS, Exclusion, Record, flatten
from .json_items import find_repeated_key, find_texts
from .number_shapes import find_possible, holds_number, is_international, looks_like_number
from .text_file import TextFile

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

    def __init__(self, text: TextFile, columns: NumberColumns) -> None:
        self.number_names: list[str] = []
        self._text = text
        self._columns = columns
        self._is_checked = False

    def names(self) -> Sequence[str]:
        first = next((item for _, item in self._read()), "")
        return () if isinstance(first, str) else tuple(first)

    def check_fields(self, fields: Sequence[str]) -> None:
        pass

    def rows(self, fields: Sequence[str]) -> Iterator[Record]:
        keys: list[str] | None = None
        number_key, likely, rest = "", list[str](), list[str]()
        wanted: list[tuple[str, str]] = []
        for line, item in self._read():
            if isinstance(item, str):
                yield line, item, None
                continue
            try:
                # Fast path: most lines have the keys of the line before.
                if list(item) != keys:
                    keys = list(item)
                    places = self._columns.find_single(keys, "key")
                    number_key = keys[places.place]
                    likely = [keys[at] for at in places.likely]
                    rest = [keys[at] for at in places.rest]
                    wanted = list(_find_fields(keys, fields))
                    self._add_name(number_key)
                number = _read_number(item[number_key])
                # The file is a copy that cannot change, so one whole pass is enough.
                if not self._is_checked:
                    _check_others(item, number_key, likely, rest)
                held = {
                    name: value
                    for name, key in wanted
                    if (value := _read_value(item[key])) is not None
                }
            except ValueError as error:
                raise self._text.error(str(error), line) from None
            yield line, number, held if fields else None
        self._is_checked = True

    def exclusions(self) -> Iterator[Exclusion]:
        keys: list[str] | None = None
        places = Several((), (), (), ())
        for line, item in self._read():
            if isinstance(item, str):
                yield Exclusion(line, [item], "", [])
                continue
            # Fast path: most lines have the keys of the line before.
            if list(item) != keys:
                keys = list(item)
                places = self._columns.divide(keys)
            try:
                exclusion = self._exclusion(line, item, places)
            except ValueError as error:
                raise self._text.error(str(error), line) from None
            yield exclusion

    def _exclusion(self, line: int, item: dict[str, msgspec.Raw], places: Several) -> Exclusion:
        exclusion = Exclusion(line, [], "", [])
        keys = list(item)
        is_report = item.keys() >= set(REPORT_COLUMNS)
        others = [] if is_report else [at for at in range(len(keys)) if at not in places.certain]
        for at in others:
            if bytes(item[keys[at]]).startswith((b"[", b"{")):
                self._add_texts(exclusion, keys, at, item[keys[at]])
        # Without any number, the key may be absent.
        if not (places.certain or self._columns.wanted or exclusion.numbers) and any(
            map(_looks_like_number, item.values())
        ):
            raise self._columns.missing(keys, "key")
        for at in (*places.certain, *places.likely):
            value = item[keys[at]]
            # A cell of a column that only may hold numbers must look like one.
            if bytes(value) != b"null" if at in places.certain else _may_be_number(value):
                self._add_name(keys[at])
                exclusion.numbers.append(_read_number(value))
        for at in others:
            if at not in places.likely and _is_scalar(written := bytes(item[keys[at]])):
                text = _read_text(written) if written.startswith(b'"') else written.decode()
                possible = find_possible(text, named=at in places.doubtful)
                exclusion.possible.extend((keys[at], one) for one in possible)
        outcome = _read_text(bytes(item[REPORT_COLUMNS[0]])) if is_report else ""
        return exclusion._replace(outcome=outcome)

    def _add_texts(
        self, exclusion: Exclusion, keys: Sequence[str], at: int, value: msgspec.Raw
    ) -> None:
        """Add the numbers inside a value, of which those under such a key must be readable."""
        is_chosen = self._columns.are_any_among(keys)
        for names, text in find_texts(value, keys[at]):
            if not is_chosen and self._columns.is_number_name(names[-1]) and holds_number(text):
                self._add_name(keys[at])
                exclusion.numbers.append(text)
            else:
                possible = find_possible(text, named=any(map(may_name_numbers, names)))
                exclusion.possible.extend((keys[at], one) for one in possible)

    def _add_name(self, key: str) -> None:
        if key not in self.number_names:
            self.number_names.append(key)

    def _number_key(self, keys: list[str]) -> str:
        return keys[self._columns.find_single(keys, "key").place]

    def _read(self) -> Iterator[tuple[int, _Item]]:
        for line, content in self._item_lines():
            try:
                item = _json.decode(content)
                # Fast path: each member of an object has its own colon.
                is_simple = (
                    self._is_checked or isinstance(item, str) or content.count(":") == len(item)
                )
                twice = None if is_simple else find_repeated_key(content, item)
            except (msgspec.DecodeError, ValueError, RecursionError) as error:
                problem = _kind_of_part(content) or error
                raise self._text.error(
                    f"not one recipient in JSON ({problem}); write one object a line", line
                ) from None
            if twice is not None:
                raise self._text.error(
                    f"more than one key is named {show_names([twice])}; keep one", line
                )
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
        mark = "\ufeff" if self._text.needs_mark else ""
        for (line, item), reason in zip(self._read(), reasons, strict=False):
            if reason is None:
                continue
            if isinstance(item, str):
                number_key = next(iter(self._columns.wanted), NUMBER_NAMES[0])
                members: dict[str, msgspec.Raw | str] = {number_key: item}
            else:
                number_key = self._number_key(list(item))
                members = {**item}
            line_key, reason_key = name_additions(fields, number_key)
            row = members | {line_key: line, reason_key: flatten(reason)}
            file.write(mark + msgspec.json.encode(row).decode() + "\n")
            mark = ""

    def divide(self, parts: Iterable[int], files: Sequence[IO[str]]) -> None:
        for file in files:
            file.write("\ufeff" if self._text.needs_mark else "")
        for (_, item), part in zip(self._read(), parts, strict=False):
            files[part].write(msgspec.json.encode(item).decode() + "\n")


def _kind_of_part(content: str) -> str | None:
    """Return the kind of JSON that cannot be an item because of its first or last character."""
    content = content.strip()
    if content.endswith(("{", ",")) and content.startswith("{"):
        return "an object over several lines"
    return "an array" if content.startswith("[") else None


def _find_fields(keys: Sequence[str], fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the fields that an item has, each with its key in that item."""
    for name in fields:
        places = field_places(keys, name)
        if len(places) > 1:
            raise ValueError(f"more than one key is named {name!r}; keep one")
        if places:
            yield name, keys[places[0]]


def _check_others(
    item: dict[str, msgspec.Raw], number_key: str, likely: list[str], rest: list[str]
) -> None:
    """Raise ValueError if an item also has a number under another key, at any depth."""
    for key in likely:
        if _may_be_number(item[key]) or _has_number_inside(item[key], key):
            raise ValueError(choose_one("key", (number_key, key)))
    for key in rest:
        written = bytes(item[key])
        # Fast path: most texts begin with a letter.
        if b'"A' <= written < b'"\x7f' and written[4:5] != b":":
            continue
        if is_international(_read_text(written)) or _has_number_inside(item[key], key):
            raise ValueError(choose_one("key", (number_key, key)))


def _has_number_inside(value: msgspec.Raw, key: str) -> bool:
    """Whether an array or object holds a number that begins with + or 00, other than of a fax."""
    return bytes(value).startswith((b"[", b"{")) and any(
        is_international(text) and not any(map(is_fax_name, names))
        for names, text in find_texts(value, key)
    )


def _may_be_number(value: msgspec.Raw) -> bool:
    return _is_scalar(written := bytes(value)) and holds_number(written.decode())


def _looks_like_number(value: msgspec.Raw) -> bool:
    return _is_scalar(written := bytes(value)) and looks_like_number(written.decode())


def _is_scalar(written: bytes) -> bool:
    return written.startswith(b'"') or _is_number(written)


def _read_text(written: bytes) -> str:
    """Return a text decoded, and nothing of any other value."""
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
