"""Which messages `report` and `track` work on: given by their ids, or by journals."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, NamedTuple

import typer

from .._http.address import PRODUCTION, SANDBOX, choose_base_url
from .._receipt import Receipt
from .._shards.reading import read_campaign
from .journal_argument import journal_of, shown
from .options import AccountOptions, option
from .terminal.console import print_status

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="The ids of messages.")]

Journals = Annotated[
    list[str] | None,
    option(
        "Use the messages of the campaign in this journal, at the address where it was sent; may "
        "be repeated.",
        "--journal",
    ),
]


class Selection(NamedTuple):
    """The selected messages, each once, and the account with the address that has them.

    `unsettled` are the numbers that no journal knows to be on a message. They may have the text
    all the same, or get it when their campaign is resumed.
    """

    message_ids: list[str]
    account: AccountOptions
    unsettled: list[str]


def select_messages(
    ids: Sequence[str] | None, journals: Sequence[str] | None, account: AccountOptions
) -> Selection:
    """Select messages by ids and journals. Raises ValueError if that leaves none."""
    message_ids = list(ids or ())
    if not message_ids and not journals:
        raise ValueError("give the ids of messages, or the journal of a campaign by --journal")
    addresses: list[str] = []
    unsettled: list[str] = []
    for journal in journals or ():
        base_url, receipt = asyncio.run(read_campaign(journal_of(journal)))
        message_ids.extend(receipt.message_ids)
        unsettled += [*receipt.unknown, *receipt.unsent]
        _print_unfinished(journal, receipt)
        addresses.append(base_url)
        if base_url != addresses[0]:
            raise ValueError(
                f"{shown(journal)}: this campaign was sent to {base_url}, the one before to {addresses[0]}; "
                "run the command once for each of them"
            )
    if not message_ids:
        raise ValueError("nothing was sent yet: no message of the campaign is closed")
    if addresses:
        account = _at(addresses[0], account)
    return Selection(list(dict.fromkeys(message_ids)), account, unsettled)


def _at(base_url: str, account: AccountOptions) -> AccountOptions:
    if account.sandbox or account.base_url:
        return account
    # A journal from elsewhere could name any address, and the token would be sent there.
    if base_url not in {PRODUCTION, SANDBOX, choose_base_url(None, sandbox=False)}:
        raise ValueError(
            f"this campaign was sent to {base_url}; if you trust that address, give "
            f"--base-url {base_url}"
        )
    return replace(account, base_url=base_url)


def _print_unfinished(journal: str, receipt: Receipt) -> None:
    counts = {"not sent": len(receipt.unsent), "unknown": len(receipt.unknown)}
    remaining = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    if receipt.running:
        print_status(f"Another process is running the campaign; at this moment: {remaining}")
    elif remaining:
        print_status(
            f"The campaign is not finished: {remaining}; to resume it: gateway-sms resume {shown(journal)}"
        )
