"""Todo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

from ..._preview import CountryPreview, Preview
from ..._receipt import InvalidRecipient
from ..._recipients.numbers import mask
from .console import _cell, _print, duration, print_json, say
from .receipt import _refused

__all__ = ["print_preview", "say_offer", "say_preview", "say_refused"]

_REFUSED_SHOWN = 10


_COUNTRIES_SHOWN = 5


_COUNTRIES_LISTED = 20


_CHARACTERS_SHOWN = 20


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
