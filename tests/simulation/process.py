"""One process of a campaign, and its end from outside at any point."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import aiohttp
import anyio

from gateway_sms_async import GatewayClient, Progress, Receipt
from tests.support.virtual_time import ReplayLoop

from .plan import Interruption
from .stores import JournalStore


class InterruptError(BaseException):
    """Not an Exception: what a signal handler raises, for example."""


class CuttableConnector(aiohttp.UnixConnector):
    """The client's connections, which a kill cuts all at once."""

    def __init__(self, path: str) -> None:
        super().__init__(path, limit=0, force_close=False, keepalive_timeout=5.0)
        self._transports: list[Any] = []
        self._cut = False

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        self._check()
        connection = await super().connect(*args, **kwargs)
        if connection.transport not in self._transports:
            self._transports.append(connection.transport)
        if self._cut:
            connection.close()
        self._check()
        return connection

    def _check(self) -> None:
        if self._cut:
            raise aiohttp.ClientConnectionError("the process is dead")

    def cut(self) -> None:
        """Block all further traffic; bytes in the kernel's buffers still arrive."""
        self._cut = True
        for transport in self._transports:
            transport.abort()


class CampaignProcess:
    """One process: it starts, may be ended from outside, and can be killed at any point.

    A kill leaves `journal` as it is at that moment.
    """

    def __init__(
        self,
        end: Interruption | None,
        *,
        loop: ReplayLoop,
        gateway: GatewayClient,
        connector: CuttableConnector,
        journal: JournalStore,
        events: Counter[str],
    ) -> None:
        self._end = end
        self._loop = loop
        self._gateway = gateway
        self._connector = connector
        self._events = events
        self._passed: Counter[str] = Counter()
        self._scope = anyio.CancelScope()
        self._task: asyncio.Task[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._finished = False
        self._journal = journal
        self.stop = asyncio.Event()
        self.reports: list[Progress] = []
        self.killed = False
        self.cancels = False
        self.fails = False
        self.raised = False
        self.closed_before_start = False
        self.interrupted_at = 0.0

    async def guard(self, campaign: Callable[[], Coroutine[Any, Any, Receipt]]) -> Receipt:
        """Run the campaign inside the timeout or scope that may cancel it."""
        end = self._end
        self.closed_before_start = self._closing is not None
        if end is not None and end.how == "timeout":
            try:
                async with asyncio.timeout(end.when) as limit:
                    return await campaign()
            finally:
                self.cancels = limit.expired()
                self.interrupted_at = limit.when() or 0.0
        if end is None or end.how != "scope":
            return await campaign()
        with self._scope:
            return await campaign()
        # A scope suppresses the cancellation, so there is nothing to return.
        raise asyncio.CancelledError

    def begin(self, task: asyncio.Task[Any]) -> None:
        """Schedule the interruption."""
        self._task = task
        end = self._end
        if end is None or end.how == "timeout":
            return
        if end.at == "time":
            self._timer = self._loop.call_later(end.when, self._interrupt)
        elif end.at == "round":
            self._loop.at_round(self._loop.rounds + int(end.when), self._interrupt)

    def finish(self) -> None:
        """Mark the campaign as over: nothing interrupts it any more."""
        self._finished = True
        if self._timer is not None:
            self._timer.cancel()

    def passing(self, what: str, side: str) -> None:
        """Interrupt the process if this is the point."""
        if side == "before":
            self._passed[what] += 1
        end = self._end
        if self._finished or end is None or end.at != what or end.side != side:
            return
        if self._passed[what] != end.when:
            return
        if end.how == "fail":
            self.fails = True
            self._events["a failed write"] += 1
            raise sqlite3.OperationalError("disk I/O error")
        if end.how == "raise":
            self.raised = True
            self._events[f"raised at {what}"] += 1
            raise MemoryError if end.error == "memory" else InterruptError
        if end.lag:
            self._loop.at_round(self._loop.rounds + end.lag, self._kill)
        else:
            self._kill()

    def _interrupt(self) -> None:
        assert self._end is not None
        assert self._task is not None
        if self._finished or self._task.done():
            return
        how = self._end.how
        self.interrupted_at = self._loop.time()
        self._events[how] += 1
        self.cancels = how in {"cancel", "scope"}
        if how == "cancel":
            self._task.cancel()
        elif how == "scope":
            self._scope.cancel()
        elif how == "stop":
            self.stop.set()
        else:
            self._closing = self._loop.create_task(self._gateway.aclose())

    def _kill(self) -> None:
        """Kill the process: the journal stays as it is, the sockets close."""
        if self.killed or self._finished:
            return
        self.killed = True
        self._events["killed"] += 1
        self._journal.kill()
        self._connector.cut()
        # Tasks that still run write to the old journal and to closed sockets.
        if self._task is not None:
            self._loop.call_soon(self._task.cancel)
