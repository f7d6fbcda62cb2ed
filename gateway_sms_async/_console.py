"""What the command line shows: remarks on stderr, answers and JSON on stdout.

Only the command line enters; also what goes wrong there ends here, as a line and an exit code.
Receipts are shown with masked numbers; what the gateway holds for the account as it is.
"""

from __future__ import annotations

import json
import signal
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import msgspec
from rich.console import Console
from rich.table import Table

from .errors import GatewayError, OutcomeUnknownError
from .models import Message, MessageSummary, RecipientReport
from .preview import CountryPreview, Preview
from .receipt import InvalidRecipient, Receipt
from .recipients import mask

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "RESUMABLE",
    "SOME_INVALID",
    "UNKNOWN",
    "WRONG_USE",
    "duration",
    "print_json",
    "print_lines",
    "print_message",
    "print_messages",
    "print_preview",
    "print_receipt",
    "print_recipients",
    "run",
    "say",
    "say_how_to_look",
    "say_offer",
    "say_preview",
    "say_refused",
    "summarize",
]

FAILED, WRONG_USE, SOME_INVALID, UNKNOWN, RESUMABLE = 1, 2, 3, 4, 5
INTERRUPTED = 128
"""The exit codes; the last one is added to the number of the signal."""

_EXAMPLES = 5
_REFUSED_SHOWN = 10
_COUNTRIES_SHOWN = 5
_COUNTRIES_LISTED = 20
_CHARACTERS_SHOWN = 20


def say(text: str) -> None:
    """Write one remark to stderr."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def duration(seconds: float) -> str:
    """Write seconds as a clock would."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def run(function: Callable[[], int | None]) -> int:
    """Run a command; whatever the user, the network or the gateway did wrong is one line."""
    try:
        return function() or 0
    except OutcomeUnknownError as error:
        say(f"gateway-sms: {error}")
        say_how_to_look(error.reference)
        return UNKNOWN
    except GatewayError as error:
        say(f"gateway-sms: {error}")
        return FAILED
    except (ValueError, TypeError) as error:
        say(f"gateway-sms: {error}")
        return WRONG_USE
    except BrokenPipeError:
        raise
    except OSError as error:
        say(f"gateway-sms: {error}")
        return FAILED
    except KeyboardInterrupt:
        say("gateway-sms: interrupted")
        return INTERRUPTED + signal.SIGINT


def say_how_to_look(reference: str | None) -> None:
    """Say how to find out about a message whose fate is not known."""
    if reference is None:
        say("Look at it before anything else: gateway-sms list, then gateway-sms show ID")
        return
    say(
        f"Its reference is {reference}. Look for it before sending again: gateway-sms list, then "
        "gateway-sms show ID, which names the reference as `custom`."
    )


# Receipts


def print_receipt(receipt: Receipt) -> None:
    """Print a receipt as one JSON object, counts and masked numbers only."""
    print_json(
        {
            "total": receipt.total,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "excluded": receipt.excluded,
            "invalid": _refused(receipt.invalid),
            "doubled": len(receipt.doubled),
            "unknown": len(receipt.unknown),
            "unsent": len(receipt.unsent),
            "message_ids": receipt.message_ids,
            "open_message_ids": receipt.open_message_ids,
            "requests": receipt.requests,
            "retries": receipt.retries,
            "elapsed": round(receipt.elapsed, 3),
            "cost": receipt.cost,
            "complete": receipt.complete,
        }
    )


def _refused(invalid: Sequence[InvalidRecipient]) -> dict[str, Any]:
    examples = dict.fromkeys(mask(one.number) for one in invalid[:1000])
    return {
        "count": len(invalid),
        "reasons": dict(Counter(one.reason for one in invalid).most_common()),
        "examples": list(examples)[:_EXAMPLES],
    }


