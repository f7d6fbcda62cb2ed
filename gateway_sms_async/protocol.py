"""One message on the wire: opened, filled, looked at, closed; and what that makes of its people.

What it stands on: an open message never sends by itself, a close is atomic and final, a complete
rejection has applied nothing, a DELETE answered 200 is final. The transaction builder enters. It
decides nothing about batches or tasks; each method is a request or two and what they prove.
"""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from enum import Enum
from typing import Literal

from ._retry import RetryPolicy
from .draft import Draft, MessageUpdate, encode
from .errors import (
    GatewayError,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RecipientsRejectedError,
    TransactionClosedError,
)
from .intake import Batch
from .messages import Messages
from .models import Message
from .session import Flight

__all__ = ["Fate", "MessageOnWire", "State"]

State = Literal["new", "open", "closing", "closed", "left_open", "abandoned", "unknown"]

_CLOSE_TRIES = 5
_NOT_DIGITS = re.compile(r"[^0-9]+")


class Fate(Enum):
    """What became of one recipient of a message."""

    ACCEPTED = "on a closed message"
    INVALID = "named invalid by the gateway"
    UNKNOWN = "not to be known"
    UNSENT = "on no closed message"


class MessageOnWire:
    """A message from its first batch to its end.

    `batches` are those that were given to the wire, whether or not they arrived; `acknowledged`
    counts recipients that the gateway has said yes to.
    """

    def __init__(self, messages: Messages, draft: Draft, policy: RetryPolicy) -> None:
        self._messages = messages
        self._draft = draft
        self._policy = policy
        self.message_id: str | None = None
        self.state: State = "new"
        self.batches: list[Batch] = []
        self.acknowledged = 0
        # From the first byte of a close until it is proven closed or deleted, its people are
        # accepted or unknown, never unsent.
        self._close_flight = Flight()
        self._close_doubtful = False
        self._final: Message | None = None

    @property
    def price(self) -> Decimal | None:
        """What the gateway said the closed message costs, in euro."""
        return self._final.price if self._final is not None and self.state == "closed" else None

    @property
    def close_begun(self) -> bool:
        """Whether a byte of a close may have reached the gateway."""
        return self._close_doubtful or self._close_flight.on_wire

    def give(self, batch: Batch) -> None:
        """Take note of a batch that is about to be sent: from here on it is counted here."""
        self.batches.append(batch)

    async def open(self, batch: Batch, flight: Flight | None = None) -> None:
        """Open the message with its first batch, given before."""
        payload = self._draft.payload(batch.to_wire(), transaction=True)
        message = await self._messages.open_transaction(payload, flight)
        self.message_id = message.id
        self.state = "open"
        self._acknowledge(message, batch)

    async def append(self, batch: Batch, flight: Flight | None = None) -> None:
        """Add a batch, given before; at most once on the wire, whatever comes of it."""
        payload = encode(MessageUpdate(recipients=batch.to_wire(), transaction=True))
        try:
            message = await self._messages.put(self._id, payload, True, flight)
        except TransactionClosedError:
            self.state = "unknown"
            raise
        self._acknowledge(message, batch)

    async def close(self, last: Batch | None) -> None:
        """Look, close with the last batch, and make sure; raises when it did not come to that."""
        seen = await self._messages.get(self._id)
        self._check_before_close(seen)
        if last is None and seen.valid == 0:
            await self._delete()
            self._final = seen
            return
        if last is not None:
            self.give(last)
        payload = encode(
            MessageUpdate(recipients=[] if last is None else last.to_wire(), transaction=False)
        )
        try:
            await self._close_and_prove(payload, seen)
        except InvalidRequestError:
            if last is not None or self.state != "open":
                raise
            # One recipient alone, and this gateway takes no empty list: nothing has gone out.
            await self._delete()
            await self._send_plainly(self.batches[0])
        self._check_after_close()

    async def abandon(self) -> None:
        """Delete the message; it then never goes out."""
        if self.message_id is None:
            self.state = "abandoned"
        else:
            await self._delete()

    def leave(self) -> None:
        """Settle the state of a message that goes no further."""
        if self.close_begun and self.state in {"open", "closing"}:
            self.state = "unknown"
        elif self.state in {"open", "closing"}:
            self.state = "left_open"

    def fates(self) -> list[tuple[Batch, list[Fate]]]:
        """Say what became of everyone given to the wire, as far as it has come."""
        if self._final is not None and self.state in {"closed", "abandoned"}:
            return self._fates_by(self._final)
        fate = Fate.UNSENT
        if self.state in {"unknown", "closed"} or self.close_begun:
            fate = Fate.UNKNOWN
        return [(batch, [fate] * len(batch)) for batch in self.batches]

    @property
    def _id(self) -> str:
        assert self.message_id is not None
        return self.message_id

    def _acknowledge(self, message: Message, batch: Batch) -> None:
        self.acknowledged += len(batch)
        self._check_still_open(message)

    def _check_still_open(self, message: Message) -> None:
        if not message.transaction:
            self.state = "unknown"
            raise GatewayError(
                f"message {self._id} is closed though nobody here closed it: another process or "
                "the console did, or the gateway does not keep transactions open"
            )

    def _check_before_close(self, seen: Message) -> None:
        self._check_still_open(seen)
        counted = seen.valid + seen.invalid
        if counted != self.acknowledged:
            raise GatewayError(
                f"message {self._id} holds {counted} recipients where {self.acknowledged} were "
                "acknowledged: it was not closed, so nothing has gone out"
            )
        if seen.invalid and self._named_invalid(seen) is None:
            raise GatewayError(
                f"the gateway counts {seen.invalid} invalid recipients on message {self._id} "
                "without naming them: it was not closed, so nothing has gone out"
            )

    def _check_after_close(self) -> None:
        if any(Fate.UNKNOWN in fates for _, fates in self.fates()):
            raise GatewayError(
                f"message {self._id} went out, but its counts do not tell who is on it: see its "
                "recipients before sending to them again"
            )

    async def _close_and_prove(self, payload: bytes, seen: Message) -> None:
        for _ in range(_CLOSE_TRIES):
            self.state = "closing"
            try:
                await self._messages.put(self._id, payload, False, self._close_flight)
            except (OutcomeUnknownError, TransactionClosedError):
                pass
            except GatewayError:
                if not self._close_doubtful:
                    self.state = "open"
                raise
            # Also after a yes: only a message seen closed has proven where its people are.
            self._close_doubtful = True
            after = await self._look_again()
            if not after.transaction:
                self.state = "closed"
                self._final = after
                return
            if after.valid + after.invalid != seen.valid + seen.invalid:
                # Its people are on the message but it is open: closing again would add them twice.
                await self._delete()
                raise GatewayError(
                    f"message {self._id} took its last recipients but did not close; it was deleted"
                )
        raise GatewayError(f"message {self._id} did not close after {_CLOSE_TRIES} requests")

    async def _look_again(self) -> Message:
        """Read the message until there is an answer: outside the retry budget, but slowly."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._policy.max_elapsed
        delay = self._policy.base_delay
        while True:
            try:
                return await self._messages.get(self._id)
            except Exception as error:
                if isinstance(error, NotFoundError) or loop.time() + delay >= deadline:
                    raise GatewayError(
                        f"message {self._id} was being closed and cannot be read: whether it goes "
                        "out is not known"
                    ) from error
            await asyncio.sleep(delay)
            delay = min(delay * 2, self._policy.max_delay)

    async def _delete(self) -> None:
        try:
            await self._messages.delete(self._id)
        except InvalidRequestError:
            # Too late: somebody has closed it.
            self.state = "unknown"
            raise
        self.state = "abandoned"
        self._close_doubtful = False

    async def _send_plainly(self, batch: Batch) -> None:
        # The POST is the close now: while it lasts, nobody can be called unsent.
        self.state = "closing"
        self._close_doubtful = True
        try:
            self._final = await self._messages.send_draft(self._draft, batch.to_wire())
        except OutcomeUnknownError:
            raise
        except RecipientsRejectedError as rejected:
            self._final = rejected.message
        except GatewayError:
            self.state = "abandoned"
            self._close_doubtful = False
            raise
        self.message_id = self._final.id
        self.state = "closed"

    def _named_invalid(self, message: Message) -> set[int] | None:
        """Return the digits of those named invalid, None when some are counted but not named."""
        named = {
            int(digits)
            for number in message.recipients.invalid.list
            if (digits := _NOT_DIGITS.sub("", number))
        }
        ours = {int(number.replace("-", "")) for batch in self.batches for number in batch.numbers}
        if message.invalid == len(ours):
            return ours
        named &= ours
        return named if len(named) == message.invalid else None

    def _fates_by(self, final: Message) -> list[tuple[Batch, list[Fate]]]:
        sent = sum(map(len, self.batches))
        named = self._named_invalid(final) if final.invalid else set[int]()
        if final.valid + final.invalid != sent or named is None:
            return [(batch, [Fate.UNKNOWN] * len(batch)) for batch in self.batches]
        rest = Fate.ACCEPTED if self.state == "closed" else Fate.UNSENT
        if not named:
            return [(batch, [rest] * len(batch)) for batch in self.batches]
        return [
            (
                batch,
                [
                    Fate.INVALID if int(number.replace("-", "")) in named else rest
                    for number in batch.numbers
                ],
            )
            for batch in self.batches
        ]
