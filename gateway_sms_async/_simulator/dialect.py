"""The vendor's documentation leaves questions open; here is one knob for each.

A dialect is a set of answers, each likely or at least possible, and at its end four that would
make any client helpless: axioms broken. Rules read it, tests and users choose it, nothing acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How the gateway behaves where its documentation does not say; the defaults are likely."""

    empty_close: bool = True
    """A closing PUT may carry `recipients: []`; False: it is refused with 422."""
    merge_repeats: bool = False
    """A number added again to the same message is dropped; False: it is sent and billed twice."""
    list_while_open: bool = True
    """Recipients of an open message can be listed; False: 404 until it is closed."""
    object_lists: bool = True
    """A list of `{number, fields}` objects is understood; False: each one counts as invalid."""
    charge_at: Literal["close", "put"] = "close"
    """When credit is taken: once at the close (or send), or with each POST and PUT."""
    custom_returned: bool = True
    """Answers show `options.custom`; False: they leave it out."""
    put_as_created: bool = False
    """A PUT is answered 201 with a list of one message; False: 200 with the message itself."""
    max_recipients: int | None = None
    """The most recipients that one request may bring, above it 413; None: no limit."""
    max_per_message: int | None = None
    """The most recipients, valid or not, that one message holds, above it 413; None: no limit."""
    refuse_missing_fields: bool = False
    """A recipient without a field that the text names: 422; False: `{{name}}` goes out as is."""
    strict_slashes: bool = False
    """A path is known only with or without its last slash, as documented; False: both ways."""
    put_closes: bool = False
    """A PUT without `transaction` closes the message; False: it leaves it open."""
    split_close: bool = False
    """A closing PUT with recipients adds them and leaves the message open; False: it closes."""
    lose_concurrent: bool = False
    """Of two PUTs under way at once to an open message one is lost; False: both are kept."""
    repeat_puts: bool = False
    """A proxy carries each PUT out twice and passes the first answer on; False: once."""
    list_grows: float = 0.0
    """Seconds after the close until the list of recipients, empty at first, is complete."""
    list_limit: int | None = None
    """The most entries in a list of recipients or of messages; None: the lists are complete."""
    list_invalid: bool = False
    """The list of recipients ends with the invalid ones; False: it leaves them out."""
    rewrite_numbers: bool = False
    """Answers show numbers without the hyphen, `+39340…`; False: as they were written."""
    invalid_named: int | None = None
    """The most numbers named in `recipients.invalid.list`; None: all, as in its total."""

    opens_send_after: float | None = None
    """Breaks an axiom clients stand on: a message open for so many seconds sends by itself."""
    closed_takes_puts: bool = False
    """Breaks an axiom clients stand on: what a PUT adds to a closed message is sent as well."""
    refusals_apply_half: bool = False
    """Breaks an axiom clients stand on: a refused PUT has added half of its recipients."""
    deletes_undone: bool = False
    """Breaks an axiom clients stand on: a DELETE is answered 200 and deletes nothing."""
