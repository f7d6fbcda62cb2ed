"""One send: its reference, its recovery after a lost response, the realtime minute.

For `Messages.send`, and for a transaction that ends with a single recipient.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time

from .._recipients.wire import WireRecipients
from ..errors import (
    GatewayError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    RecipientsRejectedError,
)
from ..models import Message
from .api import MESSAGES, SEND, MessagesAPI, is_message_id, only_message
from .draft import Draft

__all__ = ["MessageSender", "check_accepted"]

_REFERENCES = 64


# How far the gateway's clock may be behind ours when a lost message is looked for.
_CLOCK_SLACK = 3600.0


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

    async def realtime_turn(self, patience: float) -> float:
        """Wait until a realtime message may be sent; return that moment on the loop's clock.

        Raises RateLimitError if that takes longer than `patience` seconds.
        """
        pace, loop = self._session.realtime, asyncio.get_running_loop()
        give_up = loop.time() + patience
        while left := pace.wait(now := loop.time()):
            if now + left > give_up:
                raise RateLimitError(
                    f"only one realtime message a minute: wait {math.ceil(left)} s; nothing was sent",
                    status=429,
                    retry_after=left,
                )
            await asyncio.sleep(left)
        pace.sent(now)
        return now

    async def send_draft(
        self, draft: Draft, wire: WireRecipients, reference: str | None
    ) -> Message:
        """Send a message to these recipients, as `send` does."""
        payload = draft.payload(wire, transaction=False, reference=reference)
        return await self.send(draft, payload, reference)

    async def send(
        self, draft: Draft, payload: bytes, reference: str | None, turn: float | None = None
    ) -> Message:
        """Send the POST of a draft; if its response is lost, find the message by its reference.

        `turn` is what `realtime_turn` returned. It is given back when nothing was sent.
        """
        started = time.time()
        try:
            # Not through the API object: most requests are these, and each layer costs time.
            message = only_message(await self._session.call(SEND, MESSAGES, payload))
        except OutcomeUnknownError as unknown:
            message = await self._recover(draft, reference, started, unknown)
        except GatewayError:
            if turn is not None:
                self._session.realtime.not_sent(turn)
            raise
        if draft.is_realtime:
            # The gateway's minute begins when it arrives.
            self._session.realtime.sent(asyncio.get_running_loop().time())
        return check_accepted(message)

    async def find(
        self, reference: str, *, since: float | None = None, draft: Draft | None = None
    ) -> Message | None:
        """Return the newest message with this reference; None if there is no such message.

        If given, only a message that was made after `since` (wall seconds) and from `draft`.
        """
        for summary in await self._api.list():
            made = summary.timestamp
            too_old = since is not None and made is not None and made.timestamp() < since
            if too_old or not is_message_id(summary.id):
                continue
            try:
                message = await self._api.get(summary.id)
            except NotFoundError:
                continue
            if message.options.custom == reference and (
                draft is None or (not message.transaction and message.body in {None, draft.body})
            ):
                return message
        return None

    async def _recover(
        self, draft: Draft, reference: str | None, started: float, unknown: OutcomeUnknownError
    ) -> Message:
        """Return the message whose response was lost; raises OutcomeUnknownError if not found."""
        found: Message | None = None
        if reference is not None:
            try:
                async with asyncio.timeout(self._session.policy.max_elapsed):
                    found = await self.find(reference, since=started - _CLOCK_SLACK, draft=draft)
            except Exception:  # noqa: BLE001 - whatever prevented the search, a text may be out
                found = None
        if found is None:
            lost = OutcomeUnknownError(
                "POST: the answer was lost, and no message with its reference was found; a text "
                "may have gone out",
                reference=reference,
            )
            raise lost from unknown.__cause__
        return found


def check_accepted(message: Message) -> Message:
    """Return the message; raises RecipientsRejectedError if it has no valid recipient."""
    if message.valid == 0:
        raise RecipientsRejectedError(
            f"the gateway took none of the recipients of message {message.id}", message=message
        )
    return message
