"""The commands on campaigns: `check` previews one, `bulk` sends one."""

import asyncio
from collections.abc import Collection
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, cast

from ..._arguments import check_cost, check_count, check_verify
from ..._journal.journal import Journal
from ..._receipt import InvalidRecipient, Receipt
from ..._shards.store import check_shards
from ..._text import to_gsm
from ..app import command
from ..campaign_input import (
    CampaignInput,
    ListFile,
    RecipientOptions,
    SendingOptions,
    TextOptions,
    open_campaign,
)
from ..campaign_run import CampaignRun
from ..confirmation import ASK_ABOVE, confirm
from ..exit_codes import SOME_INVALID, with_output
from ..journal_argument import files_of, journal_of, shown
from ..lists.recipient_list import write_rows
from ..options import AccountOptions, ContentOptions, ReportFile, option
from ..output_file import Output, check_outputs, open_output
from ..reports.campaign import rejected_rows, unsent_rows, write_report
from ..terminal.console import print_status
from ..terminal.preview import print_preview, print_preview_line, print_replacements


@command(
    'gateway-sms check people.csv --sender ACME --body "Ciao {{name}}"',
    'gateway-sms check people.csv --sender ACME --body "Ciao" --price-per-part 0.035 --rejects bad.csv',
    'gateway-sms check people.csv --sender ACME --body "Ciao" --ask-price',
)
def check(
    *,
    file: ListFile,
    content: ContentOptions,
    text: TextOptions,
    recipients: RecipientOptions,
    sending: SendingOptions,
    account: AccountOptions,
    ask_price: Annotated[
        bool,
        option(
            "Ask the gateway for the price of a part, by one test send for each country; needs a "
            "token.",
            "--ask-price",
        ),
    ] = False,
    rejects: Annotated[
        Path | None, option("Write the invalid rows to this file, in the format of the list.")
    ] = None,
) -> int:
    """Preview a campaign: recipients, texts, parts, cost, requests. Sends nothing.

    Without --ask-price no account is needed and no request is made.

    Exit codes: 0 all recipients can be sent to; 1 failure; 2 wrong usage, or the list cannot be
    read; 3 some recipients are invalid; 6 as 0, but a file was not written.
    """
    if ask_price and sending.price_per_part is not None:
        raise ValueError("give either --ask-price or --price-per-part")
    check_outputs(
        {"--rejects": rejects},
        (file, text.body_file, account.token_file, *(recipients.exclude or ())),
    )
    client = account.client() if ask_price else nullcontext()
    rate = account.rate_limit()
    with (
        open_campaign(
            file, content=content, text=text, recipients=recipients, sending=sending
        ) as campaign,
        open_output(rejects) as rejects_output,
    ):
        preview = asyncio.run(campaign.preview(rate=rate, client=client))
        campaign.print_invalid(preview.invalid, rejects=rejects)
        campaign.print_files()
        reasons = {recipient.position: recipient.reason for recipient in preview.invalid}
        written = rejects_output is None or rejects_output.write(
            partial(write_rows, campaign.list, reasons)
        )
        line = None
        if (position := preview.longest_position) is not None:
            line = campaign.list.lines([position])[position]
    print_preview(preview, longest_line=line, rate=rate, as_json=account.as_json)
    if not text.smart_encoding and preview.parts_in_gsm < preview.parts:
        print_status(
            f"--smart-encoding would make it {preview.parts_in_gsm:,} parts instead of "
            f"{preview.parts:,}."
        )
        similar = {character: to_gsm(character) for character in preview.not_gsm}
        print_replacements(
            "It would replace", {old: new for old, new in similar.items() if new != old}
        )
    return with_output(SOME_INVALID if preview.invalid else 0, written=written)


