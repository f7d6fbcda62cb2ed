"""The command line, `gateway-sms`: the commands on messages, and the simulator.

Enters by `__main__`; those on campaigns, deliveries and the account are in the rooms beside. Does
what it does with the client as any other user would.
"""

import secrets
import sys
from datetime import date
from typing import Annotated

import typer

from ..app import SOME_INVALID, UNKNOWN, command
from ..options import AccountOptions, Content, Id, of_message, option, parse_day
from ..terminal.console import print_json, print_lookup_hint, say
from ..terminal.messages import print_messages, print_recipients


@command(
    'gateway-sms send --sender ACME --body "Your table is ready" --to +39-3401234567',
    'gateway-sms send --sender ACME --body "See you" --to +393401234567 --to +393407654321 --test',
)
def send(
    to: Annotated[list[str], option("A number, with its country code; may be repeated.")],
    body: Annotated[str, of_message("The text.")],
    content: Content,
    account: AccountOptions,
) -> int:
    """Send one message and print it."""
    options = content.options()
    reference = None if content.custom is not None else secrets.token_hex(16)
    try:
        message = account.ask(
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
        say("gateway-sms: interrupted; the message may have been sent.")
        print_lookup_hint(reference)
        return UNKNOWN
    account.show(message)
    if message.invalid:
        say(f"The gateway counts {message.invalid} of the numbers as invalid.")
        return SOME_INVALID
    return 0


@command("gateway-sms list --json")
def list_(account: AccountOptions) -> None:
    """List the messages of the account."""
    messages = account.ask(lambda messages: messages.list())
    (print_json if account.as_json else print_messages)(messages)


@command("gateway-sms show 5af5ed8d1b6b8c0001b2c3d4")
def show(message_id: Id, account: AccountOptions) -> None:
    """Show one message: its state, its counts, its price."""
    account.show(account.ask(lambda messages: messages.get(message_id)))


@command("gateway-sms recipients 5af5ed8d1b6b8c0001b2c3d4 --json")
def recipients(message_id: Id, account: AccountOptions) -> None:
    """List the recipients of a message, and what became of each."""
    reports = account.ask(lambda messages: messages.recipients(message_id))
    (print_json if account.as_json else print_recipients)(reports)


@command("gateway-sms reschedule 5af5ed8d1b6b8c0001b2c3d4 2030-12-31")
def reschedule(
    message_id: Id,
    day: Annotated[
        date,
        typer.Argument(parser=parse_day, metavar="DATE", help="A day, as 2030-12-31."),
    ],
    account: AccountOptions,
) -> None:
    """Move a message that has not been sent yet to another day."""
    account.show(account.ask(lambda messages: messages.reschedule(message_id, day)))


@command("gateway-sms delete 5af5ed8d1b6b8c0001b2c3d4 --yes")
def delete(
    message_id: Id,
    account: AccountOptions,
    *,
    yes: Annotated[bool, option("Do not ask.", "--yes")] = False,
) -> None:
    """Cancel a message, which then never goes out; credit spent is not given back."""
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError("there is nobody to ask: give --yes to delete the message")
        typer.confirm(f"Delete message {message_id}?", abort=True, err=True)
    account.ask(lambda messages: messages.delete(message_id))
    if account.as_json:
        print_json({"deleted": message_id})
    else:
        say(f"Message {message_id} is deleted.")
