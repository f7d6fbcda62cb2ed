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


def differences(sent: Iterable[Text], expected: Mapping[str, str | Iterable[str]]) -> str:
    """Describe how the sent texts differ from the expected ones; empty if they do not."""
    written = {digits(number): number for number in expected}
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
