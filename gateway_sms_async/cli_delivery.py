"""The commands on deliveries: what arrived, told once or as it comes.

The command line's entry takes them in. The figures come from `delivery_statistics`; the rest is
the client's, as for any other user.
"""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from . import GatewayClient, GatewayError, NotFoundError, _console
from ._arguments import PRODUCTION, SANDBOX, choose_base_url
from ._command import Account, Output, check_outputs, command, open_output, option
from ._console import say
from ._delivery_console import print_statistics
from ._running import heeding, reading_shown
from ._tracking import Show, is_known, shown, total
from .delivery import DeliverySummary
from .delivery_files import RetryList, write_deliveries, write_header
from .delivery_statistics import DeliveryStatistics
from .html_report import write_page
from .listed import Sieve
from .receipt import Receipt
from .resume import read_campaign

__all__: list[str] = []

_LONGEST_WAIT = 3 * 24 * 60 * 60
"""Seconds; carriers hold a text for a phone that is switched off for about so long."""
_NOT_TO_BE_FOLLOWED = {
    "open": "is open, so nothing of it was sent yet",
    "no recipients": "has no recipients",
    "not found": "is not there",
}

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The ids of messages.")]
Journals = Annotated[
    list[Path] | None,
    option(
        "Take the messages of the campaign in this journal, and where it was sent; may be repeated.",
        "--journal",
    ),
]


# What was sent


class _Sent(NamedTuple):
    """The messages that are meant, each once, and the account with where they were sent.

    `unsettled` are numbers that the journals do not know to be on a message: they may have the
    text all the same, or get it when their campaign is resumed.
    """

    message_ids: list[str]
    account: Account
    unsettled: list[str]


def _sent(ids: Sequence[str] | None, journals: Sequence[Path] | None, account: Account) -> _Sent:
    message_ids = list(ids or ())
    if not message_ids and not journals:
        raise ValueError("give the ids of messages, or --journal with that of a campaign")
    addresses: list[str] = []
    unsettled: list[str] = []
    for journal in journals or ():
        base_url, receipt = asyncio.run(read_campaign(journal))
        message_ids.extend(receipt.message_ids)
        unsettled += [*receipt.unknown, *receipt.unsent]
        _say_what_is_missing(journal, receipt)
        addresses.append(base_url)
        if base_url != addresses[0]:
            raise ValueError(
                f"{journal}: this campaign was sent to {base_url}, the one before to {addresses[0]}; "
                "ask about one after the other"
            )
    if not message_ids:
        raise ValueError("nothing was sent yet, no message is closed")
    if addresses:
        account = _at(addresses[0], account)
    return _Sent(list(dict.fromkeys(message_ids)), account, unsettled)


def _at(base_url: str, account: Account) -> Account:
    if account.sandbox or account.base_url:
        return account
    # Whoever made the file could name any address, and the token goes there.
    if base_url not in {PRODUCTION, SANDBOX, choose_base_url(None, sandbox=False)}:
        raise ValueError(
            f"this campaign was sent to {base_url}; if that is yours, give --base-url {base_url}"
        )
    return replace(account, base_url=base_url)


def _say_what_is_missing(journal: Path, receipt: Receipt) -> None:
    counts = {"not sent to": len(receipt.unsent), "unknown": len(receipt.unknown)}
    missing = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if missing:
        say(f"The campaign is not finished: {missing}; to go on: gateway-sms resume {journal}")


class _Deliveries:
    """What is known of the recipients of some messages, read one message after the other."""

    def __init__(
        self, message_ids: Sequence[str], everybody: Output | None, retry: RetryList | None
    ) -> None:
        self.message_ids = list[str]()
        self.gone = list[str]()
        self.statistics = DeliveryStatistics()
        self._asked_for = message_ids
        self._retry = retry
        self._everybody = everybody

    async def read(self, account: Account) -> None:
        """Ask for all of it. The GatewayError says of which message it is."""
        if self._everybody is not None:
            self._everybody.write_part(write_header)
        read = 0
        async with account.client() as gateway:
            with reading_shown("Reading the lists:") as watch:
                for message_id in self._asked_for:
                    try:
                        read += await self._read_message(gateway, message_id)
                    except GatewayError as error:
                        raise GatewayError(f"message {message_id}: {error}") from error
                    watch(read)

    async def _read_message(self, gateway: GatewayClient, message_id: str) -> int:
        try:
            message = await gateway.messages.get(message_id)
        except NotFoundError:
            if len(self._asked_for) == 1:
                raise
            say(f"Message {message_id} is not there: nothing is known of its recipients.")
            self.gone.append(message_id)
            return 0
        if message.transaction:
            raise ValueError(f"message {message_id} is open: nothing of it was sent yet")
        # About 1 kB each, so only those of one message are ever there.
        listed = await gateway.messages.recipients(message_id)
        self.message_ids.append(message_id)
        sieve = Sieve(message)
        entries = list(filter(sieve.is_new, listed))
        recipients = 0
        for one in entries:
            if sieve.is_valid(one):
                self.statistics.add(one)
                recipients += 1
            if self._retry is not None:
                self._retry.add(one)
        self.statistics.add_message(message, recipients)
        if self._everybody is not None:
            self._everybody.write_part(partial(write_deliveries, message_id, entries))
        return len(listed)

    def why_unsure(self, people: RetryList) -> str | None:
        """Say why somebody on the list for another try may have it on another message."""
        if self.gone:
            return "a message is not there, whose recipients may be the same and have it"
        if (unlisted := self.statistics.unlisted) and len(self.message_ids) > 1:
            return f"the gateway does not list {unlisted:,} recipients, who may be the same and have it"
        if people and people.hidden:
            return (
                f"the gateway does not show the numbers of {people.hidden:,} recipients, who may be "
                "the same and have it"
            )
        if people.lost and not people:
            return f"the gateway does not show the numbers of the {people.lost:,} who can be tried again"
        return None

    @property
    def exit_code(self) -> int:
        """Return 0 when everybody has it, 5 when somebody may still get it, 3 when somebody won't.

        1 when that cannot be told of a message.
        """
        total = self.statistics.total
        if total.undecided or self.statistics.unlisted:
            return _console.RESUMABLE
        if self.gone:
            return _console.FAILED
        return _console.SOME_INVALID if total.failed or self.statistics.invalid else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "message_ids": self.message_ids,
            "not_found": self.gone,
            "finished": self.exit_code not in {_console.RESUMABLE, _console.FAILED},
            **self.statistics.to_dict(),
        }


