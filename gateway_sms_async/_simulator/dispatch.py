"""Passes requests to the gateway: once, twice, late, only half of them, or not at all.

The server passes in each request with the fault that applies to it. Delayed requests are kept
here, timed by the event loop's clock.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple

from .faults import Fault
from .gateway import Gateway
from .message import StoredMessage
from .recipients import halve
from .requests import RecordedRequest, Target
from .responses import Response

PUTS: Final = frozenset({"append", "close"})
_WITH_A_COMPLETE_RESPONSE: Final = frozenset({"repeat", "mixed_up", "closed_by_others"})
# Statuses of injected faults after which half of a PUT may be applied.
_FAULTS_THAT_APPLY_HALF: Final = frozenset({401, 402, 413, 422, 429})


class Arrival(NamedTuple):
    """A request on its way to the gateway.

    - `seen`: what `Gateway.look_up` returned when the request arrived.
    - `refusal`: the response if the token does not allow this request, else None.
    """

    record: RecordedRequest
    target: Target
    refusal: Response | None
    seen: StoredMessage | None


class Dispatcher:
    """Applies requests to `gateway`, and keeps those that are delayed."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._late: dict[asyncio.TimerHandle, Arrival] = {}
        self._answers: dict[str, Response] = {}

    def dispatch(self, arrival: Arrival, fault: Fault | None) -> tuple[Response, Fault | None]:
        """Return the gateway's response, real or simulated, and the fault that remains for it."""
        if fault is None:
            return self._apply(arrival), None
        if fault.kind == "partial":
            return self._apply(arrival, halved=True), fault.then
        if fault.kind in _WITH_A_COMPLETE_RESPONSE:
            return self._apply_and_more(arrival, fault), None
        if fault.after_apply:
            return self._apply(arrival), fault
        if fault.kind == "late":
            self._delay(arrival, fault.seconds)
        response = self._simulate(arrival)
        if fault.kind == "status" and fault.code in _FAULTS_THAT_APPLY_HALF:
            self._take_half(arrival)
        return response, None if fault.kind == "lost" else fault

    def _apply_and_more(self, arrival: Arrival, fault: Fault) -> Response:
        """Apply a request, and do what the fault adds to it before or after."""
        before = self._answers.get(arrival.target.operation)
        if fault.kind == "closed_by_others":
            self._gateway.close_all()
        response = self._apply(arrival)
        if fault.kind == "repeat":
            self._delay(arrival, fault.seconds)
        return before if fault.kind == "mixed_up" and before is not None else response

    def land_late(self) -> int:
        """Apply the delayed requests now, and return how many there were."""
        waiting = sorted(self._late.items(), key=lambda item: item[0].when())
        for timer, arrival in waiting:
            timer.cancel()
            del self._late[timer]
            self._apply(arrival)
        return len(waiting)

    def _delay(self, arrival: Arrival, seconds: float) -> None:
        arrival = arrival._replace(seen=None)  # it is applied to the state at that time
        if not seconds:
            self._apply(arrival)
            return

        def apply() -> None:
            del self._late[timer]
            self._apply(arrival)

        timer = asyncio.get_running_loop().call_later(seconds, apply)
        self._late[timer] = arrival

    def _apply(self, arrival: Arrival, *, halved: bool = False) -> Response:
        record = arrival.record
        body = halve(record.body) if halved else record.body
        response = self._call(arrival, body)
        record.applied |= bool(response.body["success"])
        self._answers[arrival.target.operation] = response
        if self._gateway.dialect.repeat_puts and arrival.target.operation in PUTS:
            self._call(arrival._replace(seen=None), body)
        return response

    def _simulate(self, arrival: Arrival) -> Response:
        undo = self._gateway.checkpoint(arrival.target.message_id)
        response = self._call(arrival, arrival.record.body)
        undo()
        return response

    def _take_half(self, arrival: Arrival) -> None:
        if arrival.refusal is None and arrival.target.operation in PUTS:
            self._gateway.take_half(arrival.target.message_id, arrival.record.body)

    def _call(self, arrival: Arrival, body: object) -> Response:
        if arrival.refusal is not None:
            return arrival.refusal
        gateway = self._gateway
        operation, message_id, number = arrival.target
        match operation:
            case "list":
                response = gateway.list_messages()
            case "get":
                response = gateway.get(message_id)
            case "recipients":
                response = gateway.recipients(message_id)
            case "recipient":
                response = gateway.recipient(message_id, number)
            case "send" | "open":
                response = gateway.post(body)
            case "append" | "close":
                response = gateway.put(message_id, body, seen=arrival.seen)
            case _:
                response = gateway.delete(message_id)
        return response
