"""Time of reading a number, by its form, compared with `phonenumbers.parse` alone.

Nanoseconds per number: plain, with `default_region="IT"`, with `strict` too, and
`phonenumbers.parse` of the same text. Medians of alternating runs in one process after a warm-up;
the last column is parse / region. Without a region a national number is refused, which takes time
too. Needs the extra `phone`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from timeit import Timer

import phonenumbers

from gateway_sms_async._recipients.national import number_reader

from ._figures import Figure, Result, Size, Spread, ratio, spread, spreads
from ._measure import take_turns

_REGION = "IT"
_SECONDS = {"tiny": 0.0, "small": 0.02, "full": 0.02}  # approximate length of a run

_WRITTEN = (
    "+39-3401234567",
    "+393401234567",
    "00393401234567",
    "+39 340 1234567",
    "0039 340 1234567",
    "+1 201-555-0123",
    "+39.340.1234567",
    "(+39) 340/1234567",
    "tel:+39-340-1234567",
    "340 1234567",
    "06 69812345",
)
FORMS = {
    **{number: number for number in _WRITTEN},
    "no-break blanks": "+39\u00a0340\u00a01234567",
    "in invisible marks": "\u202a+39 340 1234567\u202c",
    "full width": "\uff0b\uff13\uff19 \uff13\uff14\uff10 1234567",
    "refused: letters": "+39 34O 1234567",
}

Read = Callable[[str], object]


def parse(number: str) -> object:
    """Parse only, for comparison: it does not format the number."""
    return phonenumbers.parse(number, _REGION)


READERS: dict[str, Read] = {
    "plain": number_reader(),
    "region": number_reader(_REGION),
    "strict": number_reader(_REGION, strict=True),
    "parse": parse,
}


def timer(read: Read, number: str) -> Timer:
    try:
        read(number)
    except (ValueError, phonenumbers.NumberParseException):
        # A refusal is measured too.
        refusing = "try: read(number)\nexcept Exception: pass"
        return Timer(refusing, globals={"read": read, "number": number})
    return Timer("read(number)", globals={"read": read, "number": number})


def _nanoseconds(one: Timer, loops: int) -> float:
    return one.timeit(loops) / loops * 1e9


def bench(number: str, runs: int, *, seconds: float) -> dict[str, list[float]]:
    """Run the readers alternately; return nanoseconds per number."""
    candidates: dict[str, Callable[[], float]] = {}
    for name, read in READERS.items():
        one = timer(read, number)
        one.timeit(100)
        loops = max(100, int(seconds / (one.timeit(1_000) / 1_000)))
        candidates[name] = partial(_nanoseconds, one, loops)
    return take_turns(runs, candidates)


def run(size: Size, runs: int) -> Result:
    result = Result()
    lines = [f"{'ns a number':20}" + "".join(f"{name:>9}" for name in READERS) + "  ratio"]
    beside: list[Spread] = []
    for name, number in FORMS.items():
        taken = bench(number, runs, seconds=_SECONDS[size])
        result.details[name] = spreads(taken, digits=0)
        medians = {reader: spread(all_).median for reader, all_ in taken.items()}
        beside.append(ratio(taken["parse"], taken["region"]))
        lines.append(
            f"{name:20}"
            + "".join(f"{one:9.0f}" for one in medians.values())
            + f"{beside[-1].median:7.1f}"
        )
    result.text = "\n".join(lines)
    for words, choose in (("of all forms the least", min), ("the most", max)):
        value = choose(beside, key=lambda one: one.median)
        what = f"reading a number beside `phonenumbers.parse`, {words}: its time / ours"
        result.figures.append(Figure(what, value, "x"))
    return result
