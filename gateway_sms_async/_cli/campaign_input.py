"""The list, text and sending options of `check` and `bulk`, read once and handed on."""

import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, TypedDict

import typer

from .. import GatewayClient, Options
from .._preview import Preview, preview
from .._receipt import InvalidRecipient
from .._recipients.national import number_reader
from .._recipients.notations import in_any_notation
from .._recipients.recipient import RecipientLike
from .._template import fill, marked_name, placeholders
from .._text import measure, not_gsm, replacements, to_gsm
from .lists.columns import NumberColumns
from .lists.exclusions import Exclusions, read_exclusions
from .lists.recipient_list import RecipientList, open_list
from .options import ContentOptions, message_option, option, read_text
from .terminal.lists import print_exclusions, print_list
from .terminal.preview import print_invalid, print_replacements
from .terminal.progress import show_rows_read

ListFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="The recipients: CSV with a column of numbers (other columns fill the placeholders), "
        "JSON Lines, or one number a line; may be compressed by gzip; - is standard input.",
    ),
]

_BLANK_LINES_AT_END = re.compile(r"(?:\n\s*)+\Z")


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """The options on how a list is read."""

    number_column: Annotated[
        list[str] | None,
        option(
            "Name of the number column, if it is not number, phone, mobile or similar; may be "
            "repeated if files of --exclude have other names.",
            metavar="NAME",
        ),
    ] = None
    encoding: Annotated[
        str | None, option("The list's encoding, such as latin-1, if it is not UTF-8.")
    ] = None
    delimiter: Annotated[
        str | None, option("The character between two columns, if it is not detected.")
    ] = None

    def columns(self) -> NumberColumns:
        """Return how to find the columns of numbers."""
        return NumberColumns(tuple(self.number_column or ()))