@command(
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate',
    "gateway-sms bulk people.csv --sender ACME --body-file text.txt --rejects rejected.csv",
    'gateway-sms bulk people.csv --sender ACME --body "Ciao" --journal campaign.db --max-cost 50',
    'gateway-sms bulk people.csv --sender ACME --body "Ciao" --journal campaign --shards 16',
    'some-query | gateway-sms bulk - --sender ACME --body "We are closed on Friday"',
)
def bulk(
    *,
    file: ListFile,
    content: ContentOptions,
    text: TextOptions,
    recipients: RecipientOptions,
    sending: SendingOptions,
    account: AccountOptions,
    journal: Annotated[
        str | None,
        option(
            "Write the journal, from which `resume` continues after a crash, to this new file; or "
            "into a database: postgresql://host/database#NAME.",
            metavar="FILE",
        ),
    ] = None,
    verify: Annotated[
        str,
        option(
            "auto or always: read the gateway's recipient list only where needed, or for every "
            "message."
        ),
    ] = "auto",
    max_cost: Annotated[
        str | None,
        option(
            "Stop before the total cost exceeds this; `resume` takes a higher one.", metavar="EUR"
        ),
    ] = None,
    max_recipients: Annotated[
        int | None,
        option("Stop before more recipients than this are sent to; `resume` takes a higher one."),
    ] = None,
    shards: Annotated[
        int,
        option(
            "For a list of many millions: divide it into this many journals, of half a million to a "
            "million rows each, which are sent one after the other. --journal is then a folder."
        ),
    ] = 1,
    rejects: Annotated[
        Path | None,
        option(
            "Write the invalid rows to this file, in the format of the list, to be corrected and "
            "sent."
        ),
    ] = None,
    unsent: Annotated[
        Path | None,
        option(
            "If the campaign stops early, write the recipients that remain to this file, to be sent "
            "later."
        ),
    ] = None,
    report: ReportFile = None,
    yes: Annotated[
        bool,
        option(
            f"Send to more than {ASK_ABOVE:,} recipients without being asked; needed where there is "
            "no terminal.",
            "--yes",
        ),
    ] = False,
    simulate: Annotated[
        bool,
        option("Send to a simulator: needs no account and sends no texts.", "--simulate"),
    ] = False,
) -> int:
    """Send one text to every recipient in a file, each number once; print the receipt as JSON.

    The whole file is read first: if it is broken, nothing is sent. Invalid numbers do not
    stop the campaign: the receipt counts them, and --rejects writes their rows.

    Exit codes: 0 all accepted; 1 failure, and nothing was sent, or you answered no to the
    confirmation; 2 wrong usage, or the list cannot be read; 3 some recipients are invalid; 4 some
    outcomes are unknown, or some recipients got it twice; 5 stopped early, with something sent or a
    journal for `resume`; 6 as 0, but a file was not written; 129, 130 and 143 interrupted.
    """
    if simulate and journal is not None:
        raise ValueError(
            "--simulate cannot be combined with --journal: the simulator ends with the command, so "
            "the campaign could not be resumed; run `gateway-sms simulator` in another terminal "
            "and send to that"
        )
    if shards != 1 and journal is None:
        raise ValueError("--shards needs --journal: the name of a new folder for the journals")
    check_shards(shards, journal)
    place = None if journal is None else journal_of(journal)
    if journal is not None and unsent is not None:
        raise ValueError(
            "--unsent cannot be combined with --journal: the journal holds the recipients that "
            "remain, and a resume would send to them as well"
        )
    if place is not None:
        Journal.check_new(place)
    check_verify(verify)
    if max_cost is not None:
        check_cost("max_cost", max_cost)
    if max_recipients is not None:
        check_count("max_recipients", max_recipients)
    check_outputs(
        {"--rejects": rejects, "--unsent": unsent, "--report": report},
        (
            file,
            *files_of([journal] if journal else None),
            text.body_file,
            account.token_file,
            *(recipients.exclude or ()),
        ),
    )
    client = account.simulated_client() if simulate else account.client()
    with (
        open_campaign(
            file,
            content=content,
            text=text,
            recipients=recipients,
            sending=sending,
            verify=cast('Literal["auto", "always"]', verify),
        ) as campaign,
        open_output(rejects) as rejects_output,
        open_output(unsent) as unsent_output,
        open_output(report) as report_output,
    ):
        rate = account.rate_limit(simulated=simulate)
        preview = asyncio.run(campaign.preview(rate=rate, client=nullcontext()))
        campaign.print_invalid(preview.invalid, rejects=rejects)
        campaign.print_files()
        print_preview_line(preview)
        if not (yes or simulate or content.test) and (
            refusal := confirm(
                preview,
                sender=content.sender,
                address=account.address(),
                text=campaign.first_text(preview.invalid),
            )
        ):
            print_status("Nothing was sent.")
            return refusal
        run = CampaignRun(
            lambda gateway, progress, stop: gateway.send_bulk(
                campaign,
                **campaign.arguments,
                test=content.test,
                journal=place,
                on_progress=progress,
                stop=stop,
                total=campaign.list.total,
                max_cost=max_cost,
                max_recipients=max_recipients,
                shards=shards,
            ),
            total=campaign.list.total,
            journal=None if journal is None else shown(journal),
        )

        def write_files(receipt: Receipt) -> bool:
            _print_new_invalid(campaign, preview.invalid, receipt, rejects)
            return _write_files(campaign, receipt, rejects_output, unsent_output, report_output)

        return run.complete(client, write_files)


def _print_new_invalid(
    campaign: CampaignInput,
    printed: Collection[InvalidRecipient],
    receipt: Receipt,
    rejects: Path | None,
) -> None:
    """Print the recipients that only the gateway, not the preview, found invalid."""
    known = {recipient.position for recipient in printed}
    campaign.print_invalid(
        [recipient for recipient in receipt.invalid if recipient.position not in known],
        rejects=rejects,
    )


def _write_files(
    campaign: CampaignInput,
    receipt: Receipt,
    rejects: Output | None,
    unsent: Output | None,
    report: Output | None,
) -> bool:
    """Write the files that were asked for. Returns False if one of them failed."""
    read_number, recipient_list = campaign.read_number, campaign.list
    reasons = rejected_rows(recipient_list.rows(), receipt.invalid, receipt.outcomes, read_number)
    remaining = unsent_rows(receipt, campaign.arguments["exclude"], read_number)
    written = [
        output.write(write)
        for output, write in (
            (rejects, partial(write_rows, recipient_list, reasons)),
            (unsent, partial(write_rows, recipient_list, remaining)),
            (report, partial(write_report, recipient_list.rows(), receipt)),
        )
        if output is not None
    ]
    if rejects is not None and reasons and receipt.accepted:
        print_status(
            "When you send the corrected rows, give --exclude with a --report of this campaign, so "
            "that no recipient gets the text twice."
        )
    return all(written)
