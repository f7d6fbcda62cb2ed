"""What the command line shows: remarks on stderr, answers and JSON on stdout.

Only the command line enters; also what goes wrong there ends here, as a line and an exit code.
Receipts are shown with masked numbers; what the gateway holds for the account as it is.
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

__all__ = ["duration", "print_json", "print_lines", "print_lookup_hint", "say"]


def say(text: str) -> None:
    """Write one remark to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Write seconds as a clock would."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def print_lookup_hint(reference: str | None) -> None:
    """Say how to find out about a message whose fate is not known."""
    if reference is None:
        say("Look at it before anything else: gateway-sms list, then gateway-sms show ID")
        return
    say(
        f"Its reference is {reference}. Look for it before sending again: gateway-sms list, then "
        "gateway-sms show ID, which names the reference as `custom`."
    )


def print_lines(lines: Mapping[str, object]) -> None:
    """Print facts, a line each; what is None is left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        if value is not None:
            table.add_row(name.replace("_", " "), _cell(value))
    _print(table)


def print_json(value: Any) -> None:
    """Print plain JSON: times in ISO 8601 and UTC, amounts as text, absent parts as null."""
    ascii_only = (sys.stdout.encoding or "").lower().replace("-", "") != "utf8"
    print(json.dumps(_plain(value), indent=2, ensure_ascii=ascii_only), flush=True)  # noqa: T201


def _print(table: Table) -> None:
    Console(markup=False, emoji=False, highlight=False).print(table)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case _:
            # What others wrote must not reach the terminal as commands.
            return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))


def _plain(value: Any) -> Any:
    """Turn answers into what JSON has, under the names that their properties go by."""
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
