"""Settings and source of a campaign, as its journal stores them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from .._receipt import InvalidRecipient
from .records import Ranges
from .replay import Position

__all__ = [
    "Saved",
    "Settings",
    "StoredRow",
    "StoredSource",
    "decode_row",
    "decode_settings",
    "decode_source",
    "encode_value",
]


class Settings(Struct, frozen=True, kw_only=True):
    """The arguments of a campaign. `options` are as on the wire, `max_cost` is text.

    Of one shard, `campaign` is the id of the whole campaign, and `shard` its number; else they are empty.
    """

    base_url: str
    sender: str
    body: str
    priority: float | None
    options: dict[str, Any]
    test: bool
    batch_size: int
    concurrency: int
    recipients_per_message: int
    careful: bool
    verify_always: bool
    max_cost: str | None
    max_recipients: int | None
    campaign: str = ""
    shard: int = 0


class StoredSource(Struct, frozen=True):
    """The counts of the source, and its recipients that are not sent to. `people` counts the others."""

    total: int
    duplicates: int
    people: int
    invalid: list[tuple[str, str, int]]
    excluded: Ranges = []


class StoredRow(Struct, array_like=True):
    """Some recipients of the source; `written` only where it differs from the number."""

    numbers: list[str]
    written: dict[int, str]
    positions: Ranges
    fields: dict[int, dict[str, str]]


@dataclass(slots=True)
class Saved:
    """The content of a journal.

    `total`, `duplicates` and `excluded` (positions) are of the whole source; `recipients` counts
    those to send to. `careful`: each further message is one POST and one close, whatever the log says.
    """

    settings: Settings
    total: int
    duplicates: int
    excluded: Ranges
    recipients: int
    invalid: list[InvalidRecipient]
    position: Position
    careful: bool = False


decode_settings = msgspec.msgpack.Decoder(Settings).decode


decode_source = msgspec.msgpack.Decoder(StoredSource).decode


decode_row = msgspec.msgpack.Decoder(StoredRow).decode


encode_value = msgspec.msgpack.Encoder().encode
