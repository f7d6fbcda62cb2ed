"""The receipt of a campaign: JSON on stdout, a summary on stderr. Numbers are masked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..._receipt import InvalidRecipient, Receipt
from ..._recipients.numbers import mask
from .console import print_json, print_status

_EXAMPLES = 5


def print_receipt(receipt: Receipt) -> None:
    """Print a receipt as one JSON object, with counts and masked numbers only."""
    print_json(
        {
            "total": receipt.total,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "excluded": receipt.excluded,
            "invalid": invalid_as_json(receipt.invalid),
            "doubled": len(receipt.doubled),
            "unknown": len(receipt.unknown),
            "unsent": len(receipt.unsent),
            "message_ids": receipt.message_ids,
            "open_message_ids": receipt.open_message_ids,
            "requests": receipt.requests,
            "retries": receipt.retries,
            "elapsed": round(receipt.elapsed, 3),
            "cost": receipt.cost,
            "complete": receipt.complete,
            "source_exhausted": receipt.source_exhausted,
            "running": receipt.running,
        }
    )


def invalid_as_json(invalid: Sequence[InvalidRecipient]) -> dict[str, Any]:
    """Return the invalid recipients as a count, their reasons and a few masked examples."""
    examples = dict.fromkeys(mask(recipient.number) for recipient in invalid[:1000])
    return {
        "count": len(invalid),
        "reasons": dict(Counter(recipient.reason for recipient in invalid).most_common()),
        "examples": list(examples)[:_EXAMPLES],
    }


def print_summary(receipt: Receipt, *, resumable: bool) -> None:
    """Print the counts of a receipt in one line, then what to do about the remaining recipients."""
    counts = {
        "invalid": len(receipt.invalid),
        "duplicates": receipt.duplicates,
        "excluded": receipt.excluded,
        "not sent": len(receipt.unsent),
        "unknown": len(receipt.unknown),
        "doubled": len(receipt.doubled),
    }
    others = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    cost = "" if receipt.cost is None else f"; {receipt.cost} EUR"
    print_status(
        f"Accepted {receipt.accepted:,} of {receipt.total:,}{others}{cost}; {receipt.elapsed:.1f} s."
    )
    if receipt.running:
        print_status(
            "Another process is running this campaign: these are the counts of this moment, and it "
            "goes on by itself."
        )
    if resumable or receipt.running:
        return
    if receipt.unsent:
        print_status(
            "Recipients counted as not sent are not on a closed message: it is safe to send to "
            "them again."
        )
    if receipt.unknown:
        print_status(
            "Recipients counted as unknown may have been sent the text: do not simply send to them "
            "again."
        )
    for message_id in receipt.open_message_ids:
        print_status(
            f"Message {message_id} was left open and will not be sent. To delete it: "
            f"gateway-sms delete {message_id}"
        )
