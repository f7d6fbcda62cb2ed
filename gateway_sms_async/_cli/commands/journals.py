"""Todo."""

import asyncio
from functools import partial
from pathlib import Path
from typing import IO, Annotated

import typer

from ... import purge_journal, read_journal
from ..._receipt import Receipt
from ..app import FAILED, UNKNOWN, app, command
from ..campaign_run import CampaignRun
from ..options import _REPORT, AccountOptions, option
from ..output_file import check_outputs, open_output
from ..reports.campaign import write_journal_report
from ..terminal.console import say
from ..terminal.receipt import print_receipt, summarize

_journal = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(_journal, name="journal", help="Look at or delete the journal of a campaign.")


@command("gateway-sms resume campaign.db")
def resume(
    journal: Annotated[str, typer.Argument(metavar="JOURNAL", help="What --journal wrote.")],
    account: AccountOptions,
    report: Annotated[Path | None, option(_REPORT)] = None,
) -> int:
    """Go on with a campaign that was stopped or has crashed, and print its receipt as JSON.

    Messages that may have been closed are looked at first; nobody is sent to again who may have
    been texted. A finished campaign prints its receipt; nothing is sent.
    """
    campaign = CampaignRun(
        lambda gateway, report, stop: gateway.resume_bulk(journal, on_progress=report, stop=stop),
        total=None,
        journal=journal,
    )
    check_outputs({"--report": report}, (journal,))
    client = account.client()
    with open_output(report) as reported:
        asyncio.run(campaign.run(client))
        written = True
        if reported is not None and campaign.receipt is not None:
            written = reported.write(partial(_write_journal_report, journal, campaign.receipt))
    return campaign.conclude() or (0 if written else FAILED)


JournalPath = Annotated[str, typer.Argument(metavar="PATH", help="What --journal wrote.")]


@command(
    "gateway-sms journal show campaign.db",
    "gateway-sms journal show campaign.db --report everybody.csv",
    within=_journal,
)
def show_(path: JournalPath, report: Annotated[Path | None, option(_REPORT)] = None) -> int:
    """Print where everyone of a campaign stands, as its journal has it; asks the gateway nothing."""
    receipt = asyncio.run(read_journal(path))
    check_outputs({"--report": report}, (path,))
    with open_output(report) as reported:
        written = reported is None or reported.write(partial(_write_journal_report, path, receipt))
    print_receipt(receipt)
    summarize(receipt, resumable=not receipt.complete)
    if receipt.unknown or receipt.doubled:
        return UNKNOWN
    return 0 if written else FAILED


@command("gateway-sms journal purge campaign.db", within=_journal)
def purge(path: JournalPath) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it."""
    asyncio.run(purge_journal(path))
    say(f"{path} is deleted.")


def _write_journal_report(journal: str, receipt: Receipt, file: IO[str]) -> None:
    asyncio.run(write_journal_report(journal, receipt, file))
