"""How a command of `gateway-sms` is made, and the options that several of them share.

The commands enter. A dataclass stands for a group of options; whatever goes wrong in a command ends
as one line and an exit code.
"""

import asyncio
import inspect
import os
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar, cast

import typer

from . import GatewayClient, GatewayError, Message, Messages, Options, _console
from ._arguments import choose_base_url
from ._console import say
from ._login import FoundToken, find_token
from .simulator import Simulator

__all__ = [
    "Account",
    "Content",
    "Id",
    "Output",
    "app",
    "check_outputs",
    "command",
    "of_message",
    "open_output",
    "option",
    "parse_day",
    "read_text",
]

T = TypeVar("T")

app: typer.Typer = typer.Typer(
    name="gateway-sms",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def option(text: str, *names: str, **more: Any) -> Any:
    """Describe an option."""
    return typer.Option(*names, help=text, **more)


of_message = partial(option, rich_help_panel="Message")
of_connection = partial(option, rich_help_panel="Connection")


def parse_day(text: str) -> date:
    """Read a day as a person writes it on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a day as 2030-12-31") from None


@dataclass(frozen=True, kw_only=True)
class Account:
    """The options that all commands share: where requests go, with which token, how fast."""

    token_file: Annotated[
        Path | None,
        of_connection(
            "Has the token; else OPENAPI_TOKEN, else OPENAPI_EMAIL and OPENAPI_API_KEY, else the "
            "login of that environment (gateway-sms login)."
        ),
    ] = None
    sandbox: Annotated[
        bool, of_connection("Use the vendor's sandbox, which has tokens of its own.", "--sandbox")
    ] = False
    base_url: Annotated[str | None, of_connection("Another address.", metavar="URL")] = None
    rate: Annotated[
        float | None,
        of_connection("Requests a second; 0 for no limit.", show_default="10; 0 if simulated"),
    ] = None
    concurrency: Annotated[int, of_connection("Requests under way at once.")] = 8
    timeout: Annotated[float, of_connection("Seconds that one attempt may take.")] = 30.0
    as_json: Annotated[bool, option("Print JSON for programs, not tables.", "--json")] = False

    def client(self, simulator: Simulator | None = None) -> GatewayClient:
        """Make the client; ValueError when there is no token."""
        return GatewayClient(
            self.find_token().source if simulator is None else simulator.token,
            sandbox=self.sandbox,
            base_url=self.base_url if simulator is None else simulator.url,
            rate=self.requests_a_second(simulated=simulator is not None),
            concurrency=self.concurrency,
            timeout=self.timeout,
        )

    def address(self) -> str:
        """Return where requests go."""
        return choose_base_url(self.base_url, sandbox=self.sandbox)

    def find_token(self) -> FoundToken:
        """Return the token for this address; ValueError when there is none."""
        given = None if self.token_file is None else _read_token(self.token_file)
        return find_token(given, self.address())

    def requests_a_second(self, *, simulated: bool = False) -> float | None:
        """Return the rate that the options ask for, None for no limit."""
        if self.rate is None:
            return None if simulated else 10.0
        return self.rate or None

    def simulated(self) -> AbstractAsyncContextManager[GatewayClient]:
        """Return a client of a simulator that lives as long as it; ValueError for a wrong option."""
        if self.sandbox or self.base_url or self.token_file:
            raise ValueError("--simulate goes without --sandbox, --base-url and --token-file")
        return self._simulated()

    @asynccontextmanager
    async def _simulated(self) -> AsyncGenerator[GatewayClient]:
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

    sender: Annotated[str, of_message("Who it comes from: 3-11 characters, or 3-14 digits.")]
    priority: Annotated[float | None, of_message("At least 1.00; costs more above it.")] = None
    flash: Annotated[bool, of_message("Show it as a pop-up.", "--flash")] = False
    realtime: Annotated[
        bool, of_message("Send a one-time code past all queues; one a minute.", "--realtime")
    ] = False
    on: Annotated[
        date | None,
        of_message("The day to send on, as 2030-12-31.", parser=parse_day, metavar="DATE"),
    ] = None
    callback_url: Annotated[
        str | None, of_message("Is told when the message's state changes.", metavar="URL")
    ] = None
    callback_field: Annotated[str | None, of_message("Form field to tell it in.")] = None
    custom: Annotated[str | None, of_message("Text of yours to keep with the message.")] = None
    test: Annotated[bool, of_message("Have it checked but not sent.", "--test")] = False

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


def command(
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

        def run(**values: Any) -> None:
            for name, group in groups.items():
                parts = {field.name: values.pop(field.name) for field in fields(group)}
                values[name] = group(**parts)
            raise typer.Exit(_console.run(partial(function, **values)))

        vars(run)["__signature__"] = inspect.Signature(parameters)
        epilog = "\n\n".join(("Examples:", *examples))
        within.command(function.__name__.rstrip("_"), help=inspect.getdoc(function), epilog=epilog)(
            run
        )

    return register


def _read_token(file: Path) -> str:
    token = read_text(file).strip()
    if not token:
        raise ValueError(f"{file} is empty; put the token in it")
    return token


def read_text(file: Path) -> str:
    """Return the text of a small file; ValueError when it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ValueError(
            f"{file}: {error.strerror or error}; give a file that can be read"
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{file}: this is not UTF-8 text") from None


def check_outputs(outputs: Mapping[str, Path | None], inputs: Iterable[str | Path | None]) -> None:
    """Refuse files to write that are one another, or a file that is read."""
    read = (Path(one) for one in inputs if one is not None and one != "-")
    taken = {path.resolve(): "a file that is read" for path in read}
    for option, file in outputs.items():
        if file is None or (file.exists() and not file.is_file()):
            continue
        if (other := taken.get(file.resolve())) is not None:
            raise ValueError(f"{option} would overwrite {other}; give another file")
        taken[file.resolve()] = f"the file of {option}"


class Output:
    """A file to write that takes its place when all is in it; what was there before stays if not."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path = path
        self._file = file
        self.is_complete = False
        self._is_broken = False

    def write(self, write: Callable[[IO[str]], None]) -> bool:
        """Write all of it; say what went wrong, for what became of a campaign matters more than this."""
        self.write_part(write)
        return self.complete()

    def write_part(self, write: Callable[[IO[str]], None]) -> None:
        """Write some of it, which alone does not make it complete; nothing after what went wrong."""
        if self._is_broken:
            return
        try:
            write(self._file)
            self._file.flush()
        except (OSError, ValueError, GatewayError) as error:
            say(f"gateway-sms: {self._path} could not be written: {error}")
            self._is_broken = True

    def complete(self) -> bool:
        """Say that all parts are written; False when one of them could not be."""
        self.is_complete = not self._is_broken
        return self.is_complete


@contextmanager
def open_output(path: Path | None) -> Generator[Output | None]:
    """Open a file to write, readable by its owner only, before anything is sent.

    ValueError when it cannot be written.
    """
    if path is None:
        yield None
        return
    # A pipe or a device is written as it is.
    is_file = not path.exists() or path.is_file()
    new = path
    try:
        if is_file:
            # A name that nobody has: a neighbour's file must not be written over, nor deleted.
            number, name = tempfile.mkstemp(path.suffix, f".{path.stem}-", path.parent)
            os.close(number)
            new = Path(name)
        file = new.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}; give a file to write to") from None
    output = Output(path, file)
    try:
        yield output
    finally:
        # Of the file alone: a connection that failed is an OSError too, and goes on its way.
        with suppress(OSError):
            file.close()
        if is_file:
            if output.is_complete:
                new.replace(path)
            new.unlink(missing_ok=True)
