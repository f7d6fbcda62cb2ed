"""The commands on messages: send, list, show, recipients, reschedule, delete."""

import secrets
import sys
from datetime import date
from typing import Annotated

import typer

from ..app import command
from ..exit_codes import SOME_INVALID, UNKNOWN
from ..options import AccountOptions, ContentOptions, Id, message_option, option, parse_day
from ..terminal.console import print_json, print_lookup_hint, print_status
from ..terminal.messages import print_messages, print_recipients


@command(
    'gateway-sms send --sender ACME --body "Your table is ready" --to +39-3401234567',
    'gateway-sms send --sender ACME --body "See you" --to +393401234567 --to +393407654321 --test',
)
def send(
    to: Annotated[list[str], option("A number with its country code; may be repeated.")],
    body: Annotated[str, message_option("The text.")],
    content: ContentOptions,
    account: AccountOptions,
) -> int:
    """Send one message and print it.

    Exit codes: 0 sent; 1 refused or failed; 2 wrong usage; 3 the gateway counts some of the
    numbers as invalid; 4 it is unknown whether the message was sent.
    """
    options = content.options()
    reference = None if content.custom is not None else secrets.token_hex(16)
    try:
        sent = account.call(
            lambda messages: messages.send(
                sender=content.sender,
                body=body,
                recipients=to,
                priority=content.priority,
                options=options,
                test=content.test,
                reference=reference,
            )
        )
    except KeyboardInterrupt:
        print_status("gateway-sms: interrupted; the message may have been sent.")
        print_lookup_hint(reference)
        return UNKNOWN
    account.print_message(sent)
    if sent.invalid:
        print_status(f"The gateway counts {sent.invalid} of the numbers as invalid.")
        return SOME_INVALID
    return 0


@command("gateway-sms list", "gateway-sms list --json")
def list_(account: AccountOptions) -> None:
    """List the messages of the account."""
    messages = account.call(lambda messages: messages.list())
    (print_json if account.as_json else print_messages)(messages)


@command("gateway-sms show 5af5ed8d1b6b8c0001b2c3d4")
def show(message_id: Id, account: AccountOptions) -> None:
    """Show one message: its state, its counts, its price."""
    account.print_message(account.call(lambda messages: messages.get(message_id)))


@command("gateway-sms recipients 5af5ed8d1b6b8c0001b2c3d4 --json")
def recipients(message_id: Id, account: AccountOptions) -> None:
    """List the recipients of a message, each with its state, price and times."""
    reports = account.call(lambda messages: messages.recipients(message_id))
    (print_json if account.as_json else print_recipients)(reports)


@command("gateway-sms reschedule 5af5ed8d1b6b8c0001b2c3d4 2030-12-31")
def reschedule(
    message_id: Id,
    day: Annotated[
        date,
        typer.Argument(parser=parse_day, metavar="DATE", help="The new date, as in 2030-12-31."),
    ],
    account: AccountOptions,
) -> None:
    """Move a message that was not sent yet to another date."""
    account.print_message(account.call(lambda messages: messages.reschedule(message_id, day)))


@command(
    "gateway-sms delete 5af5ed8d1b6b8c0001b2c3d4",
    "gateway-sms delete 5af5ed8d1b6b8c0001b2c3d4 --yes",
)
def delete(
    message_id: Id,
    account: AccountOptions,
    *,
    yes: Annotated[bool, option("Do not ask for confirmation.", "--yes")] = False,
) -> None:
    """Delete a message. If it was not sent yet, it never is; spent credit is not refunded."""
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError("cannot ask for confirmation without a terminal: give --yes to delete")
        typer.confirm(f"Delete message {message_id}?", abort=True, err=True)
    account.call(lambda messages: messages.delete(message_id))
    if account.as_json:
        print_json({"deleted": message_id})
    else:
        print_status(f"Message {message_id} is deleted.")
