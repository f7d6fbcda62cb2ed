"""The command line, `gateway-sms`: one function for each command, and the exit codes.

Enters by `__main__`. Reads files through `lists`, shows things through `_console`, and does the
rest with the client as any other user would. Every mistake ends as one line and an exit code.
"""

import asyncio
import inspect
import os
import secrets
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, Literal, TypeVar, cast

import typer

from . import (
    GatewayClient,
    Message,
    Messages,
    Options,
    __version__,
    _console,
    purge_journal,
    read_journal,
)
from ._console import say
from .lists import open_list, write_rejects, write_unsent
from .simulator import Simulator
from .text import placeholders

T = TypeVar("T")

app = typer.Typer(
    name="gateway-sms",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


journals = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")
app.add_typer(journals, name="journal", help="Look at or delete the journal of a campaign.")


def _option(text: str, *names: str, **more: Any) -> Any:
    return typer.Option(*names, help=text, **more)


_of_message = partial(_option, rich_help_panel="Message")
_of_connection = partial(_option, rich_help_panel="Connection")


def _parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a day as 2030-12-31") from None


@dataclass(frozen=True, kw_only=True)
class Account:
    """The options that all commands share: where requests go, with which token, how fast."""

    token_file: Annotated[Path | None, _of_connection("Has the token; else OPENAPI_TOKEN.")] = None
    sandbox: Annotated[
        bool, _of_connection("Use the vendor's sandbox, which has tokens of its own.", "--sandbox")
    ] = False
    base_url: Annotated[str | None, _of_connection("Another address.", metavar="URL")] = None
    rate: Annotated[
        float | None,
        _of_connection("Requests a second; 0 for no limit.", show_default="10; 0 if simulated"),
    ] = None
    concurrency: Annotated[int, _of_connection("Requests under way at once.")] = 8
    timeout: Annotated[float, _of_connection("Seconds that one attempt may take.")] = 30.0
    as_json: Annotated[bool, _option("Print JSON for programs, not tables.", "--json")] = False

    def client(self, simulator: Simulator | None = None) -> GatewayClient:
        """Make the client; ValueError when there is no token."""
        rate = self.rate
        if rate is None:
            rate = 10.0 if simulator is None else 0.0
        return GatewayClient(
            _read_token(self.token_file) if simulator is None else simulator.token,
            sandbox=self.sandbox,
            base_url=self.base_url if simulator is None else simulator.url,
            rate=rate or None,
            concurrency=self.concurrency,
            timeout=self.timeout,
        )

    @asynccontextmanager
    async def simulated(self) -> AsyncGenerator[GatewayClient]:
        """Open a client of a simulator that lives as long as it."""
        if self.sandbox or self.base_url or self.token_file:
            raise ValueError("--simulate goes without --sandbox, --base-url and --token-file")
        say("Simulating: nothing is really sent, and no account is used.")
        async with Simulator(keep_requests=0) as simulator, self.client(simulator) as gateway:
            yield gateway

    def ask(self, call: Callable[[Messages], Awaitable[T]]) -> T:
        """Make one of the seven calls."""

        async def run() -> T:
            async with self.client() as gateway:
                return await call(gateway.messages)

        return asyncio.run(run())

    def show(self, message: Message) -> None:
        """Print a message for people or for programs."""
        (_console.print_json if self.as_json else _console.print_message)(message)


@dataclass(frozen=True, kw_only=True)
class Content:
    """The options that say what a message is like, besides its text and its recipients."""

    sender: Annotated[str, _of_message("Who it comes from: 3-11 characters, or 3-14 digits.")]
    priority: Annotated[float | None, _of_message("At least 1.00; costs more above it.")] = None
    flash: Annotated[bool, _of_message("Show it as a pop-up.", "--flash")] = False
    realtime: Annotated[
        bool, _of_message("Send a one-time code past all queues; one a minute.", "--realtime")
    ] = False
    on: Annotated[
        date | None,
        _of_message("The day to send on, as 2030-12-31.", parser=_parse_day, metavar="DATE"),
    ] = None
    callback_url: Annotated[
        str | None, _of_message("Is told when the message's state changes.", metavar="URL")
    ] = None
    callback_field: Annotated[str | None, _of_message("Form field to tell it in.")] = None
    custom: Annotated[str | None, _of_message("Text of yours to keep with the message.")] = None
    test: Annotated[bool, _of_message("Have it checked but not sent.", "--test")] = False

    def options(self) -> Options:
        """Return what the library calls options."""
        return Options(
            flash=self.flash,
            realtime=self.realtime,
            timestamp_send=self.on,
            custom=self.custom,
            callback_url=self.callback_url,
            callback_field=self.callback_field,
        )


Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a message.")]


# How a command runs


def _command(
    *examples: str, within: typer.Typer = app
) -> Callable[[Callable[..., int | None]], None]:
    """Make a command of a function; a parameter that is a dataclass stands for its fields."""

    def register(function: Callable[..., int | None]) -> None:
        groups: dict[str, Any] = {}
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(function).parameters.values():
            group: Any = parameter.annotation
            if is_dataclass(group):
                groups[parameter.name] = group
                parameters.extend(inspect.signature(cast("type[Any]", group)).parameters.values())
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))

        def command(**values: Any) -> None:
            for name, group in groups.items():
                parts = {field.name: values.pop(field.name) for field in fields(group)}
                values[name] = group(**parts)
            raise typer.Exit(_console.run(partial(function, **values)))

        vars(command)["__signature__"] = inspect.Signature(parameters)
        epilog = "\n\n".join(("Examples:", *examples))
        within.command(function.__name__.rstrip("_"), help=inspect.getdoc(function), epilog=epilog)(
            command
        )

    return register


