"""What a campaign notes in its journal."""

from __future__ import annotations

from .._journal.records import Finished, Ranges, ranges
from .._receipt import Receipt
from .._recipients.batches import Batch


def _finished(receipt: Receipt) -> Finished:
    return Finished(
        receipt.complete,
        list(receipt.message_ids),
        list(receipt.open_message_ids),
        receipt.requests,
        receipt.retries,
        receipt.elapsed,
        None if receipt.cost is None else str(receipt.cost),
    )


def _ordinals(batches: list[Batch]) -> Ranges:
    return [run for batch in batches for run in ranges(batch.ordinals)]
