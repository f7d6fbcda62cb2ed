"""Which hostile faults a client can withstand at a moment; the draw leaves out the others.

A client cannot know that a response is an older one of the same message, or that a message which
it never heard of has been closed. The gateway's messages tell whether that would be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from gateway_sms_async.testing import RecordedRequest

from .record import RequestRecord

_NAMING = frozenset({"append", "close"})


class Guard:
    """Decides whether a fault of these kinds may affect a request now.

    - `interruptible`: the process that runs may end before it sees what it was answered.
    - `is_blind`: the process cannot close anything, because its looks are refused.
    """

    KINDS = frozenset({"mixed up", "closed by others"})

    def __init__(self, records: Sequence[RequestRecord]) -> None:
        self._records = records
        self.simulator: Any = None
        self.interruptible = False
        self.is_blind = False

    def allows(self, kind: str, request: RecordedRequest, process: int) -> bool:
        """Whether a client can withstand this kind of fault at this request."""
        if kind == "mixed up":
            return self._differs(request, process)
        # Once in a schedule: a message may be closed after the client has looked at it for the
        # last time, which no client could know.
        again = any(record.fault.startswith(kind) for record in self._records)
        return not (self.interruptible or again) and self.all_known(request, process)

    def _differs(self, request: RecordedRequest, process: int) -> bool:
        """Whether the response to the request before can be told from the right one."""
        before = self.simulator._dispatcher._answers.get(request.operation)
        if before is None or not before.body["success"]:
            return False
        [*documents] = before.body["data"]
        if request.operation == "open":
            if self.is_blind:
                # Before a resume closes anything, it is known that the other open was lost.
                return True
            # A client that named a message knows that its id is in use.
            known = (one for one in self._records if _names(one) or one.process == process)
            return documents[0]["id"] in {_message_id(one.request) for one in known}
        if request.operation == "send":
            return bool(self.simulator.gateway.dialect.custom_returned)
        message_id = _message_id(request)
        if request.operation == "get":
            return bool(documents[0]["id"] != message_id)
        message = self.simulator.gateway.messages.get(message_id)
        listed = {_digits(document["number"]) for document in documents}
        return bool(
            message is not None and listed and listed.isdisjoint(map(_digits, message.numbers))
        )

    def all_known(self, request: RecordedRequest, process: int) -> bool:
        """Whether the process has named every open message as its own, and gave up none of them.

        The response shows that the message of the request is closed. From that a client must
        conclude that others may be closed too; otherwise it could not know of any.
        """
        messages = self.simulator.gateway.messages
        open_ids = {message_id for message_id, message in messages.items() if message.is_open}
        mine = [record for record in self._records if record.process == process]
        named = {_message_id(one) for one in (request, *(record.request for record in mine))}
        deleted = {one.message_id for one in self._records if one.request.operation == "delete"}
        if _message_id(request) not in open_ids or not open_ids <= named or open_ids & deleted:
            return False
        # A look names also the message of a lost open, which the process does not know as its own.
        filled = {_message_id(one.request) for one in self._records if _names(one)}
        if not open_ids <= self._opened(process) | filled:
            return False
        # A close of its own would explain to the client why the message is closed.
        closes = [one.request for one in self._records if one.request.operation == "close"]
        own = any(_message_id(one) == _message_id(request) for one in closes if one is not request)
        if own or (request.operation == "close" and not request.body["recipients"]):
            return False
        # It refuses recipients without their fields before it says that the message is closed.
        if self.simulator.gateway.dialect.refuse_missing_fields and request.operation != "get":
            return False
        return self._each_number_once()

    def closable(self, process: int) -> list[str]:
        """Return the open messages if the process can learn that others have closed them.

        It has the answer to each of their opens, or will have it, or its journal has it. None of them
        was closed or deleted by the campaign: that would explain to it why one is closed.
        """
        messages = self.simulator.gateway.messages
        open_ids = [message_id for message_id, message in messages.items() if message.is_open]
        ended = {
            one.message_id for one in self._records if one.request.operation in {"close", "delete"}
        }
        can_know = self._opened(process).issuperset(open_ids) and ended.isdisjoint(open_ids)
        return open_ids if can_know and self._each_number_once() else []

    def _opened(self, process: int) -> set[str]:
        """Return the messages whose open was answered to this process or an earlier one."""
        return {
            one.message_id
            for one in self._records
            if one.request.operation == "open" and one.process <= process and not one.fault
        }

    def _each_number_once(self) -> bool:
        numbers = list(self._numbers())
        return len(numbers) == len(set(numbers))

    def _numbers(self) -> Iterator[str]:
        """Yield the numbers of each message, once for each message that has them."""
        for message in self.simulator.gateway.messages.values():
            yield from {_digits(number) for number in message.numbers}


def _names(record: RequestRecord) -> bool:
    return record.request.operation in _NAMING


def _message_id(request: RecordedRequest) -> str:
    return message_in(request.path)


def message_in(path: str) -> str:
    """Return the id of the message in a path, or an empty text."""
    pieces = path.strip("/").split("/")
    return pieces[1] if len(pieces) > 1 else ""


def _digits(number: str) -> str:
    return "".join(filter(str.isdigit, number))
