"""Todo."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Annotated

from ..._delivery.summary import DeliverySummary
from ..app import FAILED, INTERRUPTED, RESUMABLE, SOME_INVALID, command, signal_handlers
from ..options import AccountOptions, option
from ..selection import Ids, Journals, _sent
from ..terminal.console import say
from ..terminal.live_table import Show, is_known, shown, total

_LONGEST_WAIT = 3 * 24 * 60 * 60
"""Seconds; carriers hold a text for a phone that is switched off for about so long."""


_NOT_TO_BE_FOLLOWED = {
    "open": "is open, so nothing of it was sent yet",
    "no recipients": "has no recipients",
    "not found": "is not there",
}


class _Tracking:
    """Messages as they are followed, and where they stood last."""

    def __init__(self, message_ids: Sequence[str], account: AccountOptions, seconds: float) -> None:
        self._message_ids = message_ids
        self._account = account
        self._seconds = seconds
        self._last: DeliverySummary | None = None
        self.signal: int | None = None

    async def run(self, show: Show) -> None:
        """Follow them to their end, as long as is allowed, or until a signal comes."""

        def keep(summary: DeliverySummary) -> None:
            self._last = summary
            show(summary)

        async with self._account.client() as gateway:
            following = asyncio.create_task(
                gateway.wait_delivered(self._message_ids, timeout=self._seconds, on_progress=keep)
            )

            def handler(number: int) -> None:
                self.signal = number
                following.cancel()

            with signal_handlers(handler):
                await asyncio.wait([following])
        if not following.cancelled():
            following.result()

    def conclude(self) -> int:
        """Say where everything stands and what can be done, and return the exit code."""
        summary = self._last
        interrupted = 0 if self.signal is None else INTERRUPTED + self.signal
        if summary is None:
            say("Interrupted before anything was known.")
            return interrupted
        now = total(summary)
        say(
            f"{now.delivered:,} of {now.recipients:,} delivered, {now.failed:,} not delivered, "
            f"{now.undecided:,} under way."
        )
        by_list = sum(count for state, count in summary.counts.items() if not state.is_final)
        if by_list and not now.undecided:
            say(f"By the lists of recipients, which are read seldom, {by_list:,} are under way.")
        if unseen := sum(not is_known(one) for one in summary.messages):
            say(f"{unseen:,} messages were not looked at.")
        in_vain = False
        for message in summary.messages:
            if message.unfinished in _NOT_TO_BE_FOLLOWED:
                in_vain = True
                say(f"Message {message.message_id} {_NOT_TO_BE_FOLLOWED[message.unfinished]}.")
        if interrupted:
            return interrupted
        if any(
            not (one.complete or one.unfinished in _NOT_TO_BE_FOLLOWED) for one in summary.messages
        ):
            return RESUMABLE
        if in_vain:
            return FAILED
        refused = any(one.message is not None and one.message.invalid for one in summary.messages)
        return SOME_INVALID if now.failed or refused else 0


@command(
    "gateway-sms track 5af5ed8d1b6b8c0001b2c3d4",
    "gateway-sms track --journal campaign.db --for 3600 --json",
)
def track(
    *,
    ids: Ids = None,
    account: AccountOptions,
    journals: Journals = None,
    seconds: Annotated[
        float,
        option("Stop after so many seconds.", "--for", metavar="SECONDS", show_default="3 days"),
    ] = _LONGEST_WAIT,
) -> int:
    """Follow messages until everybody has the text, or will not get it.

    On a terminal it is a table that moves, with a line a message; elsewhere, and with --json, one
    line of JSON each time that the figures of a message change. Nobody's number is in it. Ctrl-C
    ends it with where everything stands; `report` tells the reasons.

    Exit codes: 0 everybody has it, 3 it is final and somebody has not, 5 stopped while somebody may
    still get it, 130 by Ctrl-C, 143 by SIGTERM.
    """
    message_ids, account, _ = _sent(ids, journals, account)
    tracking = _Tracking(message_ids, account, seconds)
    with shown(as_json=account.as_json) as show:
        try:
            asyncio.run(tracking.run(show))
        except KeyboardInterrupt:
            tracking.signal = signal.SIGINT
    return tracking.conclude()
