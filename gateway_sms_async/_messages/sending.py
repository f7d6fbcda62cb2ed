"""One send: its reference, its recovery, the realtime minute."""

from __future__ import annotations

from ..errors import RecipientsRejectedError
from ..models import Message

_REFERENCES = 64


# How far the gateway's clock may be behind ours when a lost message is looked for.
_CLOCK_SLACK = 3600.0


def _with_somebody(message: Message) -> Message:
    if message.valid == 0:
        raise RecipientsRejectedError(
            f"the gateway took none of the recipients of message {message.id}", message=message
        )
    return message
