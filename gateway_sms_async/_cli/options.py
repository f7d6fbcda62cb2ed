"""Options that several commands share. A dataclass is a group of options, one for each field."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from .. import GatewayClient, Message, Messages, Options, SharedRate
from .._http.address import choose_base_url
from .._http.secret import Secret
from ..testing import Simulator
from .lists.text_file import find_mark
from .login import FoundToken, find_token
from .terminal.console import print_json, print_status
from .terminal.messages import print_message

T = TypeVar("T")

_LONGEST_TEXT = 1024 * 1024
"""Bytes of a file with a token or a text, at most."""


def option(text: str, *names: str, **more: Any) -> Any:
    """Describe an option by its help text."""
    return typer.Option(*names, help=text, **more)


message_option = partial(option, rich_help_panel="Message")

connection_option = partial(option, rich_help_panel="Connection")


def parse_day(text: str) -> date:
    """Parse a date given on the command line."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("write a date as 2030-12-31") from None


Proxy = Annotated[
    str | None,
    connection_option(
        "Make all requests through this HTTP proxy; HTTPS_PROXY and the like are not read.",
        metavar="URL",
    ),
]

Id = Annotated[str, typer.Argument(metavar="ID", help="The id of a message.")]

ReportFile = Annotated[
    Path | None,
    option(
        "Write every recipient to this file, with message and outcome: CSV, or JSON if it ends in "
        ".json."
    ),
]


@dataclass(frozen=True, kw_only=True)
class AccountOptions:
    """The options of all commands that make requests: address, token, rate."""

    token_file: Annotated[
        Path | None,
        connection_option(
            "A file with the token. Default: OPENAPI_TOKEN, else OPENAPI_EMAIL and "
            "OPENAPI_API_KEY, else the login of that environment (gateway-sms login)."
        ),
    ] = None
    sandbox: Annotated[
        bool,
        connection_option("Use the vendor's sandbox, which needs its own token.", "--sandbox"),
    ] = False
    base_url: Annotated[
        str | None, connection_option("Use the gateway at this address.", metavar="URL")
    ] = None
    rate: Annotated[
        float | None,
        connection_option(
            "Requests per second; 0 for no limit.", show_default="10; 0 if simulated"
        ),
    ] = None
    rate_shared: Annotated[
        str | None,
        connection_option(
            "Share the rate with all processes that name the same path, or the same redis:// or "
            "postgresql:// address.",
            metavar="WHERE",
        ),
    ] = None
    concurrency: Annotated[int, connection_option("Most requests in flight at once.")] = 8
    timeout: Annotated[float, connection_option("Seconds that one attempt may take.")] = 30.0
    proxy: Proxy = None
    as_json: Annotated[bool, option("Print JSON instead of tables.", "--json")] = False

    def client(self, simulator: Simulator | None = None) -> GatewayClient:
        """Make the client. Raises ValueError if there is no token."""
        return GatewayClient(
            self.find_token().source if simulator is None else simulator.token,
            sandbox=self.sandbox,
            base_url=self.base_url if simulator is None else simulator.url,
            rate=self._client_rate(simulated=simulator is not None),
            concurrency=self.concurrency,
            timeout=self.timeout,
            proxy=self.proxy,
        )

    def address(self) -> str:
        """Return the base URL that requests go to."""
        return choose_base_url(self.base_url, sandbox=self.sandbox)

    def find_token(self) -> FoundToken:
        """Return the token for this address. Raises ValueError if there is no token."""
        given = None if self.token_file is None else _read_token(self.token_file)
        return find_token(given, self.address())

    def rate_limit(self, *, simulated: bool = False) -> float | None:
        """Return the requests per second, None for no limit."""
        if self.rate is None:
            return None if simulated else 10.0
        return self.rate or None

    def _client_rate(self, *, simulated: bool) -> float | SharedRate | None:
        rate = self.rate_limit(simulated=simulated)
        if self.rate_shared is None:
            return rate
        if rate is None:
            raise ValueError("--rate-shared needs a --rate above 0: that of all processes together")
        return SharedRate(self.rate_shared, rate)

    def simulated_client(self) -> AbstractAsyncContextManager[GatewayClient]:
        """Return a client with a simulator that runs as long as the client is open.

        Raises ValueError for an option that does not go with a simulator.
        """
        if self.sandbox or self.base_url or self.token_file or self.proxy or self.rate_shared:
            raise ValueError(
                "--simulate cannot be combined with --sandbox, --base-url, --token-file, --proxy or "
                "--rate-shared"
            )
        return self._simulate()

    @asynccontextmanager
    async def _simulate(self) -> AsyncGenerator[GatewayClient]:
        print_status("Simulating: nothing is really sent, and no account is used.")
        async with Simulator(keep_requests=0) as simulator, self.client(simulator) as gateway:
            yield gateway

    def call(self, call: Callable[[Messages], Awaitable[T]]) -> T:
        """Make one call with a client of its own, and return its result."""

        async def run() -> T:
            async with self.client() as gateway:
                return await call(gateway.messages)

        return asyncio.run(run())

    def print_message(self, message: Message) -> None:
        """Print a message as a table, or as JSON with `--json`."""
        (print_json if self.as_json else print_message)(message)


@dataclass(frozen=True, kw_only=True)
class ContentOptions:
    """The options of a message besides its text and its recipients."""

    sender: Annotated[
        str, message_option("The sender that phones show: 3-11 characters, or 3-14 digits.")
    ]
    priority: Annotated[
        float | None, message_option("At least 1.00; a higher priority costs more.")
    ] = None
    flash: Annotated[bool, message_option("Show the text as a pop-up.", "--flash")] = False
    realtime: Annotated[
        bool,
        message_option("For one-time codes: skip all queues; one message a minute.", "--realtime"),
    ] = False
    on: Annotated[
        date | None,
        message_option("Send on this date, as in 2030-12-31.", parser=parse_day, metavar="DATE"),
    ] = None
    callback_url: Annotated[
        str | None,
        message_option(
            "An address that is called when the message's state changes.", metavar="URL"
        ),
    ] = None
    callback_field: Annotated[
        str | None, message_option("The form field of the callback that holds the state.")
    ] = None
    custom: Annotated[
        str | None, message_option("Your own text, stored with the message and never sent.")
    ] = None
    test: Annotated[bool, message_option("Validate the message without sending it.", "--test")] = (
        False
    )

    def options(self) -> Options:
        """Return them as the client's `Options`."""
        return Options(
            flash=self.flash,
            realtime=self.realtime,
            timestamp_send=self.on,
            custom=self.custom,
            callback_url=self.callback_url,
            callback_field=self.callback_field,
        )


def _read_token(file: Path) -> str:
    token = Secret(read_text(file).strip())
    if not token:
        raise ValueError(f"{file} is empty; put the token in it")
    return token


def read_text(file: Path) -> str:
    """Return the text of a small file, without a byte order mark, with one kind of line break.

    The encoding is that of the mark, as Windows writes it, else UTF-8. Raises ValueError if the
    file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_LONGEST_TEXT + 1)
    except OSError as error:
        raise ValueError(
            f"{file}: {error.strerror or error}; give a file that can be read"
        ) from None
    if len(data) > _LONGEST_TEXT:
        raise ValueError(
            f"{file}: more than {_LONGEST_TEXT:,} bytes; give a file with a short text"
        )
    mark, encoding = find_mark(data)
    try:
        text = data[len(mark) :].decode(encoding or "utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{file}: this is not UTF-8 text; save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
