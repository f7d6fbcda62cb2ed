"""What a journal says: one record for each thing that must not be forgotten.

The protocol and the campaign write them, the journal keeps them, a resume reads them. People are
named by their ordinals, the order in which the source gave them, as runs `(first, end)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Struct

__all__ = [
    "AbandonIntent",
    "AppendIntent",
    "Appended",
    "BatchReleased",
    "CloseIntent",
    "CloseRefused",
    "ClosedElsewhere",
    "Ended",
    "Finished",
    "OpenIntent",
    "Opened",
    "Ranges",
    "Record",
    "Resumed",
    "RunSummary",
    "SingleSendIntent",
    "decode",
    "encode",
    "ranges",
]

Ranges = list[tuple[int, int]]


class OpenIntent(Struct, tag="opening", array_like=True, frozen=True):
    """Intent, durable before the POST: a message is opened with these."""

    message: int
    people: Ranges


class Opened(Struct, tag="opened", array_like=True, frozen=True):
    """The gateway's answer: the message's id, and how many it counts."""

    message: int
    message_id: str
    count: int


class AppendIntent(Struct, tag="adding", array_like=True, frozen=True):
    """Intent, durable before the PUT: a batch is added. Batch 0 is the one that opened."""

    message: int
    batch: int
    people: Ranges


class Appended(Struct, tag="added", array_like=True, frozen=True):
    """The gateway's answer: how many it counts on the message now."""

    message: int
    batch: int
    count: int


class BatchReleased(Struct, tag="taken back", array_like=True, frozen=True):
    """A batch is proven not to be applied: it never left, or was refused completely."""

    message: int
    batch: int


class CloseIntent(Struct, tag="closing", array_like=True, frozen=True):
    """Intent, durable before the first byte of the close, which carries `people`.

    `valid` and `invalid` are what the look before it counted; `proven`: each batch was proven to
    be on the message by counts alone; `cost` is what it was reckoned to cost, in euro as text.
    """

    message: int
    people: Ranges
    valid: int
    invalid: int
    proven: bool
    cost: str | None = None


class CloseRefused(Struct, tag="close refused", array_like=True, frozen=True):
    """A close, or a plain send, is proven not to be applied: it never left, or was refused."""

    message: int


class ClosedElsewhere(Struct, tag="closed elsewhere", array_like=True, frozen=True):
    """The message is closed though nobody here closed it: its people may be texted."""

    message: int


class AbandonIntent(Struct, tag="abandoning", array_like=True, frozen=True):
    """Intent, durable before the DELETE: the message is never closed from here on."""

    message: int


class SingleSendIntent(Struct, tag="sending", array_like=True, frozen=True):
    """Intent, durable before a POST that sends: the message's people go out by it alone."""

    message: int
    reference: str | None


class Resumed(Struct, tag="resumed", array_like=True, frozen=True):
    """Another run begins: whoever is on a message without an id is given to another one."""


class Ended(Struct, tag="ended", array_like=True, frozen=True):
    """What became of a message's people; `accepted` counts those not named.

    `price` is in euro as text. While somebody is `unknown`, a resume looks again.
    """

    message: int
    state: str
    message_id: str | None
    price: str | None
    invalid: Ranges
    doubled: Ranges
    unknown: Ranges
    unsent: Ranges
    accepted: int | None = None


class RunSummary(Struct, tag="went", array_like=True, frozen=True):
    """What a run of the campaign took, and what it has learned for the next one."""

    requests: int
    retries: int
    elapsed: float
    batch_size: int
    per_message: int
    careful: bool
    objects_understood: bool | None
    lists_hold_invalid: bool | None
    wasted: str | None


class Finished(Struct, tag="finished", array_like=True, frozen=True):
    """Everyone is settled, durable before the caller is told so: what the receipt says of it."""

    complete: bool
    message_ids: list[str]
    open_message_ids: list[str]
    requests: int
    retries: int
    elapsed: float
    cost: str | None


Record = (
    OpenIntent
    | Opened
    | AppendIntent
    | Appended
    | BatchReleased
    | CloseIntent
    | CloseRefused
    | ClosedElsewhere
    | AbandonIntent
    | SingleSendIntent
    | Resumed
    | Ended
    | RunSummary
    | Finished
)


encode: Callable[[Record], bytes] = msgspec.msgpack.Encoder().encode


decode: Callable[[bytes], Record] = msgspec.msgpack.Decoder(Record).decode


def ranges(ordinals: Sequence[int]) -> Ranges:
    """Write rising or unordered ordinals as runs."""
    if not ordinals:
        return []
    first, end = ordinals[0], ordinals[-1] + 1
    # Most are one run, and comparing lists is much faster than walking through one.
    if isinstance(ordinals, range) or ordinals == list(range(first, end)):
        return [(first, end)]
    return list(_ranges(ordinals))


def without(people: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> Ranges:
    """Return the runs of those people who are not among the others."""
    if not others:
        return list(people)
    gone = {one for run in others for one in range(*run)}
    return ranges([one for run in people for one in range(*run) if one not in gone])


def _ranges(ordinals: Iterable[int]) -> Iterable[tuple[int, int]]:
    first: int | None = None
    end = 0
    for one in ordinals:
        if first is not None and one == end:
            end += 1
            continue
        if first is not None:
            yield first, end
        first, end = one, one + 1
    if first is not None:
        yield first, end
