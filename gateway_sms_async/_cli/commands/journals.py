"""The commands on the journal of a campaign: resume, show, purge."""

import asyncio
from functools import partial
from typing import IO, Annotated

import typer

from ... import purge_journal, read_journal
from ..._journal.place import JournalLike
from ..._receipt import Receipt
from ..app import app, command
from ..campaign_run import CampaignRun
from ..exit_codes import UNKNOWN, with_output
from ..journal_argument import files_of, journal_of, shown
from ..options import AccountOptions, ReportFile, option
from ..output_file import Output, check_outputs, open_output
from ..reports.campaign import write_journal_report
from ..terminal.console import print_status
from ..terminal.receipt import print_receipt, print_summary

_journal = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(_journal, name="journal", help="Show or delete the journal of a campaign.")

JournalPath = Annotated[
    str,
    typer.Argument(
        metavar="JOURNAL",
        help="What `bulk` was given with --journal: a file, with --shards a folder, or "
        "postgresql://host/database#NAME.",
    ),
]


@command(
    "gateway-sms resume campaign.db",
    "gateway-sms resume campaign.db --max-cost 80",
    "gateway-sms resume campaign.db --report report.csv",
)
def resume(
    journal: JournalPath,
    account: AccountOptions,
    max_cost: Annotated[
        str | None,
        option(
            "A higher limit on the total cost, for this run; inf for none. Default: that of the "
            "start.",
            metavar="EUR",
        ),
    ] = None,
    max_recipients: Annotated[
        int | None,
        option("A higher limit on the recipients, for this run. Default: that of the start."),
    ] = None,
    report: ReportFile = None,
) -> int:
    """Resume a campaign that was stopped or that crashed, and print its receipt as JSON.

    Messages that may have been closed are looked up first, and no recipient that may have the text
    is sent to again. For a finished campaign the receipt is printed and nothing is sent.

    A campaign that stopped at --max-cost or --max-recipients stops there again, unless a higher
    limit is given. What earlier runs have sent counts.

    Exit codes: 0 all accepted; 1 failure, and this run sent nothing; 2 wrong usage; 3 some recipients
    are invalid; 4 some outcomes are unknown, or some recipients got it twice; 5 not finished, resume
    again; 6 as 0, but the report was not written; 129, 130 and 143 interrupted.
    """
    place = journal_of(journal)
    campaign = CampaignRun(
        lambda gateway, progress, stop: gateway.resume_bulk(
            place,
            max_cost=max_cost,
            max_recipients=max_recipients,
            on_progress=progress,
            stop=stop,
        ),
        total=None,
        journal=shown(journal),
    )
    check_outputs({"--report": report}, (*files_of([journal]), account.token_file))
    client = account.client()
    with open_output(report) as report_output:
        return campaign.complete(client, partial(_write_report, report_output, place))


@command(
    "gateway-sms journal show campaign.db",
    "gateway-sms journal show campaign.db --report report.csv",
    within=_journal,
)
def show_(path: JournalPath, report: ReportFile = None) -> int:
    """Print the receipt of a campaign, as far as its journal has it. Makes no requests.

    While another process runs the campaign, the receipt is that of the moment, and "running" is
    true. A message that is being closed then counts as unknown.

    Exit codes: 0 printed, or it is running; 1 the journal cannot be read; 4 some outcomes are
    unknown, or some recipients got it twice; 6 as 0, but the report was not written.
    """
    place = journal_of(path)
    receipt = asyncio.run(read_journal(place))
    check_outputs({"--report": report}, files_of([path]))
    with open_output(report) as report_output:
        written = _write_report(report_output, place, receipt)
    print_receipt(receipt)
    print_summary(receipt, resumable=not receipt.complete)
    in_doubt = not receipt.running and (receipt.unknown or receipt.doubled)
    return with_output(UNKNOWN if in_doubt else 0, written=written)


@command("gateway-sms journal purge campaign.db", within=_journal)
def purge(path: JournalPath) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it.

    Exit codes: 0 deleted; 1 the campaign is not finished or is running, the file is not a journal, or
    the name is a link to it.
    """
    asyncio.run(purge_journal(journal_of(path)))
    print_status(f"{shown(path)} is deleted.")


def _write_report(output: Output | None, journal: JournalLike, receipt: Receipt) -> bool:
    """Write the report of a journal, if there is an output. Returns whether it succeeded."""
    return output is None or output.write(partial(_write_recipients, journal, receipt))


def _write_recipients(journal: JournalLike, receipt: Receipt, file: IO[str]) -> None:
    asyncio.run(write_journal_report(journal, receipt, file))
