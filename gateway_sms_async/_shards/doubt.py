"""Open messages that were not looked at since another one was found closed by another client."""

from __future__ import annotations

from contextlib import suppress

from .._journal.journal import Journal
from .._journal.records import ClosedElsewhere
from .._journal_place import JournalPlace
from ..errors import JournalLockedError

__all__ = ["doubt_open_messages"]


async def doubt_open_messages(place: JournalPlace) -> None:
    """Note in the journal of a shard that its open messages may be closed: the next resume looks.

    Until then their recipients are unknown. Does nothing while another process runs the shard.
    Raises JournalError.
    """
    with suppress(JournalLockedError):
        journal, saved = await Journal.open(place)
        try:
            for message in saved.position.messages.values():
                if message.is_unfinished and not message.may_be_closed:
                    journal.note(ClosedElsewhere(message.number))
            await journal.flush()
        finally:
            await journal.close()