class _Tracking:
    """Messages as they are followed, and where they stood last."""

    def __init__(self, message_ids: Sequence[str], account: Account, seconds: float) -> None:
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

            def heed(number: int) -> None:
                self.signal = number
                following.cancel()

            with heeding(heed):
                await asyncio.wait([following])
        if not following.cancelled():
            following.result()

    def conclude(self) -> int:
        """Say where everything stands and what can be done, and return the exit code."""
        summary = self._last
        interrupted = 0 if self.signal is None else _console.INTERRUPTED + self.signal
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
            return _console.RESUMABLE
        if in_vain:
            return _console.FAILED
        refused = any(one.message is not None and one.message.invalid for one in summary.messages)
        return _console.SOME_INVALID if now.failed or refused else 0


def _write_retry(
    deliveries: _Deliveries, people: RetryList, again: Output, path: Path | None
) -> bool:
    if (why := deliveries.why_unsure(people)) is not None:
        say(f"gateway-sms: {path} was not written: {why}")
        return False
    if not again.write(people.write):
        return False
    hint = f" --number-column {column}" if (column := people.number_column()) else ""
    say(
        f"{len(people):,} can be tried again; to do so: gateway-sms bulk {path}{hint}"
        if people
        else f"Nobody is to be tried again: {path} has no numbers."
    )
    if people.lost:
        say(
            f"{people.lost:,} more could be tried again, but the gateway does not show their numbers."
        )
    return True


# The commands


@command(
    "gateway-sms report 5af5ed8d1b6b8c0001b2c3d4",
    "gateway-sms report --journal campaign.db --html report.html --csv everybody.csv",
    "gateway-sms report --journal campaign.db --retry again.csv",
    'gateway-sms bulk again.csv --sender ACME --body "Ciao {{name}}" --journal again.db',
    "gateway-sms report --journal campaign.db --journal again.db --retry more.csv",
)
def report(
    *,
    ids: Ids = None,
    account: Account,
    journals: Journals = None,
    everybody: Annotated[
        Path | None,
        option("Write everybody to this file, one line each: state, reason, cost, times.", "--csv"),
    ] = None,
    page: Annotated[
        Path | None,
        option("Write the figures to this file as a page to look at, print or pass on.", "--html"),
    ] = None,
    retry: Annotated[
        Path | None,
        option(
            "Write who can be tried again to this file, as a list for `bulk`: CSV, or JSON Lines "
            "if it ends in .jsonl."
        ),
    ] = None,
) -> int:
    """Tell what arrived: how many have it, why others have not, how long it took, what it cost.

    Whoever was sent to again has more than one message: give all of them, so that --retry leaves
    out those who have it by now. Only the files of --csv and --retry hold numbers.

    Exit codes: 0 everybody has it, 1 a file was not written or a message is not there, 3 it is
    final and somebody has not, 5 somebody may still get it, so ask again later.
    """
    check_outputs({"--csv": everybody, "--html": page, "--retry": retry}, journals or ())
    message_ids, account, unsettled = _sent(ids, journals, account)
    with (
        open_output(everybody) as all_of_them,
        open_output(page) as shown,
        open_output(retry) as again,
    ):
        people = None if retry is None else RetryList()
        if people is not None:
            people.leave_out(unsettled)
        deliveries = _Deliveries(message_ids, all_of_them, people)
        asyncio.run(deliveries.read(account))
        # Before anything is printed: whoever reads that may have gone away.
        written = [] if all_of_them is None else [all_of_them.complete()]
        if shown is not None:
            written.append(
                shown.write(partial(write_page, deliveries.statistics, deliveries.message_ids))
            )
        if again is not None and people is not None:
            written.append(_write_retry(deliveries, people, again, retry))
    if account.as_json:
        _console.print_json(deliveries.to_dict())
    else:
        print_statistics(deliveries.statistics, deliveries.message_ids)
    # Before all else: what was there before would be taken for a file that was not written.
    return deliveries.exit_code if all(written) else _console.FAILED


@command(
    "gateway-sms track 5af5ed8d1b6b8c0001b2c3d4",
    "gateway-sms track --journal campaign.db --for 3600 --json",
)
def track(
    *,
    ids: Ids = None,
    account: Account,
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
