"""The command line, `gateway-sms`: the commands on messages, and the simulator.

Enters by `__main__`; those on campaigns, deliveries and the account are in the rooms beside. Does
what it does with the client as any other user would.
"""

import asyncio
import secrets
import sys
from contextlib import suppress
from datetime import date
from typing import Annotated

import typer

from . import __version__, _console, cli_account, cli_campaigns, cli_delivery
from ._command import Account, Content, Id, app, command, of_message, option, parse_day
from ._console import say
from .simulator import Deliveries, Simulator

__all__ = ["app", "cli_account", "cli_delivery"]

app.add_typer(
    cli_campaigns.journals, name="journal", help="Look at or delete the journal of a campaign."
)


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer's own way to call it
    if value:
        typer.echo(f"gateway-sms {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Begin without an account:\n\n"
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate'
)
def _main(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Send text messages by Openapi's Gateway SMS, one or a million, nobody twice.

    Exit codes: 0 all accepted, 1 a failure, 2 wrong use, 3 some recipients invalid or without the
    text, 4 it is not known whether something was sent, 5 not at its end: resume, or ask again, 130
    and 143 interrupted.
    """


@command(
    'gateway-sms send --sender ACME --body "Your table is ready" --to +39-3401234567',
    'gateway-sms send --sender ACME --body "See you" --to +393401234567 --to +393407654321 --test',
)
def send(
    to: Annotated[list[str], option("A number, with its country code; may be repeated.")],
    body: Annotated[str, of_message("The text.")],
    content: Content,
    account: Account,
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
        _console.say_how_to_look(reference)
        return _console.UNKNOWN
    account.show(message)
    if message.invalid:
        say(f"The gateway counts {message.invalid} of the numbers as invalid.")
        return _console.SOME_INVALID
    return 0


@command("gateway-sms list --json")
def list_(account: Account) -> None:
    """List the messages of the account."""
    messages = account.ask(lambda messages: messages.list())
    (_console.print_json if account.as_json else _console.print_messages)(messages)


@command("gateway-sms show 5af5ed8d1b6b8c0001b2c3d4")
def show(message_id: Id, account: Account) -> None:
    """Show one message: its state, its counts, its price."""
    account.show(account.ask(lambda messages: messages.get(message_id)))


@command("gateway-sms recipients 5af5ed8d1b6b8c0001b2c3d4 --json")
def recipients(message_id: Id, account: Account) -> None:
    """List the recipients of a message, and what became of each."""
    reports = account.ask(lambda messages: messages.recipients(message_id))
    (_console.print_json if account.as_json else _console.print_recipients)(reports)


@command("gateway-sms reschedule 5af5ed8d1b6b8c0001b2c3d4 2030-12-31")
def reschedule(
    message_id: Id,
    day: Annotated[
        date,
        typer.Argument(parser=parse_day, metavar="DATE", help="A day, as 2030-12-31."),
    ],
    account: Account,
) -> None:
    """Move a message that has not been sent yet to another day."""
    account.show(account.ask(lambda messages: messages.reschedule(message_id, day)))


@command("gateway-sms delete 5af5ed8d1b6b8c0001b2c3d4 --yes")
def delete(
    message_id: Id,
    account: Account,
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
        _console.print_json({"deleted": message_id})
    else:
        say(f"Message {message_id} is deleted.")


@command("gateway-sms simulator --port 8025", "gateway-sms simulator --undelivered 0.1 --spread 60")
def simulator(
    host: Annotated[str, option("The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("The port; 0 takes a free one.", min=0, max=65535)] = 0,
    undelivered: Annotated[
        float, option("The share of recipients who do not get it.", min=0, max=1)
    ] = 0.0,
    spread: Annotated[float, option("Seconds over which the others get it.", min=0)] = 0.0,
) -> None:
    """Run a simulator of the gateway until Ctrl-C: it charges nothing and texts nobody.

    A message is delivered three seconds after it was sent, unless told otherwise.
    """
    deliveries = Deliveries(undelivered=undelivered, spread=spread)
    server = Simulator(host=host, port=port, keep_requests=0, deliveries=deliveries)

    def announce(url: str) -> None:
        typer.echo(f"GATEWAY_SMS_BASE_URL={url}\nOPENAPI_TOKEN={server.token}")
        sys.stdout.flush()
        say(
            "To use it, export both lines in another terminal and run gateway-sms there. "
            "Ctrl-C ends it, and everything in it is forgotten.\n"
            f"It has an OAuth service too: OPENAPI_OAUTH_URL={server.oauth_url} "
            f"OPENAPI_EMAIL={server.email} OPENAPI_API_KEY={server.api_key}"
        )

    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve_forever(announce))
