"""Todo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from ..._receipt import InvalidRecipient, Receipt
from ..._recipients.numbers import mask
from .console import print_json, say

__all__ = ["print_receipt", "summarize"]

_EXAMPLES = 5


# Receipts


def print_receipt(receipt: Receipt) -> None:
    """Print a receipt as one JSON object, counts and masked numbers only."""
    print_json(
        {
            "total": receipt.total,
            "accepted": receipt.accepted,
            "duplicates": receipt.duplicates,
            "excluded": receipt.excluded,
            "invalid": _refused(receipt.invalid),
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
        }
    )


def _refused(invalid: Sequence[InvalidRecipient]) -> dict[str, Any]:
    examples = dict.fromkeys(mask(one.number) for one in invalid[:1000])
    return {
        "count": len(invalid),
        "reasons": dict(Counter(one.reason for one in invalid).most_common()),
        "examples": list(examples)[:_EXAMPLES],
    }


def summarize(receipt: Receipt, *, resumable: bool) -> None:
    """Say in a few words what became of everyone, and what to do about those left over."""
    counts = {
        "invalid": len(receipt.invalid),
        "duplicates": receipt.duplicates,
        "excluded": receipt.excluded,
        "not sent to": len(receipt.unsent),
        "unknown": len(receipt.unknown),
        "doubled": len(receipt.doubled),
    }
    left_over = "".join(f", {count:,} {name}" for name, count in counts.items() if count)
    cost = "" if receipt.cost is None else f"; {receipt.cost} EUR"
    say(
        f"Accepted {receipt.accepted:,} of {receipt.total:,}{left_over}{cost}; "
        f"{receipt.elapsed:.1f} s."
    )
    if resumable:
        return
    if receipt.unsent:
        say("Those not sent to are on no closed message: it is safe to send to them again.")
    if receipt.unknown:
        say(
            "Whether the unknown ones are texted cannot be known: do not simply send to them again."
        )
    for message_id in receipt.open_message_ids:
        say(
            f"Message {message_id} was left open: it never sends by itself. To remove it: "
            f"gateway-sms delete {message_id}"
        )
