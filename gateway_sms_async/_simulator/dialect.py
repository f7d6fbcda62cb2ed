"""One setting for each question that the vendor's documentation leaves open.

Each value is likely, or at least possible. The last five break an assumption without which no
client can work. Settings only: the gateway reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the gateway behaves where its documentation does not say; the defaults are the likely ones."""

    empty_close: bool = True
    """A closing PUT may carry `recipients: []`; False: it is refused with 422."""
    merge_repeats: bool = False
    """A number added to the same message again is dropped; False: it is sent and billed twice."""
    list_while_open: bool = True
    """Recipients of an open message can be listed; False: 404 until it is closed."""
    object_lists: bool = True
    """A list of `{number, fields}` objects is accepted; False: each object counts as invalid."""
    charge_at: Literal["close", "put"] = "close"
    """When credit is charged: once at the close (or send), or with each POST and PUT."""
    custom_returned: bool = True
    """Responses show `options.custom`; False: they omit it."""
    put_as_created: bool = False
    """A PUT returns 201 with a list of one message; False: 200 with the message itself."""
    max_recipients: int | None = None
    """The most recipients in one request, 413 above it; None: no limit."""
    max_per_message: int | None = None
    """The most recipients, valid or not, on one message, 413 above it; None: no limit."""
    refuse_missing_fields: bool = False
    """A recipient without a field that the text names: 422; False: `{{name}}` is sent as written."""
    strict_slashes: bool = False
    """A path must have or lack its last slash as documented; False: both forms work."""
    put_closes: bool = False
    """A PUT without `transaction` closes the message; False: it leaves it open."""
    split_close: bool = False
    """A closing PUT with recipients adds them and leaves the message open; False: it closes."""
    lose_concurrent: bool = False
    """Of two concurrent PUTs to an open message, one is lost; False: both are kept."""
    repeat_puts: bool = False
    """A proxy sends each PUT twice and returns the first response; False: once."""
    list_grows: float = 0.0
    """Seconds after the close until the list of recipients, empty at first, is complete."""
    list_limit: int | None = None
    """The most entries in a list of recipients or of messages; None: the lists are complete."""
    list_pages: int | None = None
    """The list of recipients is made of pages of this many entries, at least 2. Each page begins
    with the last entry of the page before, and the list is cut to its right length: entries come
    twice, and the last ones are missing. None: the list is right."""
    list_invalid: bool = False
    """The list of recipients ends with the invalid ones; False: it omits them."""
    rewrite_numbers: bool = False
    """Responses show numbers without the hyphen, `+39340…`; False: as they were written."""
    invalid_named: int | None = None
    """The most numbers in `recipients.invalid.list`; None: all that its total counts."""

    max_sender: int = 11
    """The most characters of a sender with letters. The vendor's words are 11; its example of a
    list has a sender of 17."""
    millis_dates: bool = False
    """`options.timestamp_send` may also be milliseconds in a string, as responses have it; False:
    only a date, and 422 for anything else."""
    surcharge_on: Literal["both", "flash", "realtime"] | None = "both"
    """The option, or both together, that makes a message cost a fifth more: the vendor's only
    example with a surcharge has both, and costs 0.036 at a base of 0.03. None: none does."""
    unknown_as_page: bool = False
    """A path or method that the documentation does not name, HEAD and OPTIONS too, gets an HTML
    page with 404 or 405; False: a refusal in the envelope, and HEAD and OPTIONS work."""

    opens_send_after: float | None = None
    """Breaks an assumption: a message that was open for this many seconds sends itself."""
    closed_takes_puts: bool = False
    """Breaks an assumption: recipients that a PUT adds to a closed message are sent too."""
    refusals_apply_half: bool = False
    """Breaks an assumption: a refused PUT has added half of its recipients."""
    deletes_undone: bool = False
    """Breaks an assumption: a DELETE returns 200 and deletes nothing."""
    closed_unreadable: bool = False
    """Breaks an assumption: a closed message and its recipients cannot be read, 404."""

    def __post_init__(self) -> None:
        if self.list_pages is not None and self.list_pages <= 1:
            raise ValueError("list_pages must be at least 2: a page repeats one entry")