@dataclass(frozen=True, kw_only=True)
class RecipientOptions(ListOptions):
    """The options on how the list is read, and which of its recipients are sent to."""

    default_region: Annotated[
        str | None,
        option("The country of numbers without an international prefix, such as IT."),
    ] = None
    strict_numbers: Annotated[
        bool, option("Reject numbers that are in no numbering plan.", "--strict-numbers")
    ] = False
    exclude: Annotated[
        list[str] | None,
        option("A list of numbers not to send to; may be repeated.", metavar="FILE"),
    ] = None
    allow_missing_fields: Annotated[
        bool,
        option(
            "Send also to recipients without a value for a placeholder.", "--allow-missing-fields"
        ),
    ] = False

    def read_exclusions(self, read_number: Callable[[str], str]) -> list[Exclusions]:
        """Read the files of numbers not to send to, each number as `read_number` returns it."""
        files: list[Exclusions] = []
        for file in self.exclude or ():
            with show_rows_read(f"Reading {file}:") as on_read:
                files.append(
                    read_exclusions(
                        file,
                        read_number,
                        columns=self.columns(),
                        encoding=self.encoding,
                        delimiter=self.delimiter,
                        on_read=on_read,
                    )
                )
        return files

    @contextmanager
    def open_list(
        self, file: str, fields: Sequence[str], exclusions: Iterable[Exclusions]
    ) -> Generator[RecipientList]:
        """Open the list, and show how many rows are read. Raises ListError."""
        wanted = self.columns()
        names = [name for excluded in exclusions for name in excluded.columns]
        # A name that the list has not, but a file of --exclude has, was meant for that file.
        columns = wanted._replace(binding=not wanted.are_all_among(names))
        with ExitStack() as stack:
            with show_rows_read("Reading") as on_read:
                recipients = stack.enter_context(
                    open_list(
                        file,
                        fields,
                        allow_missing_fields=self.allow_missing_fields,
                        columns=columns,
                        encoding=self.encoding,
                        delimiter=self.delimiter,
                        on_read=on_read,
                    )
                )
            yield recipients


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The options on the text of a message."""

    body: Annotated[
        str | None,
        message_option("The text; {{name}} is replaced by the recipient's value in that column."),
    ] = None
    body_file: Annotated[
        Path | None,
        message_option("A file with the text; blank lines at its end are left out."),
    ] = None
    smart_encoding: Annotated[
        bool,
        message_option(
            "Replace typographic quotes, dashes and spaces where that makes a text shorter.",
            "--smart-encoding",
        ),
    ] = False

    def read(self) -> str:
        """Return the text as it will be sent."""
        if (self.body is None) == (self.body_file is None):
            raise ValueError("give either --body or --body-file")
        if self.body_file is None:
            text = self.body or ""
        else:
            text = _BLANK_LINES_AT_END.sub("", read_text(self.body_file))
        if not self.smart_encoding:
            return text
        smart = to_gsm(text)
        if smart != text:
            print_replacements("Replaced in the text:", replacements(text))
        return smart


@dataclass(frozen=True, kw_only=True)
class SendingOptions:
    """The options on how recipients are sent to the gateway."""

    batch_size: Annotated[int, option("Recipients in one request.")] = 500
    recipients_per_message: Annotated[int, option("Recipients in one message; at most 50000.")] = (
        20_000
    )
    careful: Annotated[
        bool,
        option("One POST and one close per message: exact behind any proxy.", "--careful"),
    ] = False
    price_per_part: Annotated[
        str | None, option("The price of one SMS part, to estimate the cost.", metavar="EUR")
    ] = None


class CampaignArguments(TypedDict):
    """The arguments that `preview` and `send_bulk` have in common."""

    sender: str
    body: str
    priority: float | None
    options: Options
    default_region: str | None
    strict_numbers: bool
    allow_missing_fields: bool
    exclude: Collection[str]
    batch_size: int
    recipients_per_message: int
    careful: bool
    verify: Literal["auto", "always"]


class CampaignInput:
    """The recipients of a campaign, as an iterable, with all that `preview` and `send_bulk` need.

    It has a length, so a campaign that stops reads it to its end.

    `read_number` is the reader of numbers for the given region, made once for each command.
    """

    def __init__(
        self,
        recipient_list: RecipientList,
        exclusions: Sequence[Exclusions],
        arguments: CampaignArguments,
        read_number: Callable[[str], str],
        *,
        smart: bool,
        price_per_part: str | None,
    ) -> None:
        self.list = recipient_list
        self._exclusions = exclusions
        self.arguments = arguments
        self.read_number = read_number
        self._smart = smart
        self._price_per_part = price_per_part

    def __len__(self) -> int:
        return self.list.total

    def __iter__(self) -> Iterator[RecipientLike]:
        body = self.arguments["body"]
        if not self._smart or not not_gsm(body):
            return iter(self.list)
        return map(partial(_with_smart_fields, body), self.list)

    async def preview(
        self, *, rate: float | None, client: AbstractAsyncContextManager[GatewayClient | None]
    ) -> Preview:
        """Preview the campaign. If `client` yields a client, ask the gateway for the price."""
        with show_rows_read("Checking", self.list.total) as on_read:
            async with client as gateway:
                return await preview(
                    self,
                    **self.arguments,
                    rate=rate,
                    price_per_part=self._price_per_part,
                    gateway=gateway,
                    on_read=on_read,
                )

    def first_text(self, invalid: Collection[InvalidRecipient]) -> str:
        """Return the text that the first valid recipient gets."""
        left_out = {recipient.position for recipient in invalid}
        body = self.arguments["body"]
        for position, recipient in enumerate(self):
            if position not in left_out:
                return fill(body, recipient[1]) if isinstance(recipient, tuple) else body
        return body

    def print_files(self) -> None:
        """Print what was read from which columns, and rows that need a look."""
        for exclusions in self._exclusions:
            print_exclusions(exclusions)
        print_list(self.list)

    def print_invalid(self, invalid: Collection[InvalidRecipient], *, rejects: Path | None) -> None:
        """Print the first invalid recipients, each with its line in the list."""
        print_invalid(self.list.name, invalid, self.list.lines, rejects_written=rejects is not None)


def _with_smart_fields(body: str, recipient: RecipientLike) -> RecipientLike:
    """Replace typographic characters in the fields, if that makes the text GSM-7 and no longer."""
    if not isinstance(recipient, tuple):
        return recipient
    number, fields = recipient
    smart = {name: to_gsm(value) for name, value in fields.items()}
    if smart == fields:
        return recipient
    new, old = measure(fill(body, smart)), measure(fill(body, fields))
    return (number, smart) if new.encoding == "GSM-7" and new.parts <= old.parts else recipient


@contextmanager
def open_campaign(
    file: str,
    *,
    content: ContentOptions,
    text: TextOptions,
    recipients: RecipientOptions,
    sending: SendingOptions,
    verify: Literal["auto", "always"] = "auto",
) -> Generator[CampaignInput]:
    """Read the text, the exclusions and the list. Raises ValueError if one cannot be used."""
    body = text.read()
    read_number = number_reader(recipients.default_region)
    exclusions = recipients.read_exclusions(in_any_notation(read_number))
    with recipients.open_list(file, placeholders(body), exclusions) as recipient_list:
        if name := marked_name(body, recipient_list.format.names()):
            raise ValueError(
                f"{recipient_list.name}: the text names the column {name!r} between other marks than "
                f"{{{{ }}}}; write it as {{{{{name}}}}}, or rename the column to send it as written"
            )
        arguments = CampaignArguments(
            sender=content.sender,
            body=body,
            priority=content.priority,
            options=content.options(),
            default_region=recipients.default_region,
            strict_numbers=recipients.strict_numbers,
            allow_missing_fields=recipients.allow_missing_fields,
            exclude=[number for one in exclusions for number in one.numbers],
            batch_size=sending.batch_size,
            recipients_per_message=sending.recipients_per_message,
            careful=sending.careful,
            verify=verify,
        )
        yield CampaignInput(
            recipient_list,
            exclusions,
            arguments,
            read_number,
            smart=text.smart_encoding,
            price_per_part=sending.price_per_part,
        )
