"""The command that follows deliveries until they are final."""

import asyncio
import signal
from collections.abc import Sequence
from typing import Annotated

from ..._delivery.summary import DeliverySummary
from ..app import command
from ..exit_codes import FAILED, NOT_FINISHED, SOME_INVALID, by_signal
from ..options import AccountOptions, option
from ..selection import Ids, Journals, select_messages
from ..signals import on_signal_in_loop
from ..terminal.console import print_status
from ..terminal.live_table import Show, count_all, is_known, show_deliveries

_LONGEST_WAIT = 3 * 24 * 60 * 60
"""Seconds: about as long as carriers hold a text for a phone that is switched off."""

_CANNOT_BE_FOLLOWED = {
    "open": "is open, so nothing of it was sent yet",
    "no recipients": "has no recipients",
    "not found": "does not exist",
}
"""What to print of a message for each reason that no poll will change."""


class _Tracking:
    """Follows messages, and keeps their last summary."""

    def __init__(self, message_ids: Sequence[str], account: AccountOptions, seconds: float) -> None:
        self._message_ids = message_ids
        self._account = account
        self._seconds = seconds
        self._last: DeliverySummary | None = None
        self.signal: int | None = None

    async def run(self, show: Show) -> None:
        """Follow the messages until all are final, the time is over, or a signal arrives."""

        def keep(summary: DeliverySummary) -> None:
            self._last = summary
            show(summary)

        async with self._account.client() as gateway:
            following = asyncio.create_task(
                gateway.wait_delivered(self._message_ids, timeout=self._seconds, on_progress=keep)
            )

            def handle_signal(number: int) -> None:
                self.signal = number
                following.cancel()

            with on_signal_in_loop(handle_signal):
                await asyncio.wait([following])
        if not following.cancelled():
            following.result()

    def conclude(self) -> int:
        """Print the last figures, and return the exit code."""
        summary = self._last
        interrupted = 0 if self.signal is None else by_signal(self.signal)
        if summary is None:
            print_status("Interrupted before the first response.")
            return interrupted
        figures = count_all(summary)
        print_status(
            f"{figures.delivered:,} of {figures.recipients:,} delivered, "
            f"{figures.failed:,} not delivered, {figures.undecided:,} under way."
        )
        by_list = sum(count for state, count in summary.counts.items() if not state.is_final)
        if by_list and not figures.undecided:
            print_status(
                f"By the recipient lists, which are polled less often, {by_list:,} are under way."
            )
        if unknown := sum(not is_known(message) for message in summary.messages):
            print_status(f"{unknown:,} messages were not polled.")
        some_impossible = False
        for message in summary.messages:
            if message.unfinished in _CANNOT_BE_FOLLOWED:
                some_impossible = True
                reason = _CANNOT_BE_FOLLOWED[message.unfinished]
                print_status(f"Message {message.message_id} {reason}.")
        if interrupted:
            return interrupted
        if any(
            not (message.complete or message.unfinished in _CANNOT_BE_FOLLOWED)
            for message in summary.messages
        ):
            return NOT_FINISHED
        if some_impossible:
            return FAILED
        some_invalid = any(
            message.message is not None and message.message.invalid for message in summary.messages
        )
        return SOME_INVALID if figures.failed or some_invalid else 0


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
        option("Stop after this time.", "--for", metavar="SECONDS", show_default="3 days"),
    ] = _LONGEST_WAIT,
) -> int:
    """Follow messages until every recipient is delivered or has failed.

    On a terminal this prints a live table with one row for each message; elsewhere, and with
    --json, one line of JSON each time the figures of a message change. No numbers of recipients are
    printed. Ctrl-C stops it and prints the last figures; `report` gives the reasons for failures.

    Exit codes: 0 all delivered; 1 a message cannot be followed; 2 wrong usage; 3 all are final and
    some were not delivered; 5 stopped while some were still under way; 130 by Ctrl-C; 129 and
    143 by SIGHUP and SIGTERM.
    """
    message_ids, account, _ = select_messages(ids, journals, account)
    tracking = _Tracking(message_ids, account, seconds)
    with show_deliveries(as_json=account.as_json) as show:
        try:
            asyncio.run(tracking.run(show))
        except KeyboardInterrupt:
            tracking.signal = signal.SIGINT
    return tracking.conclude()
