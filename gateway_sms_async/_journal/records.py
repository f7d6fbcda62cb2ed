"""The records of a journal: one for each fact that must survive a crash.

The messages and the campaign write them, a resume reads them. Recipients are named by their
ordinals, which count them in the order of the source, as ranges `(first, end)`. The tags and the
order of the fields are the format of the file; the names of classes and fields are not in it.
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
    """Intent, durable before the POST: a message is opened with these recipients."""

    message: int
    recipients: Ranges


class Opened(Struct, tag="opened", array_like=True, frozen=True):
    """The gateway's answer: the id of the message, and how many recipients it counts.

    `is_own`: it showed the reference of the open. `lost`: how many attempts before it had no answer.
    """

    message: int
    message_id: str
    count: int
    is_own: bool = True
    lost: int = 0


class AppendIntent(Struct, tag="adding", array_like=True, frozen=True):
    """Intent, durable before the PUT: a batch is added. Batch 0 is the one that opened."""

    message: int
    batch: int
    recipients: Ranges


class Appended(Struct, tag="added", array_like=True, frozen=True):
    """The gateway's answer: how many recipients it counts on the message now."""

    message: int
    batch: int
    count: int


class BatchReleased(Struct, tag="taken back", array_like=True, frozen=True):
    """A batch is proven not to be applied: it never left, or was refused completely."""

    message: int
    batch: int


class CloseIntent(Struct, tag="closing", array_like=True, frozen=True):
    """Intent, durable before the first byte of the close, which adds `recipients`.

    - `valid`, `invalid`: what the look before the close counted.
    - `proven`: counts alone proved each batch to be on the message.
    - `cost`: the estimated cost, in euro as text.
    """

    message: int
    recipients: Ranges
    valid: int
    invalid: int
    proven: bool
    cost: str | None = None


class CloseRefused(Struct, tag="close refused", array_like=True, frozen=True):
    """A close, or a plain send, is proven not to be applied: it never left, or was refused.

    `seen_open`: the close was refused, and a look showed the message open and unchanged. A copy of
    it may still arrive, so its recipients stay assigned to this message, and a resume closes it.
    """

    message: int
    seen_open: bool = False


class ClosedElsewhere(Struct, tag="closed elsewhere", array_like=True, frozen=True):
    """The message is closed though no run closed it: its recipients may be texted."""

    message: int


class AbandonIntent(Struct, tag="abandoning", array_like=True, frozen=True):
    """Intent, durable before the DELETE: the message is never closed from here on."""

    message: int


class SingleSendIntent(Struct, tag="sending", array_like=True, frozen=True):
    """Intent, durable before a POST that sends to the only recipient, without a transaction."""

    message: int
    reference: str | None


class Resumed(Struct, tag="resumed", array_like=True, frozen=True):
    """Another run begins: recipients of a message without an id are assigned to another one."""


class Ended(Struct, tag="ended", array_like=True, frozen=True):
    """A message has ended, with these outcomes; `accepted` counts the recipients not named.

    `price` is in euro as text. As long as a recipient is `unknown`, a resume looks again.
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
    """The requests and the time of a run, and the sizes and modes that the next run begins with."""

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
    """All recipients are settled: parts of the receipt, durable before the caller gets it."""

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
    """Return ordinals, which need not rise, as ranges."""
    if not ordinals:
        return []
    first, end = ordinals[0], ordinals[-1] + 1
    # Most are one range, and comparing two lists is much faster than a loop over one.
    if isinstance(ordinals, range) or ordinals == list(range(first, end)):
        return [(first, end)]
    return list(_ranges(ordinals))


def without(recipients: Sequence[tuple[int, int]], others: Sequence[tuple[int, int]]) -> Ranges:
    """Return the ranges of these recipients without the others."""
    if not others:
        return list(recipients)
    gone = {one for run in others for one in range(*run)}
    return ranges([one for run in recipients for one in range(*run) if one not in gone])


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