def summarize(receipt: Receipt, *, resumable: bool) -> None:
    """Say in a few words what became of everyone, and what to do about those left over."""
    counts = {
        "invalid": len(receipt.invalid),
        "duplicates": receipt.duplicates,
        "excluded": receipt.excluded,
        "not sent to": len(receipt.unsent),
        "unknown": len(receipt.unknown),
        "doubled": len(receipt.doubled),
    }
    left_over = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    cost = "" if receipt.cost is None else f"; {receipt.cost} EUR"
    say(
        f"Accepted {receipt.accepted:,} of {receipt.total:,}{left_over}{cost}; "
        f"{receipt.elapsed:.1f} s."
    )
    if resumable:
        return
    if receipt.unsent:
        say("Those not sent to are on no closed message: it is safe to send to them again.")
    if receipt.unknown:
        say(
            "Whether the unknown ones are texted cannot be known: do not simply send to them again."
        )
    for message_id in receipt.open_message_ids:
        say(
            f"Message {message_id} was left open: it never sends by itself. To remove it: "
            f"gateway-sms delete {message_id}"
        )


# What is looked at before


def say_refused(
    name: str,
    refused: Collection[InvalidRecipient],
    lines: Callable[[Iterable[int]], dict[int, int]],
    *,
    elsewhere: bool,
) -> None:
    """Name the first refused rows of a list by their lines; the others are counted."""
    shown = list(refused)[:_REFUSED_SHOWN]
    line_of = lines(one.position for one in shown)
    for one in shown:
        say(f"{name}:{line_of[one.position]}: {mask(one.number)}: {one.reason}")
    more = len(refused) - len(shown)
    if more:
        where = "in the file of --rejects" if elsewhere else "--rejects FILE writes them all"
        say(f"{name}: {more:,} more are invalid; {where}")


def say_offer(what: str, replaced: Mapping[str, str]) -> None:
    """Say which characters are replaced by what."""
    pairs = (f"{_character(old)} by {_character(new)}" for old, new in replaced.items())
    say(f"{what} {', '.join(pairs)}")


def say_preview(preview: Preview) -> None:
    """Say in one line what a campaign will do."""
    countries = ", ".join(list(preview.countries)[:_COUNTRIES_SHOWN])
    if len(preview.countries) > _COUNTRIES_SHOWN:
        countries += f" and {len(preview.countries) - _COUNTRIES_SHOWN} more"
    parts = [f"{preview.recipients:,} recipients" + (f" ({countries})" if countries else "")]
    encodings = f" ({'/'.join(preview.encodings)})" if preview.encodings else ""
    parts.append(f"{preview.parts:,} parts{encodings}")
    parts.append(f"{preview.requests:,} requests")
    if preview.seconds is not None:
        parts.append(f"{duration(preview.seconds)} at the least")
    if preview.cost is not None:
        parts.append(f"about {preview.cost:.2f} EUR")
    left_out = {
        "invalid": len(preview.invalid),
        "duplicates": preview.duplicates,
        "excluded": preview.excluded,
    }
    parts.extend(f"{count:,} {name}" for name, count in left_out.items() if count)
    say(", ".join(parts) + ".")


def print_preview(
    preview: Preview, *, longest_line: int | None, rate: float | None, json: bool
) -> None:
    """Print all that is known of a campaign before it is sent, for people or for programs."""
    if json:
        print_json(_preview_as_json(preview, longest_line))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in _preview_lines(preview, longest_line, rate):
        table.add_row(name, _cell(value))
    _print(table)


def _preview_lines(
    preview: Preview, longest_line: int | None, rate: float | None
) -> Iterator[tuple[str, str]]:
    yield "recipients", f"{preview.recipients:,} of {preview.total:,} rows"
    for reason, count in Counter(one.reason for one in preview.invalid).most_common():
        yield "  invalid", f"{count:,}: {reason}"
    for name in ("duplicates", "excluded"):
        if count := getattr(preview, name):
            yield f"  {name}", f"{count:,}"
    yield from _country_lines(preview.countries)
    yield "parts", f"{preview.parts:,}"
    for parts, people in preview.spread.items():
        yield f"  {parts} each", f"{people:,} recipients"
    for encoding, people in preview.encodings.items():
        yield f"  {encoding}", f"{people:,} texts"
    if preview.not_gsm:
        shown = list(preview.not_gsm.items())[:_CHARACTERS_SHOWN]
        yield "  not in GSM-7", ", ".join(f"{_character(c)} in {n:,}" for c, n in shown)
    if (longest := preview.longest) is not None:
        where = "" if longest_line is None else f" (line {longest_line})"
        units = f"{longest.units} units, {longest.units_left} left"
        yield "longest text", f"{longest.parts} parts of {longest.encoding}, {units}{where}"
    yield "cost", "not known" if preview.cost is None else f"{preview.cost:.2f} EUR"
    yield "requests", f"{preview.requests:,} for {preview.messages:,} messages"
    if preview.seconds is not None:
        yield "time", f"{duration(preview.seconds)} at {rate:g} requests a second"


