"""What `check` and `bulk` take alike: who is sent to, what, at which pace, and the two looked at.

The commands on campaigns enter. Files come through `lists`, what is looked at before through
`preview`.
"""

from collections.abc import Collection, Generator, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from .. import GatewayClient
from .._preview import Preview, preview
from .._receipt import InvalidRecipient
from .._recipients.national import number_reader
from .._recipients.recipient import RecipientLike
from .._text import fill, measure, not_gsm, placeholders, replacements, to_gsm
from .lists.recipient_list import RecipientList, open_list, read_exclusions
from .options import Content, of_message, option, read_text
from .terminal.preview import say_offer, say_refused
from .terminal.progress import reading_shown

__all__ = ["CampaignInput", "File", "RecipientOptions", "SendingOptions", "TextOptions", "opened"]


@dataclass(frozen=True, kw_only=True)
class RecipientOptions:
    """The options that say who is sent to, besides the list itself."""

    number_column: Annotated[
        str | None,
        option("The column of the numbers, if it is not called number, phone, mobile or alike."),
    ] = None
    encoding: Annotated[
        str | None, option("How the list is written, such as latin-1; else UTF-8.")
    ] = None
    delimiter: Annotated[
        str | None, option("What stands between its columns, if it is not found.")
    ] = None
    default_region: Annotated[
        str | None,
        option("The country of numbers without an international prefix, such as IT."),
    ] = None
    strict_numbers: Annotated[
        bool, option("Refuse numbers that no numbering plan has.", "--strict-numbers")
    ] = False
    exclude: Annotated[
        list[str] | None,
        option("A list of numbers not to send to; may be repeated.", metavar="FILE"),
    ] = None
    allow_missing_fields: Annotated[
        bool,
        option("Send also to those without a value for a placeholder.", "--allow-missing-fields"),
    ] = False

    def excluded(self) -> list[str]:
        """Read who is not to be sent to."""
        read = number_reader(self.default_region)
        excluded: list[str] = []
        for file in self.exclude or ():
            with reading_shown(f"Reading {file}:") as watch:
                excluded.extend(
                    read_exclusions(
                        file,
                        read,
                        number_column=self.number_column,
                        encoding=self.encoding,
                        delimiter=self.delimiter,
                        on_read=watch,
                    )
                )
        return excluded


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The options that say what is sent."""

    body: Annotated[str | None, of_message("The text; {{name}} stands for a column.")] = None
    body_file: Annotated[
        Path | None, of_message("A file with the text; the line break at its end is left out.")
    ] = None
    smart_encoding: Annotated[
        bool,
        of_message(
            "Replace typographic quotes, dashes and blanks where that makes a text shorter.",
            "--smart-encoding",
        ),
    ] = False

    def read(self) -> str:
        """Return the text, as it will be sent."""
        if (self.body is None) == (self.body_file is None):
            raise ValueError("give either --body or --body-file")
        if self.body_file is None:
            text = self.body or ""
        else:
            text = read_text(self.body_file).removesuffix("\n")
        if not self.smart_encoding:
            return text
        smart = to_gsm(text)
        if smart != text:
            say_offer("Replaced in the text:", replacements(text))
        return smart


@dataclass(frozen=True, kw_only=True)
class SendingOptions:
    """The options that say how recipients travel."""

    batch_size: Annotated[int, option("Recipients in one request.")] = 500
    recipients_per_message: Annotated[int, option("At most 50000.")] = 20_000
    careful: Annotated[
        bool,
        option("One POST and one close a message: exact behind any proxy.", "--careful"),
    ] = False
    price_per_part: Annotated[
        str | None, option("What one SMS part costs, to reckon the cost.", metavar="EUR")
    ] = None


File = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="CSV with a column of numbers (others fill the placeholders), JSON Lines, or one "
        "number a line; also packed with gzip; - is standard input.",
    ),
]


class CampaignInput:
    """A list and a text, read and looked at: what `check` shows and `bulk` sends."""

    def __init__(
        self, rows: RecipientList, text: str, excluded: Collection[str], *, smart: bool
    ) -> None:
        self.rows = rows
        self.text = text
        self.excluded = excluded
        self._smart = smart

    def __iter__(self) -> Iterator[RecipientLike]:
        if not self._smart or not_gsm(self.text):
            return iter(self.rows)
        return map(partial(_smart, self.text), self.rows)

    async def preview(
        self,
        content: Content,
        who: RecipientOptions,
        pace: SendingOptions,
        *,
        verify: str = "auto",
        rate: float | None,
        client: AbstractAsyncContextManager[GatewayClient | None],
    ) -> Preview:
        """Look at it; a client asks the gateway what a part costs."""
        with reading_shown("Checking", self.rows.total) as watch:
            async with client as gateway:
                return await preview(
                    self,
                    sender=content.sender,
                    body=self.text,
                    priority=content.priority,
                    options=content.options(),
                    default_region=who.default_region,
                    strict_numbers=who.strict_numbers,
                    allow_missing_fields=who.allow_missing_fields,
                    exclude=self.excluded,
                    batch_size=pace.batch_size,
                    recipients_per_message=pace.recipients_per_message,
                    careful=pace.careful,
                    verify=cast('Literal["auto", "always"]', verify),
                    rate=rate,
                    price_per_part=pace.price_per_part,
                    gateway=gateway,
                    on_read=watch,
                )

    def say_refused(self, refused: Collection[InvalidRecipient], *, rejects: Path | None) -> None:
        """Name the first of those who were refused, by file and line."""
        say_refused(self.rows.name, refused, self.rows.lines, elsewhere=rejects is not None)


def _smart(body: str, recipient: RecipientLike) -> RecipientLike:
    """Replace what is typographic in the fields, if the whole text is in GSM-7 and no longer then."""
    if not isinstance(recipient, tuple):
        return recipient
    number, fields = recipient
    smart = {name: to_gsm(value) for name, value in fields.items()}
    if smart == fields:
        return recipient
    new, old = measure(fill(body, smart)), measure(fill(body, fields))
    return (number, smart) if new.encoding == "GSM-7" and new.parts <= old.parts else recipient


@contextmanager
def opened(file: str, text: TextOptions, who: RecipientOptions) -> Generator[CampaignInput]:
    """Read a list and a text; ValueError or OSError, in words, for what cannot be used."""
    body = text.read()
    excluded = who.excluded()
    with ExitStack() as stack:
        with reading_shown("Reading") as watch:
            rows = stack.enter_context(
                open_list(
                    file,
                    placeholders(body),
                    allow_missing_fields=who.allow_missing_fields,
                    number_column=who.number_column,
                    encoding=who.encoding,
                    delimiter=who.delimiter,
                    on_read=watch,
                )
            )
        yield CampaignInput(rows, body, excluded, smart=text.smart_encoding)
