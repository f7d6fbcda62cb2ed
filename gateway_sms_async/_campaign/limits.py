"""Keeps the messages of a campaign within `max_recipients` and `max_cost` while they are filled.

The closer checks the limits once more before each close. Both use the same `SpendingLimit`.
"""

from __future__ import annotations

from .._cancellation import wait_for
from .._journal.schema import Settings
from .._transaction.builder import MessageBuilder
from .._transaction.spending import SpendingLimit
from .._transaction.tuning import Tuning
from ..errors import LimitReachedError
from .outstanding import OutstandingMessages

__all__ = ["CampaignLimits", "messages_at_once"]


# Recipients read from the source and not sent yet: about 25 MB.
_RECIPIENTS_AHEAD = 200_000


class CampaignLimits:
    """Bounds what each message takes, and records what each message has cost."""

    def __init__(
        self, spending: SpendingLimit, tuning: Tuning, outstanding: OutstandingMessages
    ) -> None:
        self._spending = spending
        self._tuning = tuning
        self._outstanding = outstanding

    async def bound(self, builder: MessageBuilder) -> int:
        """Bound what a message takes by the limits, and return how many more recipients fit.

        Near a limit, first wait until all messages before it have ended: what they hold may be paid
        for, and only their end shows what is left. A new message may take one recipient even if
        none fits, because only that shows whether any is left.
        """
        if not self._is_near(builder):
            return builder.room
        await wait_for([one.finish() for one in self._outstanding.live if one is not builder])
        room = self._spending.room(self._outstanding.held(), self._tuning.orphans)
        builder.most = max(1, builder.taken + room)
        return room

    def reached(self) -> LimitReachedError:
        """Return the error for a message that is not opened, because nothing more fits."""
        return self._spending.no_room(self._tuning.orphans)

    def note_ended(self, builder: MessageBuilder) -> None:
        """Record what a message that has ended has cost, or may have cost."""
        message = builder.message
        if message.seen is not None:
            # Also of a message that is left open: others were lost, and may have cost as much.
            self._spending.learn(message.seen.price, message.seen.valid)
        if message.state == "unknown":
            # It may have been sent to all of them.
            self._spending.ended(message.number, builder.taken, None)
        else:
            sent = message.state == "closed" and message.final is not None
            valid = message.final.valid if sent and message.final is not None else 0
            self._spending.ended(message.number, valid, message.price)

    def _is_near(self, builder: MessageBuilder) -> bool:
        held = self._outstanding.held()
        return self._spending.is_near(builder.room, held, self._tuning.orphans)


def messages_at_once(
    settings: Settings, concurrency: int, *, rate: float | None, realtime: bool
) -> int:
    """Return how many messages to fill concurrently.

    If messages were filled one at a time, the campaign would be idle while the last one closes.
    """
    limited = settings.max_cost is not None or settings.max_recipients is not None
    if limited or realtime:
        # With limits, a second message might never be closed; with realtime, not for a minute.
        return 1
    if rate is not None:
        # With a rate limit, a second message only hides the wait for the next message's id.
        return min(concurrency, 2)
    return min(concurrency, max(2, _RECIPIENTS_AHEAD // settings.recipients_per_message))
