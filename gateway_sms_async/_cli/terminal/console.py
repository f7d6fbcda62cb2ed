"""How the command line prints: status lines on stderr, results and JSON on stdout.

Text from the gateway or a file reaches the terminal only through `printable`, or in JSON.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec
from rich.console import Console
from rich.table import Table


def printable(text: str) -> str:
    """Return a text that a terminal shows as it is, on one line.

    What it could obey, or show in another order than it stands, is replaced: escapes, the other
    control characters, and the marks of writing directions. Every kind of blank becomes a space.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _replacement(one) for one in text)


def _replacement(character: str) -> str:
    # Of the blanks, only the space is printable; a line break is a control character too.
    return " " if unicodedata.category(character) == "Zs" else "\ufffd"


def print_status(text: str) -> None:
    """Print one line to stderr."""
    print(printable(text), file=sys.stderr, flush=True)  # noqa: T201


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that takes nothing in a text for markup, a link or an emoji."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def duration(seconds: float) -> str:
    """Return seconds as `m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_lookup_hint(reference: str | None) -> None:
    """Print how to look up a message when it is unknown whether it was sent."""
    if reference is None:
        print_status("Check before you send again: gateway-sms list, then gateway-sms show ID")
        return
    print_status(
        f"Its reference is {reference}. Check before you send again: gateway-sms list, then "
        "gateway-sms show ID, which prints the reference as `custom`."
    )


def print_lines(lines: Mapping[str, object]) -> None:
    """Print names and values, one pair a line; a value of None is left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        if value is not None:
            table.add_row(name.replace("_", " "), cell(value))
    print_table(table)


def print_json(value: Any) -> None:
    """Print JSON: times in ISO 8601 and UTC, amounts as strings, absent values as null."""
    # In ASCII, so that no character of a text means something to a terminal or to its encoding.
    print(json.dumps(_plain(value), indent=2, ensure_ascii=True), flush=True)  # noqa: T201


def print_table(table: Table) -> None:
    """Print a table to stdout; nothing in its cells is taken for markup."""
    make_console().print(table)


def cell(value: object) -> str:
    """Return a value as the text of a table's cell."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case _:
            return "\n".join(map(printable, str(value).split("\n")))


def _plain(value: Any) -> Any:
    """Turn a response into plain JSON values, each named like its property."""
    if isinstance(value, msgspec.Struct):
        names = [name.removeprefix("wire_") for name in value.__struct_fields__]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, dict):
        parts = cast("dict[str, Any]", value)
        return {name: _plain(part) for name, part in parts.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in cast("Iterable[Any]", value)]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return str(value)
    return None if value is msgspec.UNSET else value
