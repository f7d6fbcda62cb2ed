"""The commands on deliveries: what arrived, told once or as it comes.

The command line's entry takes them in. The figures come from `delivery_statistics`; the rest is
the client's, as for any other user.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from ... import GatewayClient, GatewayError, NotFoundError
from ..._delivery.listing import ListFilter
from ..._delivery.statistics import DeliveryStatistics
from ..app import FAILED, RESUMABLE, SOME_INVALID, command
from ..options import AccountOptions, option
from ..output_file import Output, check_outputs, open_output
from ..reports.deliveries import RetryList, write_deliveries, write_header
from ..reports.html import write_page
from ..selection import Ids, Journals, _sent
from ..terminal.console import print_json, say
from ..terminal.deliveries import print_statistics
from ..terminal.progress import reading_shown


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

    async def read(self, account: AccountOptions) -> None:
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
        sieve = ListFilter(message)
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
            return RESUMABLE
        if self.gone:
            return FAILED
        return SOME_INVALID if total.failed or self.statistics.invalid else 0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "message_ids": self.message_ids,
            "not_found": self.gone,
            "finished": self.exit_code not in {RESUMABLE, FAILED},
            **self.statistics.to_dict(),
        }


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
    account: AccountOptions,
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
        print_json(deliveries.to_dict())
    else:
        print_statistics(deliveries.statistics, deliveries.message_ids)
    # Before all else: what was there before would be taken for a file that was not written.
    return deliveries.exit_code if all(written) else FAILED
