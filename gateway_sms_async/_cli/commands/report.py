"""The command that reports deliveries: figures, and files on every recipient."""

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from ... import GatewayClient, GatewayError, NotFoundError
from ..._delivery.listing import ListFilter
from ..._delivery.statistics import DeliveryStatistics
from ..app import command
from ..exit_codes import FAILED, NOT_FINISHED, NOT_WRITTEN, SOME_INVALID
from ..journal_argument import files_of
from ..options import AccountOptions, option
from ..output_file import Output, check_outputs, open_output
from ..reports.deliveries import RetryList, write_deliveries, write_header
from ..reports.html import write_page
from ..selection import Ids, Journals, select_messages
from ..terminal.console import print_json, print_status
from ..terminal.deliveries import print_statistics
from ..terminal.progress import show_rows_read


class _DeliveryReport:
    """The deliveries of some messages, read and added up one message at a time."""

    def __init__(
        self, message_ids: Sequence[str], csv_output: Output | None, retry: RetryList | None
    ) -> None:
        self.message_ids = list[str]()
        self.not_found = list[str]()
        self.statistics = DeliveryStatistics()
        self._requested = message_ids
        self._retry = retry
        self._csv_output = csv_output

    async def read(self, account: AccountOptions) -> None:
        """Read all messages. Raises GatewayError, with the id of the message."""
        if self._csv_output is not None:
            self._csv_output.write_part(write_header)
        read = 0
        async with account.client() as gateway:
            with show_rows_read("Reading the recipient lists:") as on_read:
                for message_id in self._requested:
                    try:
                        read += await self._read_message(gateway, message_id)
                    except GatewayError as error:
                        raise GatewayError(f"message {message_id}: {error}") from error
                    on_read(read)

    async def _read_message(self, gateway: GatewayClient, message_id: str) -> int:
        try:
            message = await gateway.messages.get(message_id)
        except NotFoundError:
            if len(self._requested) == 1:
                raise
            print_status(f"Message {message_id} does not exist; its recipients are not known.")
            self.not_found.append(message_id)
            return 0
        if message.transaction:
            raise ValueError(f"message {message_id} is open: nothing of it was sent yet")
        # An entry takes about 1 kB, so only those of one message are kept at a time.
        listed = await gateway.messages.recipients(message_id)
        self.message_ids.append(message_id)
        list_filter = ListFilter(message)
        entries = list(filter(list_filter.is_new, listed))
        recipients = 0
        for entry in entries:
            if list_filter.is_valid(entry):
                self.statistics.add(entry)
                recipients += 1
            if self._retry is not None:
                self._retry.add(entry)
        self.statistics.add_message(message, recipients)
        if self._csv_output is not None:
            self._csv_output.write_part(partial(write_deliveries, message_id, entries))
        return len(listed)

    def why_unsure(self, retry: RetryList) -> str | None:
        """Return why a number to retry may have the text by another message, else None."""
        if self.not_found:
            return "a message does not exist, so some of these recipients may have the text already"
        if (unlisted := self.statistics.unlisted) and len(self.message_ids) > 1:
            return (
                f"the gateway does not list {unlisted:,} recipients, so some of these may have the "
                "text already"
            )
        if retry and retry.hidden:
            return (
                f"the gateway does not show the numbers of {retry.hidden:,} recipients, so some of "
                "these may have the text already"
            )
        if retry.lost and not retry:
            return (
                f"the gateway does not show the numbers of the {retry.lost:,} recipients to retry"
            )
        return None

    @property
    def exit_code(self) -> int:
        """0 all delivered, 1 a message was not found, 3 some failed, 5 some are under way."""
        total = self.statistics.total
        if total.undecided or self.statistics.unlisted:
            return NOT_FINISHED
        if self.not_found:
            return FAILED
        return SOME_INVALID if total.failed or self.statistics.invalid else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as `--json` prints them."""
        return {
            "message_ids": self.message_ids,
            "not_found": self.not_found,
            "finished": self.exit_code not in {NOT_FINISHED, FAILED},
            **self.statistics.to_dict(),
        }


def _write_retry(
    deliveries: _DeliveryReport, retry: RetryList, output: Output, path: Path | None
) -> bool:
    """Write the list of recipients to retry, unless that could send a text twice."""
    if (why := deliveries.why_unsure(retry)) is not None:
        print_status(f"gateway-sms: {path} was not written: {why}")
        return False
    if not output.write(retry.write):
        return False
    hint = f" --number-column {column}" if (column := retry.number_column()) else ""
    print_status(
        f"{len(retry):,} recipients can be retried; to do so: gateway-sms bulk {path}{hint}"
        if retry
        else f"There are no recipients to retry: {path} has no numbers."
    )
    if retry.lost:
        print_status(
            f"{retry.lost:,} more could be retried, but the gateway does not show their numbers."
        )
    return True


@command(
    "gateway-sms report 5af5ed8d1b6b8c0001b2c3d4",
    "gateway-sms report --journal campaign.db --html report.html --csv deliveries.csv",
    "gateway-sms report --journal campaign.db --retry again.csv",
    'gateway-sms bulk again.csv --sender ACME --body "Ciao {{name}}" --journal again.db',
    "gateway-sms report --journal campaign.db --journal again.db --retry more.csv",
)
def report(
    *,
    ids: Ids = None,
    account: AccountOptions,
    journals: Journals = None,
    csv_file: Annotated[
        Path | None,
        option(
            "Write every recipient to this file, one line each: state, reason, cost, times.",
            "--csv",
        ),
    ] = None,
    html_file: Annotated[
        Path | None,
        option("Write the figures to this file, as an HTML page to view or print.", "--html"),
    ] = None,
    retry_file: Annotated[
        Path | None,
        option(
            "Write the recipients to retry to this file, as a list for `bulk`: CSV, or JSON Lines "
            "if it ends in .jsonl.",
            "--retry",
        ),
    ] = None,
) -> int:
    """Report deliveries: how many arrived, why others failed, how long it took, what it cost.

    A recipient that was retried has more than one message: give all of them, so that --retry leaves
    out the recipients that have the text by now. Only the files of --csv and --retry hold numbers.

    Exit codes: 0 all delivered; 1 failure, or a message does not exist; 2 wrong usage; 3 all are
    final and some were not delivered; 5 some are still under way: ask again later; 6 a file was not
    written, whatever the deliveries are.
    """
    check_outputs(
        {"--csv": csv_file, "--html": html_file, "--retry": retry_file},
        (*files_of(journals), account.token_file),
    )
    message_ids, account, unsettled = select_messages(ids, journals, account)
    with (
        open_output(csv_file) as csv_output,
        open_output(html_file) as html_output,
        open_output(retry_file) as retry_output,
    ):
        retry = None if retry_file is None else RetryList()
        if retry is not None:
            retry.leave_out(unsettled)
        deliveries = _DeliveryReport(message_ids, csv_output, retry)
        asyncio.run(deliveries.read(account))
        written = [] if csv_output is None else [csv_output.complete()]
        if html_output is not None:
            page = partial(write_page, deliveries.statistics, deliveries.message_ids)
            written.append(html_output.write(page))
        if retry_output is not None and retry is not None:
            written.append(_write_retry(deliveries, retry, retry_output, retry_file))
    if account.as_json:
        print_json(deliveries.to_dict())
    else:
        print_statistics(deliveries.statistics, deliveries.message_ids)
    # A file that was not written outranks the other codes: a script would take an older file of
    # that name for the new one.
    return deliveries.exit_code if all(written) else NOT_WRITTEN
