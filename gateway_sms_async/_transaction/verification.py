"""Verifies an open message before its close: it must hold each recipient that was sent, once.

The counts prove that where they can. If they do not, or with `verify="always"`, the list of the
message is read. A message in doubt whose recipients may go to another one is not closed.
"""

from __future__ import annotations

from .._recipients.batches import Batch
from ..errors import GatewayError, NotFoundError
from ..models import Message
from .message import RestartMessageError
from .reconcile import (
    Listing,
    count,
    counts_add_up,
    each_invalid_is_named,
    first_absent,
    read_list,
    sizes_tell_apart,
    unnamed,
)
from .requests import MessageRequests

__all__ = ["OpenMessageVerifier"]

_LOOKS_AT_AN_OPEN_LIST = 3


class OpenMessageVerifier:
    """Verifies one open message.

    `replaceable`: its recipients may be assigned to another message, so that one that does not match
    raises RestartMessageError.
    """

    def __init__(self, requests: MessageRequests, *, replaceable: bool) -> None:
        self._requests = requests
        self._message = requests.message
        self._replaceable = replaceable
        self._tuning = requests.tuning

    async def look(self, last: Batch | None) -> tuple[Message, bool]:
        """Return the message as it is, and whether counts alone prove which recipients it holds.

        The close adds the `last` batch.
        """
        message, requests = self._message, self._requests
        try:
            seen = await requests.look()
        except NotFoundError as error:
            # It was never closed and does not exist, so it cannot go out any more.
            raise requests.gone(error) from error
        requests.outside_close.check_open(seen)
        self._check_objects(seen)
        sizes = [len(batch) for batch in (*message.batches, *([] if last is None else [last]))]
        counted = not message.in_doubt and counts_add_up(message.counts_by_batch, count(seen).total)
        identified = requests.is_identified
        adds_up = counted and sizes_tell_apart(sizes) and identified
        proven = adds_up and not unnamed(seen, message.batches, once=True)
        if not adds_up and identified and self._tuning.careful and self._replaceable:
            raise RestartMessageError(
                f"message {message.id} does not match what the gateway acknowledged"
            )
        if not proven or self._tuning.verify_always:
            seen, each_once = await self._look_at_list(seen, adds_up=adds_up)
            proven = proven or (counted and each_once)
        return seen, proven

    def start_carefully(self, why: str) -> RestartMessageError:
        """Make the campaign careful, and return the error for a message that is not closed."""
        self._tuning.careful = True
        return RestartMessageError(f"message {self._message.id} {why}")

    def _check_objects(self, seen: Message) -> None:
        """Raise RestartMessageError if the gateway may not understand lists of objects.

        Do not close if recipients may look invalid only because of that.
        """
        lists = [len(batch) for batch in self._message.batches if batch.is_object_list]
        if not lists or self._tuning.objects_understood:
            return
        self._tuning.objects_understood = seen.invalid < min(lists)
        if not self._tuning.objects_understood:
            raise RestartMessageError(
                f"the gateway may not understand lists of objects (message {self._message.id}): "
                "each is sent by itself"
            )

    async def _look_at_list(self, seen: Message, *, adds_up: bool) -> tuple[Message, bool]:
        """Return the message, and whether its list shows each recipient exactly once."""
        message = self._message
        try:
            listing, seen = await self._read_open_list(seen, once=adds_up)
        except NotFoundError:
            # This gateway may list recipients only after the close.
            self._check_identified()
            if not adds_up and self._replaceable:
                raise self.start_carefully("cannot be listed before its close") from None
            self._check_named(seen, once=adds_up)
            return seen, False
        if listing is not None and await self._is_cut(listing, seen, once=adds_up):
            listing = None
        if listing is None:
            self._check_identified()
            if not adds_up and self._replaceable:
                raise self.start_carefully("is not listed completely")
            self._check_named(seen, once=adds_up)
            raise GatewayError(
                f"the gateway does not list all recipients of message {message.id}: it was not "
                "closed, so nothing has gone out. Use fewer recipients_per_message, or "
                'verify="auto"'
            )
        if listing.doubled or listing.strangers:
            raise self.start_carefully("holds a recipient twice, or one that was not sent")
        if unnamed(seen, message.batches, once=adds_up):
            # The message is open and does not change, and its list is complete without the
            # invalid recipients that are counted: lists leave them out.
            self._tuning.lists_hold_invalid = False
        listed = listing.times.total() + seen.invalid
        if listed < message.acknowledged:
            self._tuning.careful = True
        each_once = listed == sum(map(len, message.batches))
        return seen, each_once and each_invalid_is_named(seen, message.batches)

    def _check_identified(self) -> None:
        """Raise GatewayError if the message may be another one than the one that was opened.

        Another message would not be known any better, and its recipients may have to be paid for.
        """
        if not self._requests.is_identified:
            raise GatewayError(
                f"whether message {self._message.id} holds its recipients cannot be known: the answer "
                "to another open was lost, and the gateway shows neither options.custom nor the list "
                "of an open message. It was not closed, so nothing has gone out: send to its recipients "
                "with a new client, not by a resume, which would stop here again"
            )

    async def _is_cut(self, listing: Listing, seen: Message, *, once: bool) -> bool:
        """Whether a list that seems to leave out the invalid recipients leaves out others instead.

        It could hold the invalid ones and be cut to the length that it should have without them. A
        gateway shows a recipient by itself if it lists it at all.
        """
        batches = self._message.batches
        known = self._tuning.lists_hold_invalid is not None
        if known or not unnamed(seen, batches, once=once):
            return False
        absent = first_absent(listing, batches)
        return absent is not None and await self._requests.lists_recipient(absent)

    async def _read_open_list(self, seen: Message, *, once: bool) -> tuple[Listing | None, Message]:
        """Read the list of an open message, and read it again if the message changed meanwhile."""
        message, requests = self._message, self._requests
        listing: Listing | None = None
        for _ in range(_LOOKS_AT_AN_OPEN_LIST):
            numbers = await requests.list_numbers()
            before, seen = seen, await requests.look()
            requests.outside_close.check_open(seen)
            listing = None
            if numbers is not None:
                listing = read_list(seen, message.batches, numbers, once=once)
            if count(before) == count(seen):
                break
        return listing, seen

    def _check_named(self, seen: Message, *, once: bool) -> None:
        unnamed_count = unnamed(seen, self._message.batches, once=once)
        if unnamed_count:
            raise GatewayError(
                f"the gateway counts {unnamed_count} invalid recipients on message {self._message.id} "
                "without naming them, and its list does not show which they are: it was not closed, "
                "so nothing has gone out. Check the numbers, or use recipients_per_message=1"
            )
