"""One send: its reference, its recovery after a lost response, the realtime minute.

For `Messages.send`, and for a transaction that ends with a single recipient.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from .._http.endpoint import WireStatus
from .._recipients.wire import Addressee, WireRecipients
from ..errors import (
    GatewayError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
)
from ..models import Message, RecipientReport
from .api import (
    LOOK_SHARE,
    MESSAGES,
    SEND,
    MessagesAPI,
    before_look,
    is_message_id,
    only_message,
    response_to,
)
from .draft import Draft

__all__ = ["MessageSender", "Post", "check_accepted", "count_recipients"]

_REFERENCES = 64


# How far the gateway's clock may be behind ours when a lost message is looked for.
_CLOCK_SLACK = 3600.0


_NOT_DIGITS = re.compile(r"[^0-9]")


class Post(NamedTuple):
    """The POST of one message that is sent at once.

    `has_own_reference` is False if the caller chose the reference: other messages may have the
    same one.
    """

    draft: Draft
    recipients: WireRecipients
    payload: bytes
    reference: str | None
    has_own_reference: bool

    def __repr__(self) -> str:
        return f"Post(reference={self.reference!r}, {len(self.payload)} bytes)"


class MessageSender:
    """Sends messages whose fields are already checked."""

    def __init__(self, api: MessagesAPI) -> None:
        self._api = api
        self._session = api.session
        self._references: list[str] = []

    def new_reference(self) -> str:
        """Return 32 random hex digits that no other call has."""
        if not self._references:
            # Draw 64 references at a time: one read of os.urandom costs more than everything else
            # in a send.
            drawn = secrets.token_hex(16 * _REFERENCES)
            self._references = [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
        return self._references.pop()

    def realtime_patience(self) -> float:
        """Return the seconds that a call may wait for its turn: the rest is for its requests."""
        return self._session.policy.max_elapsed * (1 - LOOK_SHARE)

    async def realtime_turn(self, patience: float) -> str:
        """Wait until a realtime message may be sent; return the turn, for `send`.

        Raises RateLimitError if that takes longer than `patience` seconds.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + patience
        turn = secrets.token_hex(8)
        while left := await self._session.realtime.ask(turn):
            if loop.time() + left > give_up:
                raise RateLimitError(
                    f"only one realtime message a minute: wait {math.ceil(left)} s; nothing was sent",
                    status=429,
                    retry_after=left,
                )
            await asyncio.sleep(left)
        return turn

    async def realtime_sent(self, turn: str) -> None:
        """Begin the minute anew: the gateway's begins when the message arrives."""
        await self._session.realtime.sent(turn)

    async def realtime_not_sent(self, turn: str) -> None:
        """Give a turn back: its message was not sent."""
        await self._session.realtime.not_sent(turn)

    async def send_draft(
        self, draft: Draft, wire: WireRecipients, reference: str | None
    ) -> Message:
        """Send a message to these recipients, as `send` does. The reference is a new one."""
        payload = draft.payload(wire, transaction=False, reference=reference)
        return await self.send(Post(draft, wire, payload, reference, has_own_reference=True))

    async def send(
        self, post: Post, *, turn: str | None = None, deadline: float | None = None
    ) -> Message:
        """Send the POST; if its response is lost, find the message by its reference.

        `turn` is what `realtime_turn` returned. It is given back when nothing was sent. `deadline`
        is for everything together; a part of it is kept for the search.
        """
        started = time.time()
        wire_status = None if turn is None else WireStatus()
        reference = post.reference
        custom = post.draft.custom if reference is None else reference
        count = count_recipients(post.recipients)
        accepts = response_to(
            custom,
            count,
            draft=post.draft,
            opened_ids=self._session.opened_ids,
            sends=True,
        )
        try:
            # Not through the API object: most requests are these, and each layer costs time.
            data = await self._session.call(
                SEND,
                MESSAGES,
                post.payload,
                wire_status=wire_status,
                accepts=accepts,
                deadline=deadline if reference is None else before_look(deadline),
            )
            message = only_message(data)
        except OutcomeUnknownError as unknown:
            message = await self._recover(post, started, deadline, unknown)
        except GatewayError:
            if turn is not None:
                await self.realtime_not_sent(turn)
            raise
        except BaseException:
            # Cancelled while it was queued: the next one need not wait for it.
            if turn is not None and wire_status is not None and not wire_status.departed:
                await self.realtime_not_sent(turn)
            raise
        if post.draft.is_realtime:
            await self.realtime_sent(turn or "")
        return check_accepted(message, count, reference)

    async def find(
        self,
        reference: str,
        *,
        since: float | None = None,
        is_wanted: Callable[[Message], Awaitable[bool]] | None = None,
        deadline: float | None = None,
    ) -> Message | None:
        """Return the newest message with this reference; None if there is no such message.

        If given, only one that was made after `since` (wall seconds) and that `is_wanted` accepts.
        """
        for summary in await self._api.list(deadline):
            made = summary.timestamp
            too_old = since is not None and made is not None and made.timestamp() < since
            if too_old or not is_message_id(summary.id):
                continue
            try:
                message = await self._api.get(summary.id, deadline)
            except NotFoundError:
                continue
            if _is_reference(message.options.custom, reference) and (
                is_wanted is None or await is_wanted(message)
            ):
                return message
        return None

    async def _recover(
        self, post: Post, started: float, deadline: float | None, unknown: OutcomeUnknownError
    ) -> Message:
        """Return the message whose response was lost; raises OutcomeUnknownError if not found."""
        since = started - _CLOCK_SLACK
        why = "and no message with its reference was found"

        async def is_this(message: Message) -> bool:
            nonlocal why
            if await self._is_proven(message, post, since, deadline):
                return True
            why = "and a message with its reference exists, but it is not provably this one"
            return False

        found: Message | None = None
        if post.reference is None:
            why = "and it has no reference to look for"
        else:
            try:
                async with asyncio.timeout_at(deadline or self._session.deadline()):
                    found = await self.find(
                        post.reference, since=since, is_wanted=is_this, deadline=deadline
                    )
            except Exception:  # noqa: BLE001 - whatever prevented the search, a text may be out
                why = "and the search for its reference failed"
        if found is None:
            lost = OutcomeUnknownError(
                f"POST: the answer was lost, {why}; a text may have gone out",
                reference=post.reference,
            )
            raise lost from unknown.__cause__
        return found

    async def _is_proven(
        self, message: Message, post: Post, since: float, deadline: float | None
    ) -> bool:
        """Return whether a message with the reference of this POST is the message of this POST."""
        draft, total = post.draft, message.valid + message.invalid
        count = count_recipients(post.recipients)
        if message.transaction or message.body not in {None, draft.body} or total > count:
            return False
        opened_ids = self._session.opened_ids
        if post.has_own_reference:
            # The reference is the proof, even if the id was given to another send as well.
            opened_ids.claim(message.id)
            return True
        made = message.timestamp
        if made is None or made.timestamp() < since or total != count:
            return False
        if message.sender not in {None, draft.sender}:
            return False
        try:
            reports = await self._api.recipients(message.id, deadline)
        except NotFoundError:
            return False
        is_this = _has_exactly(message, reports, post.recipients)
        # A message that another call has claimed is not the one of this call.
        return is_this and opened_ids.claim(message.id)


