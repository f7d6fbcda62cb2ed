"""Schedules that once failed, written out so that they stay when `draw` changes."""

from __future__ import annotations

from typing import Any

from .plan import BLIND_FOR, LIFTED, Ceiling, Interruption, Outsider, Pin, Schedule, line

_LEFT_CLOSING: dict[str, Any] = {
    "source": line(9),
    "batch_size": 2,
    "concurrency": 1,
    "recipients_per_message": 4,
    "journal": True,
    "dialect": (("split_close", True),),
}
FOUND = {
    # A message with a close intent got more recipients, which were never sent but counted accepted.
    "added to a message being closed, and not sent": Schedule(
        seed=1,
        processes=(
            Interruption(how="kill", at="request", when=15, side="after"),
            Interruption(how="kill", at="request", when=1),
        ),
        **_LEFT_CLOSING,
    ),
    "added to a closed message": Schedule(
        seed=1,
        processes=(Interruption(how="kill", at="request", when=15, side="after"), None),
        **_LEFT_CLOSING,
    ),
    # An empty source was reported complete, though its journal was never created.
    "no recipients, and no journal": Schedule(
        seed=558714,
        source=(),
        journal=True,
        processes=(Interruption(how="aclose", at="round", when=2, side="before"),),
    ),
    # A resume did not know that a message was full, and stopped at the same recipient each time.
    "resumed on a full message": Schedule(
        seed=7,
        source=line(7),
        batch_size=3,
        concurrency=1,
        journal=True,
        dialect=(("max_per_message", 3),),
        processes=(Interruption(how="kill", at="request", when=2, side="after"), None),
    ),
    # The recipients of a lost open, which another message had taken, were counted a second time as
    # unknown once that one was found closed.
    "replaced before another was closed elsewhere": Schedule(
        seed=3,
        source=line(4),
        batch_size=3,
        concurrency=1,
        dialect=(("max_recipients", 2),),
        pins=(Pin("open", 0, "late", "before"), Pin("append", 0, "422/212", "before")),
        timeout=30.0,
    ),
    # What a resumed message holds was only known from looks, as its open may have had the answer to
    # another one. So a 413 for its close did not tell that it was full, and each resume stopped there.
    "resumed on a full message that may be another one": Schedule(
        seed=50054629,
        source=line(9),
        batch_size=4,
        concurrency=1,
        recipients_per_message=4,
        journal=True,
        timeout=30.0,
        max_attempts=1,
        dialect=(("list_grows", 2.0), ("custom_returned", False), ("max_per_message", 3)),
        pins=(Pin("open", 0, "partial, reset", "after"), Pin("recipients", 0, "413", "before")),
        processes=(None, None),
    ),
    # A resume added recipients to a message that held them already, because its open had got the
    # answer of another one.
    "added to a message that may be another one": Schedule(
        seed=5038,
        source=line(13),
        batch_size=3,
        concurrency=3,
        recipients_per_message=9,
        journal=True,
        rate=10.0,
        timeout=30.0,
        dialect=(("custom_returned", False),),
        pins=(
            Pin("open", 0, "hang", "after"),
            Pin("open", 1, "mixed up", "after"),
            Pin("get", 0, "403", "before"),
        ),
        delay=1.0,
        processes=(None, None),
    ),
    # Nothing could be closed before the resume, which must not believe that each message holds what it
    # was opened with: one had got the answer of another open, which was made again since.
    "resumed with the message of another open": Schedule(
        seed=480,
        source=line(10),
        batch_size=1,
        concurrency=3,
        recipients_per_message=2,
        journal=True,
        rate=10.0,
        timeout=30.0,
        max_attempts=2,
        dialect=(("custom_returned", False), ("list_while_open", False)),
        pins=(
            Pin("open", 0, "drip", "after"),
            Pin("open", 1, "mixed up", "after"),
            *(Pin("get", index, "403", "before") for index in range(BLIND_FOR)),
        ),
        delay=0.1,
        processes=(None, None),
    ),
    # A resume saw a message closed by a copy of a close that had been refused, and stopped before it
    # could tell whom it holds: its receipt said unknown, and its journal unsent.
    "unsent in the journal of a resume that saw it closed": Schedule(
        seed=12518,
        source=line(18),
        batch_size=3,
        concurrency=4,
        recipients_per_message=15,
        mode="verify",
        journal=True,
        journal_rounds=5,
        timeout=30.0,
        max_elapsed=10.0,
        dialect=(
            ("strict_slashes", True),
            ("list_pages", 2),
            ("list_limit", 3),
            ("empty_close", False),
        ),
        pins=(Pin("close", 0, "copy held", "before"),),
        processes=(None, None),
    ),
    # The search for a lost single send read a message of the same campaign that others had closed,
    # and nobody took notice: its recipient was called unsent, though texted.
    "seen closed by the search for a lost send": Schedule(
        seed=1,
        source=line(4),
        concurrency=4,
        recipients_per_message=1,
        mode="careful",
        journal=True,
        timeout=30.0,
        max_elapsed=10.0,
        dialect=(("empty_close", False),),
        pins=(
            Pin("get", 0, "hang", "before"),
            Pin("send", 0, "reset", "before"),
            Pin("get", 14, "closed by others", "before"),
        ),
        processes=(None,),
    ),
    # A message left open was counted as unsent when its requests had ended. A user's call then showed
    # it closed, before the receipt was made, and nobody took notice.
    "seen closed after the last request of its campaign": Schedule(
        seed=1,
        source=line(10),
        batch_size=1,
        concurrency=1,
        recipients_per_message=2,
        mode="verify",
        journal=True,
        journal_rounds=5,
        rate=1,
        timeout=30.0,
        pins=(Pin("open", 1, "hang", "after"),),
        outsider=Outsider(at=0.782, reads_after=1.458, which=1),
        processes=(Interruption(how="stop", at="time", when=4.468),),
    ),
    # A resume with max_cost stopped each time before a message without a valid recipient, because it
    # shows no price: an earlier close of it was refused, so its last batch was on no other message.
    "no price on a message whose close was refused": Schedule(
        seed=1,
        source=line(2),
        unroutable=tuple(item.number for item in line(2) if item.number),
        batch_size=1,
        recipients_per_message=9,
        journal=True,
        ceiling=Ceiling(recipients=2),
        raised=LIFTED,
        pins=(Pin("close", 0, "402", "before"),),
        processes=(Interruption(how="stop", at="time", when=60.0),),
    ),
    # A close that was refused, and was too large for the message, was sent again at each resume.
    "refused, and then too large": Schedule(
        seed=4,
        source=line(9),
        batch_size=3,
        concurrency=2,
        mode="careful",
        journal=True,
        dialect=(("max_per_message", 3),),
        pins=(Pin("close", 0, "422", "before"),),
        processes=(None, None),
    ),
}
