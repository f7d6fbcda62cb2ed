"""The gateway's calls, one request per method: bytes out, models in.

For transactions and for polling, and below `Messages`. Nothing is checked or encoded here, and
only `delete` sends more than one request.

The vendor's documentation of each call: https://console.openapi.com/apis/gatewaysms
"""

from __future__ import annotations

import asyncio
import builtins
import re
from collections.abc import Callable
from html import unescape
from unicodedata import normalize

import msgspec

from .._http.endpoint import LIST_CAP, MESSAGE_CAP, Endpoint, WireStatus
from .._http.list_decoder import ListDecoder
from .._http.opened_ids import OpenedIds
from .._http.retry import Operation
from .._http.session import Session
from ..errors import (
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    TransactionClosedError,
)
from ..models import Envelope, Message, MessageSummary, RecipientReport
from .draft import Draft

__all__ = [
    "LOOK_SHARE",
    "MESSAGES",
    "SEND",
    "MessagesAPI",
    "before_look",
    "is_message_id",
    "message_path",
    "only_message",
    "response_to",
]

MESSAGES = "/messages/"

# One message comes as an object or in a list of exactly one, depending on the call.
_ONE = msgspec.json.Decoder(Envelope[tuple[Message] | Message])


Accepts = Callable[[tuple[Message] | Message], bool]


_NO_MESSAGES = 203


# No message holds more recipients.
_REPORTS = ListDecoder(RecipientReport, most=50_000, key="number")


# As many as fit in the cap in the gateway's form.
_SUMMARIES = ListDecoder(MessageSummary, most=1_000_000, key="id")


_LIST = Endpoint("GET", Operation.READ, _SUMMARIES, LIST_CAP)


_GET = Endpoint("GET", Operation.READ, _ONE, MESSAGE_CAP)


SEND = Endpoint("POST", Operation.SEND, _ONE, MESSAGE_CAP)


_OPEN = Endpoint("POST", Operation.OPEN, _ONE, MESSAGE_CAP)


_PUT = {
    True: Endpoint("PUT", Operation.APPEND, _ONE, MESSAGE_CAP),
    False: Endpoint("PUT", Operation.CLOSE, _ONE, MESSAGE_CAP),
    None: Endpoint("PUT", Operation.UPDATE, _ONE, MESSAGE_CAP),
}


_DELETE = Endpoint("DELETE", Operation.DELETE, msgspec.json.Decoder(Envelope[msgspec.Raw]))


_RECIPIENTS = Endpoint("GET", Operation.READ, _REPORTS, LIST_CAP)


_RECIPIENT = Endpoint("GET", Operation.READ, _REPORTS)


_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

_DELETE_TRIES = 3


LOOK_SHARE = 0.25
"""The share of a call's time that is kept for a look, in case the response to its write is lost."""


