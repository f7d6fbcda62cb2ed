"""All errors of the library, what each means, and after which it is safe to call again.

    GatewayError
    ├── GatewayConnectionError      (also a ConnectionError)
    ├── GatewayTimeoutError         (also a TimeoutError)
    ├── APIError
    │   ├── AuthenticationError         401, 403
    │   ├── InsufficientCreditError     402
    │   ├── NotFoundError               404
    │   ├── InvalidRequestError         400, 406, 413, 422
    │   │   └── TransactionClosedError  422 with code 212
    │   ├── RateLimitError              429
    │   └── ServerError                 5xx
    ├── UnexpectedResponseError
    ├── OutcomeUnknownError
    ├── RecipientsRejectedError
    ├── BulkSendError
    ├── LimitReachedError
    ├── JournalError
    │   ├── JournalLockedError
    │   ├── JournalExistsError
    │   └── JournalCorruptError
    ├── SharedRateError
    └── CallbackError
    InvalidNumberError              (a ValueError, not a GatewayError)

Two of them mean that something may have been sent:

- OutcomeUnknownError: the request may have been applied. Do not call again before you have looked,
  with `messages.find` or `messages.get`.
- BulkSendError: part of a campaign or a transaction was sent. Its `receipt` accounts for every
  recipient that was read; with a journal, that is every recipient of the source once sending has
  begun. Resume from the journal instead of calling again.

After any other GatewayError the call has sent nothing, and calling again is safe. It may help
after a GatewayConnectionError, a GatewayTimeoutError, a ServerError or an UnexpectedResponseError,
and after a RateLimitError once `retry_after` seconds have passed; the library's own retries are
used up by then. After the others, something has to change first.

Each error has one positional message and keyword-only attributes and can be pickled. Its text
never contains a token, a whole number or the text of a message.
"""

from __future__ import annotations

from os import PathLike
from typing import Any

from ._journal_place import JournalPlace
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
    "JournalHeldError",
    "JournalLockedError",
    "JournalLostError",
    "LimitReachedError",
    "NotFoundError",
    "OutcomeUnknownError",
    "RateLimitError",
    "RecipientsRejectedError",
    "ServerError",
    "SharedRateError",
    "TransactionClosedError",
    "UnexpectedResponseError",
]


def __dir__() -> list[str]:
    # Only public names, so that completion offers nothing else.
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


def _rebuild(kind: type[Exception], message: str, attributes: dict[str, Any]) -> Exception:
    error = kind.__new__(kind, message)
    error.args = (message,)
    error.__dict__.update(attributes)
    return error


class GatewayError(Exception):
    """The base of all errors that this library raises about the gateway.

    Raised directly (not as a subclass) for the rest, such as a call that was stopped before its
    request was sent.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]), self.__dict__)


class GatewayConnectionError(GatewayError, ConnectionError):
    """The gateway could not be reached: connection refused or broken, DNS, TLS.

    Nothing was sent. Calling again is safe.
    """


class GatewayTimeoutError(GatewayError, TimeoutError):
    """No complete response within the time allowed, or the call was queued for too long.

    Nothing was sent. Calling again is safe.
    """


class APIError(GatewayError):
    """The gateway refused the request. Nothing was sent.

    - `status`: the HTTP status.
    - `code`: the gateway's own error number; None if the response had none.
    - `retry_after`: the seconds that the gateway asked the client to wait; None if it did not ask.
    - `detail`: the gateway's own words; None if it gave none. They may quote the request, so they
      are not part of the text of the error.
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

    Also raised if the OAuth service gives no token: the API key is not accepted, or the API or a
    scope is not enabled for the account. Nothing was sent. Call again with another token.
    """


class InsufficientCreditError(APIError):
    """402: the account cannot pay for the message. Nothing was sent. Top up, then call again."""


class NotFoundError(APIError):
    """404: there is no such message, or no such recipient on it. Nothing was changed."""


class InvalidRequestError(APIError):
    """400, 406, 413 or 422: the gateway does not accept this request.

    Nothing was sent. The same call fails again.
    """


class TransactionClosedError(InvalidRequestError):
    """422 with code 212: the message is closed. No recipient was added to it by this call."""


class RateLimitError(APIError):
    """429: too many requests, and the gateway asks for a longer wait than the call may take.

    Also raised for a second realtime message within a minute, before any request. Nothing was
    sent. Call again after `retry_after` seconds.
    """


class ServerError(APIError):
    """5xx: the gateway, or a server in front of it, failed.

    Raised directly only where that is harmless. Where the request may have been applied, it is
    the `__cause__` of an OutcomeUnknownError. Calling again is safe.
    """


class UnexpectedResponseError(GatewayError):
    """A response that is not in the gateway's documented form.

    For example a different page, a truncated body, one that is too large, or one that is about
    another message.

    `status` is the HTTP status. Raised directly only where that is harmless, like ServerError.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class OutcomeUnknownError(GatewayError):
    """The request may or may not have been applied: its response was lost.

    Or the response counts fewer recipients than were sent, and does not say which ones. A text may have gone out, so do not simply call again. Look first, by `messages.find` with
    the `reference` of the message (None if it has no reference), or by `messages.get`. The
    fault itself is the `__cause__`.
    """

    def __init__(self, message: str, *, reference: str | None = None) -> None:
        super().__init__(message)
        self.reference = reference


