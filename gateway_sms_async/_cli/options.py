"""How a command of `gateway-sms` is made, and the options that several of them share.

The commands enter. A dataclass stands for a group of options; whatever goes wrong in a command ends
as one line and an exit code.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from .. import GatewayClient, Message, Messages, Options
from .._http.address import choose_base_url
from ..testing import Simulator
from .login import FoundToken, find_token
from .terminal.console import print_json, say
from .terminal.messages import print_message

__all__ = ["AccountOptions", "Content", "Id", "of_message", "option", "parse_day", "read_text"]

T = TypeVar("T")


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
class AccountOptions:
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
        (print_json if self.as_json else print_message)(message)


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


_REPORT = "Write every recipient to this file, with message and outcome: CSV, or JSON if it ends in .json."
