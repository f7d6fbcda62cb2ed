"""How the command line prints: status lines on stderr, results and JSON on stdout.

Text from the gateway or a file reaches the terminal without its control characters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec
from rich.console import Console
from rich.table import Table


def print_status(text: str) -> None:
    """Print one line to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


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
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only), flush=True)  # noqa: T201


def print_table(table: Table) -> None:
    """Print a table to stdout; nothing in its cells is taken for markup."""
    Console(markup=False, emoji=False, highlight=False).print(table)


def cell(value: object) -> str:
    """Return a value as the text of a table's cell."""
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case _:
            # Text from elsewhere could hold escape sequences, which the terminal would obey.
            return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))


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
