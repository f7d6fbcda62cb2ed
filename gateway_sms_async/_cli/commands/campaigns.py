"""The commands on campaigns: look at one, send one, go on with one, read its journal.

The command line's entry takes them in. What they take alike is in `_plan`; the rest is the
client's, as for any other user.
"""

import asyncio
import signal
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from ..._arguments import check_cost, check_count, check_verify
from ..._journal.store import already_there
from ..._preview import Preview
from ..._recipients.national import number_reader
from ..._text import to_gsm
from ..app import FAILED, INTERRUPTED, SOME_INVALID, command
from ..campaign_input import File, RecipientOptions, SendingOptions, TextOptions, opened
from ..campaign_run import CampaignRun
from ..lists.recipient_list import write_rows
from ..options import _REPORT, AccountOptions, Content, option
from ..output_file import check_outputs, open_output
from ..reports.campaign import left_over, refused, write_report
from ..terminal.console import say
from ..terminal.preview import print_preview, say_offer, say_preview

ASK_ABOVE = 1_000
"""Recipients; a campaign of more is not sent from a terminal without asking."""


@command(
    'gateway-sms check people.csv --sender ACME --body "Ciao {{name}}"',
    'gateway-sms check people.csv --sender ACME --body "Ciao" --price-per-part 0.035 --rejects bad.csv',
    'gateway-sms check people.csv --sender ACME --body "Ciao" --ask-price',
)
def check(
    *,
    file: File,
    content: Content,
    text: TextOptions,
    who: RecipientOptions,
    pace: SendingOptions,
    account: AccountOptions,
    ask_price: Annotated[
        bool,
        option(
            "Ask the gateway what a part costs, by one simulated send a country; needs a token.",
            "--ask-price",
        ),
    ] = False,
    rejects: Annotated[
        Path | None, option("Write the invalid rows to this file, in the list's own form.")
    ] = None,
) -> int:
    """Look at a campaign before it is sent: who, what, how many parts, what it costs. Sends nothing.

    Without --ask-price no account is needed, and nothing leaves this machine.
    """
    if ask_price and pace.price_per_part is not None:
        raise ValueError("give either --ask-price or --price-per-part")
    check_outputs({"--rejects": rejects}, (file, *(who.exclude or ())))
    client = account.client() if ask_price else nullcontext()
    rate = account.requests_a_second()
    with opened(file, text, who) as plan, open_output(rejects) as rejected:
        looking = plan.preview(content, who, pace, rate=rate, client=client)
        looked_at = asyncio.run(looking)
        plan.say_refused(looked_at.invalid, rejects=rejects)
        written = rejected is None or rejected.write(
            partial(write_rows, plan.rows, {one.position: one.reason for one in looked_at.invalid})
        )
        line = None
        if (position := looked_at.longest_position) is not None:
            line = plan.rows.lines([position])[position]
    print_preview(looked_at, longest_line=line, rate=rate, json=account.as_json)
    if not text.smart_encoding and looked_at.parts_in_gsm < looked_at.parts:
        say(
            f"--smart-encoding would make it {looked_at.parts_in_gsm:,} parts instead of "
            f"{looked_at.parts:,}."
        )
        kin = {one: to_gsm(one) for one in looked_at.not_gsm}
        say_offer("It would replace", {one: new for one, new in kin.items() if new != one})
    if looked_at.invalid:
        return SOME_INVALID
    return 0 if written else FAILED


