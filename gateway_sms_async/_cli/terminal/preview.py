"""What a campaign would do: a table or JSON for `check`, one line for `bulk`, and invalid rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

from ..._preview import CountryPreview, Preview
from ..._receipt import InvalidRecipient
from ..._recipients.numbers import mask
from .console import cell, duration, print_json, print_status, print_table
from .receipt import invalid_as_json

_INVALID_SHOWN = 10

_COUNTRIES_IN_LINE = 5

_COUNTRIES_IN_TABLE = 20

_CHARACTERS_SHOWN = 20


def print_invalid(
    name: str,
    invalid: Collection[InvalidRecipient],
    lines: Callable[[Iterable[int]], dict[int, int]],
    *,
    rejects_written: bool,
) -> None:
    """Print the first invalid rows of a list with their lines, and how many more there are."""
    shown = list(invalid)[:_INVALID_SHOWN]
    line_of = lines(recipient.position for recipient in shown)
    for recipient in shown:
        line = line_of[recipient.position]
        print_status(f"{name}:{line}: {mask(recipient.number)}: {recipient.reason}")
    more = len(invalid) - len(shown)
    if more:
        where = (
            "all are in the file of --rejects"
            if rejects_written
            else "--rejects FILE writes them all"
        )
        print_status(f"{name}: {more:,} more are invalid; {where}")


def print_replacements(what: str, replaced: Mapping[str, str]) -> None:
    """Print which characters are replaced, and by what."""
    pairs = (f"{_character(old)} by {_character(new)}" for old, new in replaced.items())
    print_status(f"{what} {', '.join(pairs)}")


def print_preview_line(preview: Preview) -> None:
    """Print in one line what a campaign will do."""
    countries = ", ".join(list(preview.countries)[:_COUNTRIES_IN_LINE])
    if len(preview.countries) > _COUNTRIES_IN_LINE:
        countries += f" and {len(preview.countries) - _COUNTRIES_IN_LINE} more"
    parts = [f"{preview.recipients:,} recipients" + (f" ({countries})" if countries else "")]
    encodings = f" ({'/'.join(preview.encodings)})" if preview.encodings else ""
    parts.append(f"{preview.parts:,} parts{encodings}")
    parts.append(f"{preview.requests:,} requests")
    if preview.seconds is not None:
        parts.append(f"at least {duration(preview.seconds)}")
    if preview.cost is not None:
        parts.append(f"about {preview.cost:.2f} EUR")
    left_out = {
        "invalid": len(preview.invalid),
        "duplicates": preview.duplicates,
        "excluded": preview.excluded,
    }
    parts.extend(f"{count:,} {name}" for name, count in left_out.items() if count)
    print_status(", ".join(parts) + ".")


def print_preview(
    preview: Preview, *, longest_line: int | None, rate: float | None, as_json: bool
) -> None:
    """Print all that is known of a campaign before it is sent, as a table or as JSON."""
    if as_json:
        print_json(_preview_as_json(preview, longest_line))
        return
    table = Table.grid(padding=(0, 2))
    for name, value in _preview_lines(preview, longest_line, rate):
        table.add_row(name, cell(value))
    print_table(table)


def _preview_lines(
    preview: Preview, longest_line: int | None, rate: float | None
) -> Iterator[tuple[str, str]]:
    yield "recipients", f"{preview.recipients:,} of {preview.total:,} rows"
    reasons = Counter(recipient.reason for recipient in preview.invalid)
    for reason, count in reasons.most_common():
        yield "  invalid", f"{count:,}: {reason}"
    for name in ("duplicates", "excluded"):
        if count := getattr(preview, name):
            yield f"  {name}", f"{count:,}"
    yield from _country_lines(preview.countries)
    yield "parts", f"{preview.parts:,}"
    for parts, recipients in preview.spread.items():
        yield f"  {parts} each", f"{recipients:,} recipients"
    for encoding, texts in preview.encodings.items():
        yield f"  {encoding}", f"{texts:,} texts"
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
    for code, country in list(countries.items())[:_COUNTRIES_IN_TABLE]:
        price = "" if country.price_per_part is None else f" at {country.price_per_part} EUR"
        yield f"  {code}", f"{country.recipients:,}, {country.parts:,} parts{price}"
    if (more := len(countries) - _COUNTRIES_IN_TABLE) > 0:
        yield "  others", f"{more} more calling codes"


def _preview_as_json(preview: Preview, longest_line: int | None) -> dict[str, Any]:
    longest = preview.longest
    return {
        "total": preview.total,
        "recipients": preview.recipients,
        "invalid": invalid_as_json(preview.invalid),
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
        "spread": {str(parts): recipients for parts, recipients in preview.spread.items()},
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
    """Return a character, or its code point if it would be invisible."""
    if text.isprintable() and not text.isspace():
        return text
    return "+".join(f"U+{ord(one):04X}" for one in text) or "nothing"
