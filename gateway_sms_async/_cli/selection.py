"""Which messages are meant: ids or journals."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from .._campaign.stored import read_campaign
from .._http.address import PRODUCTION, SANDBOX, choose_base_url
from .._receipt import Receipt
from .options import AccountOptions, option
from .terminal.console import say

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
    account: AccountOptions
    unsettled: list[str]


def _sent(
    ids: Sequence[str] | None, journals: Sequence[Path] | None, account: AccountOptions
) -> _Sent:
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


def _at(base_url: str, account: AccountOptions) -> AccountOptions:
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