@command(
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate',
    "gateway-sms bulk people.csv --sender ACME --body-file text.txt --rejects rejected.csv",
    'gateway-sms bulk people.csv --sender ACME --body "Ciao" --journal campaign.db --max-cost 50',
    'some-query | gateway-sms bulk - --sender ACME --body "We are closed on Friday"',
)
def bulk(
    *,
    file: File,
    content: Content,
    text: TextOptions,
    who: RecipientOptions,
    pace: SendingOptions,
    account: AccountOptions,
    journal: Annotated[
        Path | None,
        option("Keep what is needed to go on after a crash in this new file; see `resume`."),
    ] = None,
    verify: Annotated[
        str,
        option("auto or always: read the list of recipients where needed, or of every message."),
    ] = "auto",
    max_cost: Annotated[
        str | None, option("Stop before the close that would cost more in all.", metavar="EUR")
    ] = None,
    max_recipients: Annotated[
        int | None, option("Stop before the close that would make it more.")
    ] = None,
    rejects: Annotated[
        Path | None,
        option("Write the invalid rows to this file, in the list's own form, to be corrected."),
    ] = None,
    unsent: Annotated[
        Path | None,
        option("Write who was not sent to, when it stops early, to this file, to send later."),
    ] = None,
    report: Annotated[Path | None, option(_REPORT)] = None,
    yes: Annotated[
        bool, option(f"Do not ask before sending to more than {ASK_ABOVE:,}.", "--yes")
    ] = False,
    simulate: Annotated[
        bool, option("Send to a simulator: needs no account, texts nobody.", "--simulate")
    ] = False,
) -> int:
    """Send one text to everyone in a file, each number once, and print the receipt as JSON.

    The whole file is checked first: nothing is sent while it is broken. A number that is no number
    stops nothing: the receipt counts it, and --rejects names it.
    """
    if simulate and journal is not None:
        raise ValueError(
            "--simulate forgets everything at its end, so a journal of it could not be resumed; run "
            "`gateway-sms simulator` in another terminal and send to that"
        )
    if journal is not None and unsent is not None:
        raise ValueError(
            "--unsent goes without --journal: whoever is left is in the journal, and would be sent "
            "to by a resume as well"
        )
    if journal is not None and journal.exists():
        raise already_there(journal)
    check_verify(verify)
    if max_cost is not None:
        check_cost("max_cost", max_cost)
    if max_recipients is not None:
        check_count("max_recipients", max_recipients)
    check_outputs(
        {"--rejects": rejects, "--unsent": unsent, "--report": report},
        (file, journal, *(who.exclude or ())),
    )
    client = account.simulated() if simulate else account.client()
    with (
        opened(file, text, who) as plan,
        open_output(rejects) as rejected,
        open_output(unsent) as left,
        open_output(report) as reported,
    ):
        rate = account.requests_a_second(simulated=simulate)
        looking = plan.preview(content, who, pace, verify=verify, rate=rate, client=nullcontext())
        looked_at = asyncio.run(looking)
        plan.say_refused(looked_at.invalid, rejects=rejects)
        say_preview(looked_at)
        if not (yes or simulate or content.test) and (refusal := _ask(looked_at)):
            say("Nothing was sent.")
            return refusal
        campaign = CampaignRun(
            lambda gateway, progress, stop: gateway.send_bulk(
                plan,
                sender=content.sender,
                body=plan.text,
                priority=content.priority,
                options=content.options(),
                test=content.test,
                batch_size=pace.batch_size,
                recipients_per_message=pace.recipients_per_message,
                careful=pace.careful,
                verify=cast('Literal["auto", "always"]', verify),
                journal=journal,
                on_progress=progress,
                stop=stop,
                total=plan.rows.total,
                default_region=who.default_region,
                strict_numbers=who.strict_numbers,
                allow_missing_fields=who.allow_missing_fields,
                exclude=plan.excluded,
                max_cost=max_cost,
                max_recipients=max_recipients,
            ),
            total=plan.rows.total,
            journal=None if journal is None else str(journal),
        )
        asyncio.run(campaign.run(client))
        receipt = campaign.receipt
        if receipt is None:
            return campaign.conclude()
        known = {one.position for one in looked_at.invalid}
        plan.say_refused(
            [one for one in receipt.invalid if one.position not in known], rejects=rejects
        )
        read = number_reader(who.default_region)
        reasons = refused(plan.rows.rows(), receipt.invalid, receipt.outcomes, read)
        # Before anything is printed: whoever reads that may have gone away.
        written = [
            output.write(write)
            for output, write in (
                (rejected, partial(write_rows, plan.rows, reasons)),
                (left, partial(write_rows, plan.rows, left_over(receipt, plan.excluded, read))),
                (reported, partial(write_report, plan.rows.rows(), receipt)),
            )
            if output is not None
        ]
        if rejected is not None and reasons and receipt.accepted:
            say(
                "When the corrected rows are sent, give --exclude with a --report of this campaign, so "
                "that nobody is texted twice."
            )
        return campaign.conclude() or (0 if all(written) else FAILED)


def _ask(looked_at: Preview) -> int:
    """Ask before a large campaign, where there is somebody to ask; 0 is a yes."""
    if looked_at.recipients <= ASK_ABOVE or not _is_watched():
        return 0
    try:
        agreed = typer.confirm(f"Send to {looked_at.recipients:,} recipients now?", err=True)
    except typer.Abort:
        return INTERRUPTED + signal.SIGINT
    return 0 if agreed else FAILED


def _is_watched() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
