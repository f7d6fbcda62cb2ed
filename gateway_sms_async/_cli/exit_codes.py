"""Exit codes: what a command says to the program that started it.

Each tells what happened to the recipients. A program that repeats a command looks at nothing else,
so a code other than 0 must never hide that all was sent, and 1 is only for what sent nothing. What
happens to the output, after the work is done, changes no code but 0.
"""

from __future__ import annotations

import signal

from .._receipt import Receipt
from ..errors import BulkSendError, GatewayError, OutcomeUnknownError

FAILED = 1
"""The command failed, and sent nothing: it may be repeated."""

WRONG_USE = 2
"""Wrong usage, or a list that cannot be read. Nothing was sent."""

SOME_INVALID = 3
"""Finished; some recipients are invalid or did not get the text."""

UNKNOWN = 4
"""It is unknown whether something was sent, or some recipients got it twice."""

NOT_FINISHED = 5
"""Stopped before the end, with something sent or a journal to resume; or not final yet."""

NOT_WRITTEN = 6
"""Finished as with 0, but a file or stdout could not be written."""

INTERRUPTED = 128
"""Added to the number of the signal that ended a command."""


def by_signal(number: int = signal.SIGINT) -> int:
    """Return the code of a command that a signal has ended."""
    return INTERRUPTED + number


def after_error(error: Exception) -> int:
    """Return the code of a command that an error has ended."""
    match error:
        case OutcomeUnknownError():
            return UNKNOWN
        case GatewayError():
            return FAILED
        case ValueError() | TypeError():
            return WRONG_USE
        case OSError():
            return FAILED
        case _:
            # A fault of this program says nothing about what was sent before.
            return UNKNOWN


def after_campaign(receipt: Receipt, failure: BulkSendError | None, interrupted: int) -> int:
    """Return the code of a campaign by its receipt.

    `failure` is the error that it ended with, if it did; `interrupted` is the code for the signal
    that stopped it, 0 if there was none.
    """
    if receipt.unknown or receipt.doubled:
        return UNKNOWN
    if failure is None:
        return SOME_INVALID if receipt.invalid else 0
    if interrupted:
        return interrupted
    return NOT_FINISHED if failure.resumable or receipt.accepted else FAILED


def with_output(code: int, *, written: bool) -> int:
    """Return the code of a command whose files and output were written, or were not."""
    return code or (0 if written else NOT_WRITTEN)
