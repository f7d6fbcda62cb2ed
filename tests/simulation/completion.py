"""Checks what a campaign must have come to: complete, with progress that adds up, in few requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from gateway_sms_async import Progress, Receipt

from .matrix import Cell, may_block, may_stop
from .plan import Schedule

_UNIDENTIFIED = "holds its recipients cannot be known"


def check_progress(last: Progress, texted: int) -> Iterator[str]:
    """Yield where the last progress report of a process that returned no receipt is wrong."""
    if not last.accepted <= texted <= last.accepted + last.unknown:
        yield f"{texted} were texted, but the last report was {last}"
    parts = last.accepted + last.invalid + last.duplicates + last.unknown + last.unsent
    if parts != last.read:
        yield f"the parts of {last} add up to {parts}"


def check_completion(
    schedule: Schedule,
    receipt: Receipt | None,
    *,
    cells: Counter[Cell],
    events: Mapping[str, int],
    lifted: bool,
) -> Iterator[str]:
    """Yield that the campaign is not complete, unless a fault or the dialect may prevent it.

    `lifted`: the last process was resumed with ceilings that cannot be reached.
    """
    journal = schedule.journal
    quiet = not cells and schedule.processes == (None,) and schedule.delay < schedule.timeout
    quiet = quiet and schedule.outsider is None
    if schedule.cell is not None and not may_stop(schedule.cell):
        quiet = True
    # A campaign has ten rounds: a recipient that is missing after them stays unsent.
    out_of_rounds = any("rounds" in event for event in events)
    # Once the answer to an open was lost, nothing may show which message another answer is about.
    is_anonymous = "custom_returned" in dict(schedule.dialect)
    unidentified = is_anonymous and any(_UNIDENTIFIED in event for event in events)
    blocked = _is_blocked(schedule, lifted=lifted)
    if blocked or out_of_rounds or unidentified or not (journal or quiet):
        return
    if receipt is None or not (receipt.complete or receipt.unknown or receipt.doubled):
        yield f"did not complete: {receipt}"
    elif quiet and not receipt.complete:
        yield f"did not complete, though nothing prevented it: {receipt}"


def _is_blocked(schedule: Schedule, *, lifted: bool) -> bool:
    """Return whether the dialect or the ceiling may prevent that the campaign completes."""
    if schedule.ceiling is not None:
        # What costs nothing, or less, has no cost that could be limited.
        priceless = schedule.ceiling.cost is not None and schedule.price <= 0
        if priceless or not lifted:
            return True
    return may_block(
        dict(schedule.dialect),
        verify=schedule.mode == "verify",
        unroutable=bool(schedule.unroutable),
        with_fields="{{" in schedule.body,
        patience=schedule.max_elapsed,
    )


def most_requests(schedule: Schedule) -> int:
    """Return more requests than one process of a campaign needs."""
    size = min(schedule.batch_size, schedule.recipients_per_message)
    dialect = dict(schedule.dialect)
    alone = dialect.get("object_lists") is False and "{{" in schedule.body
    if alone or "max_recipients" in dialect:
        # One by one, or halved until the gateway takes it.
        size = 1
    batches = len(schedule.source) // size
    return (150 + 40 * (batches + 2)) * schedule.shards
