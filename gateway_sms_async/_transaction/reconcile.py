"""What counts and lists prove about the recipients of one message.

No I/O and no state: answers go in, outcomes come out. All of it errs on one side: a list or a count
that could mean two things proves nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .._receipt import RecipientOutcome
from .._recipients.batches import Batch
from ..models import Message, RecipientReport

__all__ = [
    "MESSAGE_OUTCOMES",
    "Counts",
    "Listing",
    "OutcomesByBatch",
    "count",
    "counts_add_up",
    "each_invalid_is_named",
    "entries_are_distinct",
    "first_absent",
    "outcome_of_one",
    "outcomes_by_counts",
    "outcomes_by_list",
    "read_list",
    "sizes_tell_apart",
    "unnamed",
]

_NOT_DIGITS = re.compile(r"[^0-9]+")

# No number has more digits, and Python refuses to read thousands of them.
_MOST_DIGITS = 20


MESSAGE_OUTCOMES = (
    RecipientOutcome.ACCEPTED,
    RecipientOutcome.INVALID,
    RecipientOutcome.DOUBLED,
    RecipientOutcome.UNKNOWN,
    RecipientOutcome.UNSENT,
)
"""The outcomes that a recipient of a message can have."""


class Counts(NamedTuple):
    """What the gateway counts on a whole message."""

    valid: int
    invalid: int

    @property
    def total(self) -> int:
        """Valid and invalid together."""
        return self.valid + self.invalid


OutcomesByBatch = list[list[RecipientOutcome]]
"""One list for each batch, in the order of its recipients."""


class Listing(NamedTuple):
    """A complete list of the recipients of a message, as counts.

    `times`: how often each number is listed, by its digits; `strangers`: how many entries are
    numbers that were not sent.
    """

    times: Counter[int]
    strangers: int

    @property
    def doubled(self) -> bool:
        """Whether a number is listed more than once."""
        return any(times > 1 for times in self.times.values())


def count(message: Message) -> Counts:
    """Return what the gateway counts on a message."""
    return Counts(message.valid, message.invalid)


def counts_add_up(counts_by_batch: Iterable[tuple[int, int]], total: int) -> bool:
    """Whether the counts in the answers rise by exactly the size of each batch, up to `total`.

    `counts_by_batch` are (count of the whole message in the answer, size of the batch), in any order.
    """
    reached = 0
    for count, size in sorted(counts_by_batch):
        reached += size
        if count != reached:
            return False
    return reached == total


def sizes_tell_apart(sizes: Sequence[int]) -> bool:
    """Whether the counts would show that one batch was lost and another one applied twice.

    They would not if the two had the same size. With one batch besides the one that opened the
    message, no other could make up for it.
    """
    return len(sizes) <= 2 or len(set(sizes)) == len(sizes)  # noqa: PLR2004


def entries_are_distinct(reports: Iterable[RecipientReport], message_id: str) -> bool:
    """Whether each entry of a list is there once, and is of this message.

    Entries are told apart by their id and place. Where pages overlap, one entry comes twice and
    another one is missing, so the length of the list proves nothing. Two entries for one recipient
    who was added twice have different ids.
    """
    seen: set[tuple[str, bytes]] = set()
    for report in reports:
        if report.message_id not in {None, message_id}:
            return False
        if report.id is None:
            continue
        entry = report.id, bytes(report.wire_i)
        if entry in seen:
            return False
        seen.add(entry)
    return True


def digits(number: str) -> int:
    """Return the digits of a number, which are the same however the gateway writes it.

    0 for a text that can be no number.
    """
    found = _NOT_DIGITS.sub("", number)
    return int(found) if 0 < len(found) <= _MOST_DIGITS else 0


def _keys(batch: Batch) -> list[int]:
    return [int(number.replace("-", "")) for number in batch.numbers]


def _named(message: Message, batches: Sequence[Batch], *, once: bool) -> set[int]:
    """Return the digits of the recipients that were sent and that the gateway names as invalid.

    `once`: each batch is known to be on the message exactly once. If the gateway then counts as
    many invalid recipients as were sent and no valid ones, all of them are invalid, even if it
    names only some.
    """
    if not message.invalid:
        return set()
    sent = {key for batch in batches for key in _keys(batch)}
    names = message.recipients.invalid.list
    once = once or len(batches) == 1
    if once and message.invalid == len(sent) != len(names) and not message.valid:
        # Only with `once`: otherwise a doubled recipient could stand for one that was lost.
        return sent
    return {digits(number) for number in names} & sent


def unnamed(message: Message, batches: Sequence[Batch], *, once: bool = False) -> int:
    """Return how many invalid recipients the gateway counts but does not name.

    `once`: each batch is known to be on the message exactly once. If all recipients are invalid,
    they then count as named, because the number alone shows it (see `_named`).
    """
    named = _named(message, batches, once=once)
    if len(named) == message.invalid:
        return 0
    # A recipient may be named as often as it was added.
    return message.invalid - sum(digits(one) in named for one in message.recipients.invalid.list)


def each_invalid_is_named(message: Message, batches: Sequence[Batch]) -> bool:
    """Whether as many different recipients are named as invalid as the gateway counts.

    A batch of invalid recipients that is added twice is counted, and may be named, twice.
    """
    sent = {key for batch in batches for key in _keys(batch)} if message.invalid else set[int]()
    return len({digits(one) for one in message.recipients.invalid.list} & sent) == message.invalid


def first_absent(listing: Listing, batches: Sequence[Batch]) -> str | None:
    """Return the first recipient of these batches that a list does not show, None if it shows all."""
    numbers = (number for batch in batches for number in batch.numbers)
    return next((one for one in numbers if digits(one) not in listing.times), None)


def read_list(
    message: Message, batches: Sequence[Batch], numbers: Iterable[str], *, once: bool = False
) -> Listing | None:
    """Return a list of recipients as counts, None if it is not complete.

    It is complete if it has as many entries as the message has valid recipients. Some gateways may
    list the invalid recipients too, so those that are named (`once`: as in `unnamed`) are left out
    before the entries are counted.
    """
    named = _named(message, batches, once=once)
    times = Counter(key for key in map(digits, numbers) if key not in named)
    if times.total() != message.valid:
        return None
    sent = {key for batch in batches for key in _keys(batch)}
    strangers = sum(count for key, count in times.items() if key not in sent)
    return Listing(times, strangers)


def outcomes_by_counts(
    before: Counts, final: Message, batches: Sequence[Batch], last: Batch | None
) -> OutcomesByBatch | None:
    """Return the outcomes on a closed message from its counts alone, None if they prove nothing.

    `before` is what the look before the close counted. At that time each batch but the `last` was
    proven to be on the message, and all invalid recipients were named. The close added `last`, or no
    recipient if it is None.
    """
    brought = 0 if last is None else len(last)
    if final.valid + final.invalid != before.valid + before.invalid + brought:
        return None
    named = _named(final, batches, once=True)
    earlier = [batch for batch in batches if batch is not last]
    was_invalid = _which_are_invalid(earlier, before.invalid, named)
    if was_invalid is None:
        return None
    outcomes: OutcomesByBatch = []
    for batch in batches:
        invalid: set[int] | None = was_invalid
        if batch is last:
            invalid = _which_are_invalid([batch], final.invalid - before.invalid, named)
        rest = RecipientOutcome.ACCEPTED if invalid is not None else RecipientOutcome.UNKNOWN
        known = named if invalid is None else invalid
        outcomes.append(
            [RecipientOutcome.INVALID if key in known else rest for key in _keys(batch)]
            if known
            else [rest] * len(batch)
        )
    return outcomes


def _which_are_invalid(batches: Sequence[Batch], count: int, named: set[int]) -> set[int] | None:
    """Return which recipients of these are the `count` invalid ones, None if that is not known."""
    if not count:
        return set()
    keys = {key for batch in batches for key in _keys(batch)}
    if count == len(keys):
        return keys
    among_them = named & keys
    return among_them if len(among_them) == count else None


def outcomes_by_list(
    final: Message, batches: Sequence[Batch], listing: Listing, *, once: bool = False
) -> OutcomesByBatch:
    """Return the outcomes on a closed message from the complete list of its recipients."""
    named = _named(final, batches, once=once)
    # A stranger may be a recipient that was sent, written in a way that is not known here.
    absent = RecipientOutcome.UNKNOWN if listing.strangers else RecipientOutcome.UNSENT

    def outcome(key: int) -> RecipientOutcome:
        match listing.times[key]:
            case 0:
                return RecipientOutcome.INVALID if key in named else absent
            case 1:
                return RecipientOutcome.ACCEPTED
            case _:
                return RecipientOutcome.DOUBLED

    return [[outcome(key) for key in _keys(batch)] for batch in batches]


def outcome_of_one(final: Message) -> RecipientOutcome:
    """Return the outcome of the only recipient of a message that was sent without a transaction."""
    match count(final):
        case (0, 0):
            return RecipientOutcome.UNSENT
        case (0, _):
            return RecipientOutcome.INVALID
        case (1, 0):
            return RecipientOutcome.ACCEPTED
        case _:
            return RecipientOutcome.DOUBLED