class MessagesAPI:
    """The calls on messages. Each raises the GatewayErrors of `Session.call`.

    `deadline` is on the loop's clock. It is for callers that make several calls in a limited time;
    without it, each request and its retries have `max_elapsed` of their own.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    async def list(self, deadline: float | None = None) -> builtins.list[MessageSummary]:
        """Return the messages of the account; an empty account is an empty list."""
        try:
            return await self.session.call(_LIST, MESSAGES, deadline=deadline)
        except NotFoundError as error:
            if error.code != _NO_MESSAGES:
                raise
            return []

    async def get(self, message_id: str, deadline: float | None = None) -> Message:
        """Return one message."""
        path = message_path(message_id)
        return self._noticed(
            await self.session.call(_GET, path, accepts=_about(message_id), deadline=deadline)
        )

    async def open_transaction(
        self,
        payload: bytes,
        wire_status: WireStatus | None = None,
        accepts: Accepts | None = None,
    ) -> Message:
        """Send the POST of an open message, which sends nothing to its recipients yet.

        A response that `accepts` rejects is another request's: then another message is opened.
        """
        return only_message(
            await self.session.call(
                _OPEN, MESSAGES, payload, wire_status=wire_status, accepts=accepts
            )
        )

    async def put(
        self,
        message_id: str,
        payload: bytes,
        transaction: bool | None,  # noqa: FBT001 - the field's own three values
        wire_status: WireStatus | None = None,
        deadline: float | None = None,
    ) -> Message:
        """Send a PUT. `transaction` is the value of this field in `payload`, None if left out.

        The response to a close with a `wire_status` is not noted: it is that of a campaign or a
        transaction, which looks at the message afterwards.
        """
        path = message_path(message_id)
        is_own_close = wire_status is not None and transaction is False
        try:
            data = await self.session.call(
                _PUT[transaction],
                path,
                payload,
                wire_status=wire_status,
                accepts=_about(message_id),
                deadline=deadline,
            )
        except TransactionClosedError:
            if not is_own_close:
                self.session.open_messages.seen_closed(message_id)
            raise
        return only_message(data) if is_own_close else self._noticed(data)

    async def delete(self, message_id: str, deadline: float | None = None) -> None:
        """Delete a message. If a response is lost, look at the message before deleting it again.

        Raises OutcomeUnknownError if the response was lost and looking did not help either.
        """
        path = message_path(message_id)
        lost: OutcomeUnknownError | None = None
        for _ in range(_DELETE_TRIES):
            try:
                await self.session.call(_DELETE, path, deadline=before_look(deadline))
            except NotFoundError:
                if lost is None:
                    raise
            except InvalidRequestError:
                # It is closed, so that it cannot be deleted.
                self.session.open_messages.seen_closed(message_id)
                raise
            except OutcomeUnknownError as error:
                lost = error
                if await self._is_there(message_id, deadline):
                    continue
            except Exception:
                # Whatever prevented the second request, it is the first response that is missing.
                if lost is None:
                    raise
                break
            return
        assert lost is not None
        raise lost

    async def recipients(
        self, message_id: str, deadline: float | None = None
    ) -> builtins.list[RecipientReport]:
        """Return every recipient of a message."""
        path = f"{message_path(message_id)}/recipients/"
        return await self.session.call(_RECIPIENTS, path, deadline=deadline)

    async def recipient(self, message_id: str, number: str) -> builtins.list[RecipientReport]:
        """Return the recipient with this number, as a list of one, or an empty list."""
        return await self.session.call(
            _RECIPIENT, f"{message_path(message_id)}/recipients/{number}"
        )

    def _noticed(self, data: tuple[Message] | Message) -> Message:
        """Return the message in a response; the client must know if it is closed."""
        message = only_message(data)
        if not message.transaction:
            self.session.open_messages.seen_closed(message.id, message.options.custom)
        return message

    async def _is_there(self, message_id: str, deadline: float | None) -> bool:
        try:
            await self.get(message_id, deadline)
        except NotFoundError:
            return False
        except Exception:  # noqa: BLE001
            # Whatever prevented the look, it is the outcome of the DELETE that is unknown.
            return True
        return True


def only_message(data: tuple[Message] | Message) -> Message:
    """Return the message in a response that holds one."""
    return data if isinstance(data, Message) else data[0]


def before_look(deadline: float | None) -> float | None:
    """Return when a write must end, so that there is time for a look before `deadline`."""
    if deadline is None:
        return None
    now = asyncio.get_running_loop().time()
    return deadline - max(0.0, deadline - now) * LOOK_SHARE


def response_to(
    custom: object,
    recipients: int,
    *,
    draft: Draft | None = None,
    opened_ids: OpenedIds | None = None,
    sends: bool = False,
) -> Accepts:
    """Return a check that a response can be the one to a POST with so many recipients.

    `custom` is what the POST carries in `options.custom`. A gateway that returns another text or
    object there answers another request. So does one that returns another sender or text than those
    of `draft`, or the id of another message in `opened_ids`; a new id is claimed. `sends` is True
    if the POST does not open a transaction: then the response cannot be an open message.
    """

    def accepts(data: tuple[Message] | Message) -> bool:
        message = only_message(data)
        if message.valid + message.invalid > recipients or (sends and message.transaction):
            return False
        if draft is not None and not _may_show(message, draft):
            return False
        shown = message.options.custom
        # A gateway may return a text of digits as a number, and nothing as an empty list.
        is_silent = not shown or isinstance(shown, int | float)
        if not (is_silent or shown == custom or not isinstance(custom, str)):
            return False
        # Last: what is rejected claims no id.
        return opened_ids is None or opened_ids.claim(message.id)

    return accepts


def _may_show(message: Message, draft: Draft) -> bool:
    """Return whether a message with this sender and text can be one of this draft."""
    # A text with placeholders may be shown as it is filled for one recipient.
    return not _differs(draft.sender, message.sender) and (
        bool(draft.placeholders) or not _differs(draft.body, message.body)
    )


def _differs(sent: str, shown: str | None) -> bool:
    """Return whether a gateway that was given one text cannot show the other one for it."""
    if not shown or shown == sent:
        return False
    was, now = _letters(sent), _letters(unescape(shown))
    return bool(was and now) and was != now


def _letters(text: str) -> str:
    """Return the letters and digits of a text, in small letters and without accents.

    A gateway may change everything else. Empty if there is a letter that is not Latin, because the
    gateway may write it in another way.
    """
    found = "".join(filter(str.isalnum, normalize("NFKD", text))).casefold()
    return found if found.isascii() else ""


def _about(message_id: str) -> Accepts:
    """Return a check that a response is about this message, not one that a confused proxy mixed up."""
    return lambda data: only_message(data).id == message_id


def is_message_id(text: str) -> bool:
    """Return whether the gateway could have given this id."""
    return _ID.fullmatch(text) is not None


def message_path(message_id: str) -> str:
    """Return the path of a message; raises ValueError if `message_id` cannot be an id."""
    if not isinstance(message_id, str) or not is_message_id(message_id):
        raise ValueError("a message id is 1 to 64 letters, digits, '-' or '_'")
    return f"/messages/{message_id}"
