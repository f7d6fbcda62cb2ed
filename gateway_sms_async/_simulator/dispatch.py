"""Carries requests to the rules: once, twice, late, by halves, or in vain.

The server hands each request in together with the fault that strikes it. Whatever is put off
waits in here, by the event loop's clock.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from .faults import Fault
from .gateway import Gateway
from .message import Message
from .recipients import halve
from .requests import RecordedRequest, Target
from .responses import Answer

PUTS: Final = frozenset({"append", "close"})


_APPLIED_BY_HALVES: Final = frozenset({401, 402, 413, 422, 429})


class Arrival(NamedTuple):
    """A request on its way to the rules; `seen` is what `Gateway.look_up` returned for it.

    `refusal` is the answer when its token does not open the gateway for it.
    """

    record: RecordedRequest
    target: Target
    refusal: Answer | None
    seen: Message | None


class Carrier:
    """Carries requests out on `gateway`, and keeps those that are put off."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._late: dict[asyncio.TimerHandle, Arrival] = {}

    def carry(self, arrival: Arrival, fault: Fault | None) -> tuple[Answer, Fault | None]:
        """Return the gateway's answer, true or pretended, and what is still to strike it."""
        if fault is None:
            return self._apply(arrival), None
        if fault.kind == "partial":
            return self._apply(arrival, halved=True), fault.then
        if fault.kind == "repeat":
            answer = self._apply(arrival)
            self._put_off(arrival, fault.seconds)
            return answer, None
        if fault.after_apply:
            return self._apply(arrival), fault
        if fault.kind == "late":
            self._put_off(arrival, fault.seconds)
        answer = self._pretend(arrival)
        if fault.kind == "status" and fault.code in _APPLIED_BY_HALVES:
            self._take_half(arrival)
        return answer, None if fault.kind == "lost" else fault

    def land_late(self) -> int:
        """Carry out now what was put off, and return how many requests that were."""
        waiting = sorted(self._late.items(), key=lambda item: item[0].when())
        for timer, arrival in waiting:
            timer.cancel()
            del self._late[timer]
            self._apply(arrival)
        return len(waiting)

    def _put_off(self, arrival: Arrival, seconds: float) -> None:
        arrival = arrival._replace(seen=None)  # it builds on what it meets when it lands
        if not seconds:
            self._apply(arrival)
            return

        def land() -> None:
            del self._late[timer]
            self._apply(arrival)

        timer = asyncio.get_running_loop().call_later(seconds, land)
        self._late[timer] = arrival

    def _apply(self, arrival: Arrival, *, halved: bool = False) -> Answer:
        record = arrival.record
        body = halve(record.body) if halved else record.body
        answer = self._call(arrival, body)
        record.applied |= bool(answer.body["success"])
        if self._gateway.dialect.repeat_puts and arrival.target.operation in PUTS:
            self._call(arrival._replace(seen=None), body)
        return answer

    def _pretend(self, arrival: Arrival) -> Answer:
        undo = self._gateway.checkpoint(arrival.target.message_id)
        answer = self._call(arrival, arrival.record.body)
        undo()
        return answer

    def _take_half(self, arrival: Arrival) -> None:
        if arrival.refusal is None and arrival.target.operation in PUTS:
            self._gateway.take_half(arrival.target.message_id, arrival.record.body)

    def _call(self, arrival: Arrival, body: object) -> Answer:
        if arrival.refusal is not None:
            return arrival.refusal
        gateway = self._gateway
        operation, message_id, number = arrival.target
        match operation:
            case "list":
                answer = gateway.list_messages()
            case "get":
                answer = gateway.get(message_id)
            case "recipients":
                answer = gateway.recipients(message_id)
            case "recipient":
                answer = gateway.recipient(message_id, number)
            case "send" | "open":
                answer = gateway.post(body)
            case "append" | "close":
                answer = gateway.put(message_id, body, seen=arrival.seen)
            case _:
                answer = gateway.delete(message_id)
        return answer
