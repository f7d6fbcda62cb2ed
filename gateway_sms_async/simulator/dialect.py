"""The vendor's documentation leaves questions open; here is one knob for each.

A dialect is a set of answers. Rules read it, tests and users choose it, nothing in here acts.
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
    refuse_missing_fields: bool = False
    """A recipient without a field that the text names: 422; False: `{{name}}` goes out as is."""
    strict_slashes: bool = False
    """A path is known only with or without its last slash, as documented; False: both ways."""
    put_closes: bool = False
    """A PUT without `transaction` closes the message; False: it leaves it open."""