class RecipientsRejectedError(GatewayError):
    """The gateway accepted none of the recipients. Nothing was sent.

    `message` is the message in the gateway's response.
    """

    def __init__(self, text: str, *, message: Message) -> None:
        super().__init__(text)
        self.message = message


class BulkSendError(GatewayError):
    """A campaign or a transaction ended before every recipient was accepted.

    Part of it may have been sent. With a journal, resume it instead of calling again.

    - `receipt`: accounts for every recipient that was read from the source.
    - `reason`: why it stopped, in words. The fault itself is the `__cause__`.
    - `resumable`: whether it can be resumed from a journal.
    - `journal`: the path of the journal, or its place in a database; None if there is none.
    """

    def __init__(
        self,
        message: str,
        *,
        receipt: Receipt,
        reason: str,
        resumable: bool = False,
        journal: str | PathLike[str] | JournalPlace | None = None,
    ) -> None:
        super().__init__(message)
        self.receipt = receipt
        self.reason = reason
        self.resumable = resumable
        self.journal = journal


class LimitReachedError(GatewayError):
    """One more message would exceed `max_recipients` or `max_cost`, so it was not closed.

    With a journal, `resume_bulk` continues with a higher limit.

    The `__cause__` of a BulkSendError, whose receipt accounts for the messages closed before.
    """


class JournalError(GatewayError):
    """A journal cannot be read or written.

    Raised directly (not as a cause) before anything is sent; in a running campaign it is the
    `__cause__` of a BulkSendError.
    """


class JournalLockedError(JournalError):
    """The journal is open in another process, or in another campaign of this process."""


class JournalLostError(JournalError):
    """Another process has taken the journal over, so this one sends nothing more.

    Nothing is wrong with the campaign: the other process continues it.
    """


class JournalHeldError(JournalError):
    """The campaign was stopped, or a shard of it was given up, until it is let go on.

    `reason` says why. `Campaigns.go_on` lets it continue. Nothing was sent.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class JournalExistsError(JournalError):
    """The file already holds a campaign: resume it, or choose another file."""


class JournalCorruptError(JournalError):
    """The file is not a journal, or it is damaged, so its content cannot be trusted."""


class SharedRateError(GatewayError):
    """The store of a SharedRate cannot be used. Nothing was sent."""


class CallbackError(GatewayError):
    """A request is not a callback of the gateway: it has another form, or is too large."""


class InvalidNumberError(ValueError):
    """A number that cannot be written in the gateway's form.

    Raised before any request. `number` is the text that was passed, `reason` says in words what is
    wrong with it.
    """

    def __init__(self, message: str, *, number: str, reason: str) -> None:
        super().__init__(message)
        self.number = number
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), str(self.args[0]), self.__dict__)
