"""Sends the ready batches of one message concurrently, each in a task of its own.

Neither a failing batch nor a cancelled caller stops the other batches: they run to their end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .._cancellation import wait_for
from .._http.endpoint import WireStatus
from .._http.session import Session
from .accumulator import Accumulator
from .faults import FaultRecord
from .message import AssignedBatch, BatchState, batch_event
from .requests import MessageRequests

__all__ = ["BatchSender"]


class BatchSender:
    """Sends what the accumulator has ready, until a fault or a halt.

    `permits` bounds the requests in flight. `opened` is set once the message is open, or will not
    be. `on_change` is called when a batch has ended.
    """

    def __init__(
        self,
        session: Session,
        requests: MessageRequests,
        accumulator: Accumulator,
        faults: FaultRecord,
        *,
        permits: asyncio.Semaphore,
        on_change: Callable[[], None],
    ) -> None:
        self._session = session
        self._requests = requests
        self._message = requests.message
        self._accumulator = accumulator
        self._faults = faults
        self._permits = permits
        self._on_change = on_change
        self._flights: dict[asyncio.Task[None], WireStatus] = {}
        self._task: asyncio.Task[None] | None = None
        self.opened: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Send the ready batches in a task, if no task does so already."""
        idle = self._task is None or self._task.done()
        if self._accumulator.ready and idle and not self._faults.stopped:
            self._task = asyncio.create_task(self._send_ready())

    async def send_one_by_one(self) -> None:
        """Send the ready batches under the one permit that the finishing task holds."""
        accumulator = self._accumulator
        while accumulator.ready and not self._faults.stopped and not accumulator.sealed:
            await wait_for([self._launch_next()])
        accumulator.set_ready_aside()

    async def all_launched(self) -> None:
        """Wait until no ready batch is about to be sent."""
        if self._task is not None:
            await wait_for([self._task])

    async def all_ended(self) -> None:
        """Wait until no batch is in flight."""
        await wait_for(self._flights)

    async def may_send(self) -> None:
        """Wait until the ready batches have left, and another could."""
        await self.all_launched()
        async with self._permits:
            pass

    def running(self) -> list[asyncio.Task[None]]:
        """Return the running tasks."""
        return [*self._flights, *([self._task] if self._task else [])]

    def halt(self) -> None:
        """Send nothing new. Requests on the wire end by themselves."""
        if self._task is not None:
            self._task.cancel()
        for task, wire_status in self._flights.items():
            if not wire_status.on_wire:
                task.cancel()

    async def _send_ready(self) -> None:
        """Send the ready batches as permits come free; set them aside if the message is sealed."""
        accumulator = self._accumulator
        with self._faults.recording():
            while accumulator.ready and not self._faults.stopped and not accumulator.sealed:
                if self._message.assigned:
                    # Without a permit: others can use it while this message is being opened.
                    await self.opened.wait()
                await self._permits.acquire()
                if accumulator.ready and not self._faults.stopped and not accumulator.sealed:
                    task = self._launch_next()
                    task.add_done_callback(lambda _: self._permits.release())
                else:
                    self._permits.release()
            accumulator.set_ready_aside()

    def _launch_next(self) -> asyncio.Task[None]:
        """Send the next ready batch in a task of its own."""
        wire_status = WireStatus()
        first = not self._message.assigned
        # First assigned, then removed: an exception between the two must not lose it.
        assigned = self._message.assign(self._accumulator.ready[0])
        self._accumulator.ready.popleft()
        task = asyncio.create_task(self._send(assigned, wire_status, first=first))
        self._flights[task] = wire_status
        task.add_done_callback(lambda task: self._batch_ended(task, assigned))
        return task

    async def _send(self, assigned: AssignedBatch, wire_status: WireStatus, *, first: bool) -> None:
        with self._faults.recording():
            if first:
                await self._requests.open(assigned, wire_status)
                self.opened.set()
            elif not self._faults.stopped and not self._accumulator.sealed:
                await self._requests.append(assigned, wire_status)

    def _batch_ended(self, task: asyncio.Task[None], assigned: AssignedBatch) -> None:
        self._flights.pop(task)
        event = None if self._session.emit is None else batch_event(self._message, assigned)
        if assigned.state is BatchState.PENDING:
            self._accumulator.set_aside.append(self._message.release(assigned))
        try:
            if self._session.emit is not None and event is not None:
                self._session.emit(event)
        finally:
            self._on_change()