def _read_token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get("OPENAPI_TOKEN", "").strip()
        if not token:
            raise ValueError("no token: set OPENAPI_TOKEN or give --token-file FILE")
        return token
    token = _read_text(file).strip()
    if not token:
        raise ValueError(f"{file} is empty; put the token in it")
    return token


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{file}: {error.strerror or error}; give a file that can be read"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: this is not UTF-8 text") from None


# The commands


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

    Exit codes: 0 all accepted, 1 a failure, 2 wrong use, 3 some recipients invalid, 4 it is not
    known whether something was sent, 5 stopped and can be resumed, 130 and 143 interrupted.
    """


@_command(
    'gateway-sms send --sender ACME --body "Your table is ready" --to +39-3401234567',
    'gateway-sms send --sender ACME --body "See you" --to +393401234567 --to +393407654321 --test',
)
def send(
    to: Annotated[list[str], _option("A number, with its country code; may be repeated.")],
    body: Annotated[str, _of_message("The text.")],
    content: Content,
    account: Account,
) -> int:
    """Send one message and print it."""
    reference = None if content.custom is not None else secrets.token_hex(16)
    try:
        message = account.ask(
            lambda messages: messages.send(
                sender=content.sender,
                body=body,
                recipients=to,
                priority=content.priority,
                options=content.options(),
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


@_command(
    'gateway-sms bulk people.csv --sender ACME --body "Ciao {{name}}" --simulate',
    "gateway-sms bulk people.csv --sender ACME --body-file text.txt --rejects rejected.csv",
    'gateway-sms bulk people.csv --sender ACME --body "Ciao" --journal campaign.db --max-cost 50',
    'some-query | gateway-sms bulk - --sender ACME --body "We are closed on Friday"',
)
def bulk(
    *,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="CSV with a column `number` (others fill the placeholders), JSON Lines, or one "
            "number a line; - is standard input.",
        ),
    ],
    content: Content,
    account: Account,
    body: Annotated[str | None, _of_message("The text; {{name}} stands for a column.")] = None,
    body_file: Annotated[
        Path | None, _of_message("A file with the text; the line break at its end is left out.")
    ] = None,
    batch_size: Annotated[int, _option("Recipients in one request.")] = 500,
    recipients_per_message: Annotated[int, _option("At most 50000.")] = 20_000,
    journal: Annotated[
        Path | None,
        _option("Keep what is needed to go on after a crash in this new file; see `resume`."),
    ] = None,
    careful: Annotated[
        bool,
        _option("One POST and one close a message: exact behind any proxy.", "--careful"),
    ] = False,
    verify: Annotated[
        str,
        _option("auto or always: read the list of recipients where needed, or of every message."),
    ] = "auto",
    max_cost: Annotated[
        str | None, _option("Stop before the close that would cost more in all.", metavar="EUR")
    ] = None,
    max_recipients: Annotated[
        int | None, _option("Stop before the close that would make it more.")
    ] = None,
    allow_missing_fields: Annotated[
        bool,
        _option("Send also to those without a value for a placeholder.", "--allow-missing-fields"),
    ] = False,
    rejects: Annotated[
        Path | None, _option("Write the invalid rows to this CSV file, with reason and line.")
    ] = None,
    unsent: Annotated[
        Path | None,
        _option("Write who was not sent to, when it stops early, to this CSV file to send later."),
    ] = None,
    simulate: Annotated[
        bool, _option("Send to a simulator: needs no account, texts nobody.", "--simulate")
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
    client = account.simulated() if simulate else account.client()
    text = _choose_body(body, body_file)
    options = content.options()
    with (
        open_list(
            file, placeholders(text), allow_missing_fields=allow_missing_fields
        ) as recipients,
        _open_output("--rejects", rejects, file) as rejected,
        _open_output("--unsent", unsent, file) as left,
    ):
        campaign = _console.Campaign(
            lambda gateway, report, stop: gateway.send_bulk(
                recipients,
                sender=content.sender,
                body=text,
                priority=content.priority,
                options=options,
                test=content.test,
                batch_size=batch_size,
                recipients_per_message=recipients_per_message,
                careful=careful,
                verify=cast('Literal["auto", "always"]', verify),
                journal=journal,
                on_progress=report,
                stop=stop,
                total=recipients.total,
                allow_missing_fields=allow_missing_fields,
                max_cost=max_cost,
                max_recipients=max_recipients,
            ),
            total=recipients.total,
            journal=None if journal is None else str(journal),
        )
        asyncio.run(campaign.run(client))
        code = campaign.conclude()
        if campaign.receipt is None:
            return code
        try:
            if rejected is not None:
                write_rejects(recipients, campaign.receipt.invalid, rejected)
            if left is not None:
                write_unsent(recipients, campaign.receipt, left)
        except (OSError, ValueError) as error:
            # What became of the campaign matters more than this.
            say(f"gateway-sms: {rejects or unsent} is not complete: {error}")
        return code


@_command("gateway-sms resume campaign.db")
def resume(
    journal: Annotated[str, typer.Argument(metavar="JOURNAL", help="What --journal wrote.")],
    account: Account,
) -> int:
    """Go on with a campaign that was stopped or has crashed, and print its receipt as JSON.

    Messages that may have been closed are looked at first; nobody is sent to again who may have
    been texted. A finished campaign prints its receipt; nothing is sent.
    """
    campaign = _console.Campaign(
        lambda gateway, report, stop: gateway.resume_bulk(journal, on_progress=report, stop=stop),
        total=None,
        journal=journal,
    )
    asyncio.run(campaign.run(account.client()))
    return campaign.conclude()


JournalPath = Annotated[str, typer.Argument(metavar="PATH", help="What --journal wrote.")]


@_command("gateway-sms journal show campaign.db", within=journals)
def show_(path: JournalPath) -> int:
    """Print where everyone of a campaign stands, as its journal has it; asks the gateway nothing."""
    receipt = asyncio.run(read_journal(path))
    _console.print_receipt(receipt)
    _console.summarize(receipt, resumable=not receipt.complete)
    return _console.UNKNOWN if receipt.unknown or receipt.doubled else 0


@_command("gateway-sms journal purge campaign.db", within=journals)
def purge(path: JournalPath) -> None:
    """Delete the journal of a finished campaign, with the numbers and texts in it."""
    asyncio.run(purge_journal(path))
    say(f"{path} is deleted.")


def _choose_body(body: str | None, body_file: Path | None) -> str:
    if (body is None) == (body_file is None):
        raise ValueError("give either --body or --body-file")
    if body_file is None:
        return body or ""
    return _read_text(body_file).removesuffix("\n")


@contextmanager
def _open_output(option: str, file: Path | None, source: str) -> Generator[IO[str] | None]:
    """Open the file before anything is sent, so that it is known to be writable."""
    if file is None:
        yield None
        return
    if source != "-" and file.exists() and file.samefile(source):
        raise ValueError(f"{option} would overwrite the list itself; give another file")
    try:
        opened = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ValueError(f"{file}: {error.strerror or error}; give a file to write to") from None
    with opened:
        yield opened


@_command("gateway-sms list --json")
def list_(account: Account) -> None:
    """List the messages of the account."""
    messages = account.ask(lambda messages: messages.list())
    (_console.print_json if account.as_json else _console.print_messages)(messages)


@_command("gateway-sms show 5af5ed8d1b6b8c0001b2c3d4")
def show(message_id: Id, account: Account) -> None:
    """Show one message: its state, its counts, its price."""
    account.show(account.ask(lambda messages: messages.get(message_id)))


@_command("gateway-sms recipients 5af5ed8d1b6b8c0001b2c3d4 --json")
def recipients(message_id: Id, account: Account) -> None:
    """List the recipients of a message, and what became of each."""
    reports = account.ask(lambda messages: messages.recipients(message_id))
    (_console.print_json if account.as_json else _console.print_recipients)(reports)


@_command("gateway-sms reschedule 5af5ed8d1b6b8c0001b2c3d4 2030-12-31")
def reschedule(
    message_id: Id,
    day: Annotated[
        date,
        typer.Argument(parser=_parse_day, metavar="DATE", help="A day, as 2030-12-31."),
    ],
    account: Account,
) -> None:
    """Move a message that has not been sent yet to another day."""
    account.show(account.ask(lambda messages: messages.reschedule(message_id, day)))


@_command("gateway-sms delete 5af5ed8d1b6b8c0001b2c3d4 --yes")
def delete(
    message_id: Id,
    account: Account,
    *,
    yes: Annotated[bool, _option("Do not ask.", "--yes")] = False,
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


@_command("gateway-sms simulator --port 8025")
def simulator(
    host: Annotated[str, _option("The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, _option("The port; 0 takes a free one.", min=0, max=65535)] = 0,
) -> None:
    """Run a simulator of the gateway until Ctrl-C: it charges nothing and texts nobody."""
    server = Simulator(host=host, port=port, keep_requests=0)

    def announce(url: str) -> None:
        typer.echo(f"GATEWAY_SMS_BASE_URL={url}\nOPENAPI_TOKEN={server.token}")
        sys.stdout.flush()
        say(
            "To use it, export both lines in another terminal and run gateway-sms there. "
            "Ctrl-C ends it, and everything in it is forgotten."
        )

    with suppress(KeyboardInterrupt):
        asyncio.run(server.serve_forever(announce))