def _country_lines(countries: Mapping[str, CountryPreview]) -> Iterator[tuple[str, str]]:
    for code, country in list(countries.items())[:_COUNTRIES_LISTED]:
        price = "" if country.price_per_part is None else f" at {country.price_per_part} EUR"
        yield f"  {code}", f"{country.recipients:,}, {country.parts:,} parts{price}"
    if (more := len(countries) - _COUNTRIES_LISTED) > 0:
        yield "  others", f"{more} more calling codes"


def _preview_as_json(preview: Preview, longest_line: int | None) -> dict[str, Any]:
    longest = preview.longest
    return {
        "total": preview.total,
        "recipients": preview.recipients,
        "invalid": _refused(preview.invalid),
        "duplicates": preview.duplicates,
        "excluded": preview.excluded,
        "countries": {
            code: {
                "recipients": country.recipients,
                "parts": country.parts,
                "price_per_part": country.price_per_part,
            }
            for code, country in preview.countries.items()
        },
        "parts": preview.parts,
        "spread": {str(parts): people for parts, people in preview.spread.items()},
        "encodings": dict(preview.encodings),
        "longest": None
        if longest is None
        else {
            "line": longest_line,
            "encoding": longest.encoding,
            "parts": longest.parts,
            "units": longest.units,
            "units_left": longest.units_left,
        },
        "not_gsm": dict(preview.not_gsm),
        "parts_in_gsm": preview.parts_in_gsm,
        "messages": preview.messages,
        "requests": preview.requests,
        "seconds": preview.seconds,
        "cost": preview.cost,
    }


def _character(text: str) -> str:
    """Show a character also where it could not be seen."""
    if text.isprintable() and not text.isspace():
        return text
    return "+".join(f"U+{ord(one):04X}" for one in text) or "nothing"


# Answers of the gateway


def print_messages(messages: Iterable[MessageSummary]) -> None:
    """Print the messages of an account as a table."""
    table = Table("id", "sender", "made")
    for message in messages:
        table.add_row(*map(_cell, (message.id, message.sender, message.timestamp)))
    _print(table)


def print_message(message: Message) -> None:
    """Print everything about one message, a line each."""
    statistics, options = message.statistics, message.options
    stage = "open: it never sends by itself" if message.transaction else "closed"
    lines = {
        "id": message.id,
        "stage": stage,
        "state": message.state,
        "sender": message.sender,
        "body": message.body,
        "valid": message.valid,
        "invalid": message.invalid,
        "sent": statistics.sent,
        "delivered": statistics.delivered,
        "failed": statistics.error,
        "parts": statistics.sms_total,
        "price": message.price,
        "priority": message.priority,
        "test": message.test or None,
        "flash": options.flash or None,
        "realtime": options.realtime or None,
        "due": options.timestamp_send,
        "custom": None if options.custom is msgspec.UNSET else options.custom,
        "callback": options.callback_url,
        "made": message.timestamp,
        "changed": message.last_update,
    }
    print_lines(lines)


def print_lines(lines: Mapping[str, object]) -> None:
    """Print facts, a line each; what is None is left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in lines.items():
        if value is not None:
            table.add_row(name.replace("_", " "), _cell(value))
    _print(table)


def print_recipients(reports: Iterable[RecipientReport]) -> None:
    """Print the recipients of a message, numbers whole, as a table."""
    table = Table("number", "state", "parts", "price", "sent", "delivered")
    for one in reports:
        row = (
            one.number,
            one.state,
            one.sms,
            one.price,
            one.timestamp_sent,
            one.timestamp_delivery,
        )
        table.add_row(*map(_cell, row))
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
