"""Which text was sent to which number, for the assertions of users' tests.

Numbers and texts are shown in full: they are the test's own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .message import StoredMessage
from .recipients import fill

_PUNCTUATION = re.compile(r"[\s+().-]+")
_DIGITS = re.compile(r"[0-9]{5,20}", re.ASCII)
_SHOWN = 20


class Text(NamedTuple):
    """One text to one number.

    - `number`: the recipient as the gateway stores it.
    - `body`: the text with the recipient's fields filled in.
    """

    number: str
    body: str
    sender: str
    message_id: str


class Ledger(Counter[str]):
    """How often each number was texted.

    The keys are the numbers as the gateway stores them. A number may be asked for in any
    international form; raises ValueError for a text that is no such number, because a test that
    asks for it would find 0 each time.
    """

    def __missing__(self, number: str) -> int:
        key = _checked_digits(number, map(digits, self))
        return sum(times for stored, times in self.items() if digits(stored) == key)

    def __contains__(self, number: object) -> bool:
        return super().__contains__(number) or (isinstance(number, str) and self[number] > 0)


def texts(messages: Iterable[StoredMessage]) -> Iterator[Text]:
    """Yield every text that was sent: on closed messages, test sends excluded."""
    for message in messages:
        if not message.is_open and not message.test:
            for i, number in enumerate(message.numbers):
                body = fill(message.text, message.fields.get(i))
                yield Text(number, body, message.sender, message.id)


def digits(number: str) -> str:
    """Return the digits of an international number, the same for every way to write it."""
    written = _PUNCTUATION.sub("", number)
    return written.removeprefix("00") or number


def sent_to(sent: Iterable[Text], number: str) -> list[str]:
    """Return the texts to a number. Raises ValueError if nobody could have this number."""
    by_number: dict[str, list[str]] = {}
    for text in sent:
        by_number.setdefault(digits(text.number), []).append(text.body)
    return by_number.get(_checked_digits(number, by_number), [])


def _checked_digits(number: str, known: Iterable[str]) -> str:
    """Return the digits of a number that is known, or that is written in an international form."""
    found = digits(number)
    is_international = number.lstrip().startswith(("+", "00")) and _DIGITS.fullmatch(found)
    if not is_international and found not in known:
        raise ValueError(f"{number!r} is not a number in international form, such as +393401234567")
    return found


def differences(sent: Iterable[Text], expected: Mapping[str, str | Iterable[str]]) -> str:
    """Describe how the sent texts differ from the expected ones; empty if they do not."""
    sent = list(sent)
    known = {digits(text.number) for text in sent}
    written = {_checked_digits(number, known): number for number in expected}
    if len(written) < len(expected):
        raise ValueError("expected names a number twice: give its texts as one list")
    wanted: dict[str, Counter[str]] = {}
    for number, bodies in expected.items():
        wanted[digits(number)] = Counter([bodies] if isinstance(bodies, str) else bodies)
    got: dict[str, Counter[str]] = {}
    for text in sent:
        got.setdefault(digits(text.number), Counter())[text.body] += 1
        written.setdefault(digits(text.number), text.number)
    lines: list[str] = []
    for key, number in written.items():
        missing = wanted.get(key, Counter()) - got.get(key, Counter())
        extra = got.get(key, Counter()) - wanted.get(key, Counter())
        lines += [f"  {number}: not sent{_times(n)}: {body!r}" for body, n in missing.items()]
        lines += [f"  {number}: not expected{_times(n)}: {body!r}" for body, n in extra.items()]
    if len(lines) > _SHOWN:
        lines[_SHOWN:] = [f"  and {len(lines) - _SHOWN} more differences"]
    return "\n".join(lines)


def _times(n: int) -> str:
    return "" if n == 1 else f" {n} times"
