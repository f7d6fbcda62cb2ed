"""The tree of errors, nothing else.

Everything may import it; it knows only the answers that errors carry. Each error has one
positional message and keyword-only attributes, survives pickling, and its text never holds a
token, a whole number or the text of a message.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

from ._receipt import Receipt
from .models import Message

__all__ = [
    "APIError",
    "AuthenticationError",
    "BulkSendError",
    "CallbackError",
    "GatewayConnectionError",
    "GatewayError",
    "GatewayTimeoutError",
    "InsufficientCreditError",
    "InvalidNumberError",
    "InvalidRequestError",
    "JournalCorruptError",
    "JournalError",
    "JournalExistsError",
    "JournalLockedError",
    "LimitReachedError",
    "NotFoundError",
    "OutcomeUnknownError",
    "RateLimitError",
    "RecipientsRejectedError",
    "ServerError",
    "TransactionClosedError",
    "UnexpectedResponseError",
]


def _rebuild(kind: type[Exception], message: str, attributes: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(attributes)
    return error


class GatewayError(Exception):
    """The root: whatever this library raises about the gateway is one of these."""

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]), self.__dict__)


class GatewayConnectionError(GatewayError, ConnectionError):
    """The gateway could not be reached: refused, DNS, TLS, or the connection broke."""


class GatewayTimeoutError(GatewayError, TimeoutError):
    """No complete answer within the time allowed."""


class APIError(GatewayError):
    """A complete answer that says no.

    `status` is the HTTP status, `code` the gateway's own error number (None when the answer had
    none), `retry_after` the seconds that the gateway asked to wait (None when it did not).
    `detail` is what the gateway said in words; it may quote what was sent, so it is not part of
    the text of the error.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: int | None = None,
        retry_after: float | None = None,
        detail: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.detail = detail


class AuthenticationError(APIError):
    """401 or 403: the token is missing, expired, for another environment, or lacks a scope.

    Also what the OAuth service says when there is no token to be had: the API key is not accepted,
    or the API or a scope is not enabled for the account.
    """


class InsufficientCreditError(APIError):
    """402: the account cannot pay for the message."""


class NotFoundError(APIError):
    """404: no such message, or no such recipient on it."""


class InvalidRequestError(APIError):
    """400, 406, 413 or 422: the gateway does not accept the request as it stands."""


class TransactionClosedError(InvalidRequestError):
    """422 with code 212: the message is closed and takes no more recipients."""


class RateLimitError(APIError):
    """429: too many requests, and waiting as asked would take longer than is left.

    Also a second realtime message within a minute, which is refused before any request.
    """


class ServerError(APIError):
    """5xx: the gateway, or something before it, failed."""


class UnexpectedResponseError(GatewayError):
    """An answer that is not what the gateway documents: another page, cut short, too large.

    `status` is the HTTP status.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class OutcomeUnknownError(GatewayError):
    """The request may or may not have been applied, and there is no knowing.

    `reference` is what the message was sent with, to look for it by `messages.find`; the fault
    itself is the `__cause__`. Do not simply call again: a text may have gone out.
    """

    def __init__(self, message: str, *, reference: str | None = None) -> None:
        super().__init__(message)
        self.reference = reference


class RecipientsRejectedError(GatewayError):
    """The gateway took none of the recipients; `message` is what it answered. Nothing was sent."""

    def __init__(self, text: str, *, message: Message) -> None:
        super().__init__(text)
        self.message = message


class BulkSendError(GatewayError):
    """A campaign or a transaction ended before everyone was accepted.

    `receipt` accounts for every recipient taken; `reason` says in words why it stopped (the fault
    is the `__cause__`); `resumable` whether a journal allows it to go on, and `journal` where
    that is.
    """

    def __init__(
        self,
        message: str,
        *,
        receipt: Receipt,
        reason: str,
        resumable: bool = False,
        journal: str | PathLike[str] | None = None,
    ) -> None:
        super().__init__(message)
        self.receipt = receipt
        self.reason = reason
        self.resumable = resumable
        self.journal = journal


class LimitReachedError(GatewayError):
    """Closing one more message would go beyond `max_recipients` or `max_cost`; it was not closed."""


class JournalError(GatewayError):
    """A journal cannot be read or written. Where it is raised by itself, nothing was sent."""


class JournalLockedError(JournalError):
    """Another process, or another campaign of this one, has the journal open."""


class JournalExistsError(JournalError):
    """There is a campaign in this file already: resume it, or choose another file."""


class JournalCorruptError(JournalError):
    """The file is no journal, or is damaged: what it says cannot be relied on."""


class CallbackError(GatewayError):
    """What came as a callback is none: not in the gateway's form, or too large."""


class InvalidNumberError(ValueError):
    """A number that cannot be written in the gateway's form: the caller's own mistake.

    `number` is the caller's text, `reason` what is wrong with it in words.
    """

    def __init__(self, message: str, *, number: str, reason: str) -> None:
        super().__init__(message)
        self.number = number
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]), self.__dict__)