def _is_reference(custom: object, reference: str) -> bool:
    # A gateway may return a text of digits as a number.
    is_number = isinstance(custom, int) and not isinstance(custom, bool)
    return (str(custom) if is_number else custom) == reference


def _has_exactly(
    message: Message, reports: list[RecipientReport], recipients: WireRecipients
) -> bool:
    """Return whether these are the recipients of the message, no other and none left out."""
    items = [recipients] if isinstance(recipients, str | Addressee) else recipients
    sent = {_digits(one if isinstance(one, str) else one.number) for one in items}
    listed = [_digits(report.number) for report in reports]
    shown = {*listed, *map(_digits, message.refused)}
    # A gateway may list the invalid ones too.
    is_whole = len(listed) in {message.valid, message.valid + message.invalid}
    return is_whole and len(set(listed)) == len(listed) and shown == sent


def _digits(number: str) -> str:
    # The gateway may write numbers in another form. No calling code begins with 0.
    return _NOT_DIGITS.sub("", number).lstrip("0")


def count_recipients(recipients: WireRecipients) -> int:
    """Return how many recipients a request carries."""
    return 1 if isinstance(recipients, str | Addressee) else len(recipients)


def check_accepted(message: Message, count: int, reference: str | None) -> Message:
    """Return the message that was sent to so many recipients.

    Raises RecipientsRejectedError if none of them is valid, and OutcomeUnknownError if the gateway
    counts fewer: it does not say which ones.
    """
    if message.valid == 0:
        raise RecipientsRejectedError(
            f"the gateway took none of the recipients of message {message.id}", message=message
        )
    counted = message.valid + message.invalid
    if counted < count:
        raise OutcomeUnknownError(
            f"POST: the gateway counts {counted} of {count} recipients on message {message.id}; "
            "messages.recipients shows which of them it sends to",
            reference=reference,
        )
    return message
