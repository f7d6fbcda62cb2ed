"""Schedules that were wrong once, written out: whatever `draw` makes of its seeds, they stay."""

from __future__ import annotations

from typing import Any

from .plan import End, Schedule, line

_LEFT_CLOSING: dict[str, Any] = {
    "source": line(9),
    "batch_size": 2,
    "concurrency": 1,
    "recipients_per_message": 4,
    "journal": True,
    "dialect": (("split_close", True),),
}
FOUND = {
    # A message with an intent to close was given more people, who never left: called accepted.
    "added to a message being closed, and not sent": Schedule(
        seed=1,
        lives=(
            End(how="kill", at="request", when=11, side="after"),
            End(how="kill", at="request", when=1),
        ),
        **_LEFT_CLOSING,
    ),
    "added to a closed message": Schedule(
        seed=1,
        lives=(End(how="kill", at="request", when=11, side="after"), None),
        **_LEFT_CLOSING,
    ),
    # An empty list was called complete, though its journal never came to be.
    "nobody, and no journal": Schedule(
        seed=558714,
        source=(),
        journal=True,
        lives=(End(how="aclose", at="round", when=2, side="before"),),
    ),
    # A resume did not know that one more was too many for a message, and stopped there each time.
    "resumed on a full message": Schedule(
        seed=7,
        source=line(7),
        batch_size=3,
        concurrency=1,
        journal=True,
        dialect=(("max_per_message", 3),),
        lives=(End(how="kill", at="request", when=2, side="after"), None),
    ),
}
