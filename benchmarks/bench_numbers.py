"""What reading a number costs, form by form, beside `phonenumbers.parse` alone.

    python -m benchmarks.bench_numbers [--json] [--runs N]

Nanoseconds a number: plain, with `default_region="IT"`, with `strict` on top, and the yardstick
on the same text. Medians of runs that took turns in one process after a warm-up; the last column
is parse / region. Without a region a national number is refused, which costs too. Needs the
extra `phone`.
"""

import argparse
import json
import platform
import statistics
from collections.abc import Callable
from importlib.metadata import version
from timeit import Timer
from typing import Any

import phonenumbers

from gateway_sms_async.phone import number_reader

_REGION = "IT"
_SECONDS = 0.02  # a run, about

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
    """The yardstick: reads, and writes nothing."""
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
        # A refusal is an outcome, and costs what it costs.
        refusing = "try: read(number)\nexcept Exception: pass"
        return Timer(refusing, globals={"read": read, "number": number})
    return Timer("read(number)", globals={"read": read, "number": number})


def bench(number: str, runs: int) -> dict[str, list[float]]:
    """Let the readers take turns; nanoseconds a number, as [min, median, max]."""
    timers = {name: timer(read, number) for name, read in READERS.items()}
    loops: dict[str, int] = {}
    for name, one in timers.items():
        one.timeit(100)
        loops[name] = max(100, int(_SECONDS / (one.timeit(1_000) / 1_000)))
    taken: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(runs):
        for name, one in timers.items():
            taken[name].append(one.timeit(loops[name]) / loops[name] * 1e9)
    return {
        name: [round(f(all_)) for f in (min, statistics.median, max)]
        for name, all_ in taken.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "phonenumbers": version("phonenumbers"),
    }
    if not options.json:
        print(results)
        print(f"{'ns a number':20}" + "".join(f"{name:>9}" for name in READERS) + "  ratio")
    for name, number in FORMS.items():
        figures = results[name] = bench(number, options.runs)
        if not options.json:
            medians = {reader: all_[1] for reader, all_ in figures.items()}
            print(f"{name:20}" + "".join(f"{one:9.0f}" for one in medians.values()), end="")
            print(f"{medians['parse'] / medians['region']:7.1f}", flush=True)
    if options.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
