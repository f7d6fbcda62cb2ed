"""Campaigns in the background of a service or bot, with a journal each, resumed at every start.

Runs the tasks. What is sent, and how often, is decided by the client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sized
from contextlib import suppress
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Self, Unpack

from .._arguments import check_flag
from .._cancellation import GRACE_PERIOD, drain
from .._client import GatewayClient
from .._postgres.journals import PostgresJournals
from .._receipt import Receipt
from .._recipients.recipient import Recipients
from .._shards.reading import read_journal
from ..errors import (
    BulkSendError,
    GatewayError,
    JournalError,
    JournalExistsError,
    JournalLockedError,
)
from .publishing import publish
from .runs import LOOK_AGAIN, CampaignRuns, is_set_within
from .shelf import shelf_of
from .status import CampaignOptions, CampaignStatus, ShardEnd
from .statuses import Statuses
from .worker import ShardWorker

__all__ = ["Campaigns"]

_LOOK_EVERY = 0.1
"""Seconds between looks whether another process has read the list of its campaign."""


_LEAVING = 2 * GRACE_PERIOD
"""Seconds that campaigns have to end after a stop: the grace period, and as long for their journals."""


_ON_REQUEST = "stopped on request"


class Campaigns:
    """Campaigns that outlive the process; an async context manager, inside that of its client.

    ```python
    async with Campaigns(gateway, "campaigns") as campaigns:
        started = await campaigns.start("spring", recipients, sender="ACME", body="Ciao")
        print(started, campaigns.status("spring"))
    ```

    `folder` holds their journals, `NAME.db`, and is created if it does not exist. Every campaign in
    it is resumed and paid for, so the folder and the journals must be this user's (or root's), and
    no other user may write to them: entering raises JournalError for such a folder, and the campaign
    of such a journal is `stopped` for that reason. Entering resumes the campaigns that an earlier
    process left. Leaving stops those that run and waits until their
    requests in flight have completed. The journal of a complete campaign stays, so that its name
    is not used again by mistake; `purge_journal` deletes it. What a listener of the client raises
    that is no Exception, such as the failure of a test, stops a campaign and is raised on leaving.

    `folder` may also be a `PostgresJournals`: then the processes may be on several machines, and run the
    shards of one campaign side by side. What concerns the account, such as missing credit, then stops a
    campaign in all of them until `go_on`.

    With `run=False` nothing is sent from here, unless `run_shard` is called: `start` only writes the
    journal, for workers.

    Several processes may share a folder. The one that starts a campaign runs it. In the others it
    is `running` with the reason that another process uses its journal, and with the progress that
    the journal shows. When that process leaves or is killed, one of the others resumes the campaign
    within a few seconds. A campaign that another process starts is known within a second.
    """

    def __init__(
        self,
        gateway: GatewayClient,
        folder: str | PathLike[str] | PostgresJournals,
        *,
        run: bool = True,
    ) -> None:
        self._gateway = gateway
        self._shelf = shelf_of(folder)
        self._sends = check_flag("run", run)
        self._stop = asyncio.Event()
        self._stops: dict[str, asyncio.Event] = {}
        # Why a campaign is not sent, as far as that is known here.
        self._held: dict[str, str] = {}
        self._statuses = Statuses(self._shelf)
        self._tasks: dict[str, asyncio.Task[BaseException | None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._worker = ShardWorker(gateway, self._shelf)
        self._runs = CampaignRuns(gateway, self._shelf, self._statuses, self._worker)

    async def start(
        self,
        name: str,
        recipients: Recipients,
        *,
        sender: str,
        body: str,
        **keywords: Unpack[CampaignOptions],
    ) -> bool:
        """Start a campaign, with the keywords of `GatewayClient.send_bulk`.

        With `shards`, for lists of many millions, `NAME.db` is a folder of journals.

        Returns True once the whole list is in the journal: from then on no recipient is lost,
        whatever happens to this process. Returns False, and starts nothing, if there is a campaign
        of this name, also one of another process: calling twice sends once, and `status` says how
        it goes. If another process is reading the list of such a campaign, the call waits for that.
        If the call is cancelled, its campaign continues.

        Raises ValueError or TypeError for what `send_bulk` refuses and for a name that is not 1 to
        64 letters, digits, "-" or "_" (in a database: 1 to 200 characters); a GatewayError if the journal cannot be kept: then nothing
        was sent.
        """
        self._shelf.check_name(name)
        if self._is_running(name) and name not in self._runs.followed:
            return False
        if await self._shelf.exists(name):
            self._take_up(name)
            return False
        if name in self._runs.followed:
            await self._end_following(name)
        if self._is_running(name):
            return False  # another call of this process has begun it meanwhile
        await self._shelf.clear(name)
        if isinstance(recipients, Sized):
            keywords.setdefault("total", len(recipients))
        if not self._sends:
            place = self._shelf.place(name)
            writing = publish(
                self._gateway, place, recipients, sender=sender, body=body, **keywords
            )
            return await self._write(name, writing)
        sending = self._gateway.send_bulk(
            recipients,
            sender=sender,
            body=body,
            journal=self._shelf.place(name),
            on_progress=partial(self._statuses.report, name),
            stop=self._new_stop(name),
            **keywords,
        )
        task = self._run(name, sending)
        begun = self._statuses.begin(name)
        # It may be another process's journal. Only a campaign that has a journal of its own reports
        # progress, and so changes its status.
        while not task.done() and not (
            not self._statuses.is_as_it_began(name, begun) and await self._is_kept(name)
        ):
            await asyncio.wait([task], timeout=self._shelf.check_every)
        return True if not task.done() else await self._is_begun_here(name, task)

    def status(self, name: str) -> CampaignStatus | None:
        """Return the status of a campaign; None if there is none of this name.

        The first status of a campaign that another process has just started may have no counts yet.
        """
        if name not in self._statuses and self._watch is not None and self._is_seen(name):
            self._take_up(name)
        return self._statuses.get(name)

    async def receipt(self, name: str) -> Receipt:
        """Return the receipt of a campaign as it is now; see `read_journal`.

        Raises ValueError for a name that no campaign has, JournalError if it cannot be read.
        """
        self._shelf.check_name(name)
        return await read_journal(self._shelf.place(name))

    async def stop(self, name: str) -> None:
        """Stop a campaign in all processes until `go_on`, also after a restart.

        Its requests in flight complete. Other processes know within two seconds. Does not wait for that:
        `status` tells. Raises ValueError for a name that no campaign has, JournalError if there is none.
        """
        self._shelf.check_name(name)
        await self._shelf.hold(name, _ON_REQUEST)
        self._worker.stop(name)
        self._hold(name, _ON_REQUEST)

    async def go_on(self, name: str, *, after_failover: bool = False) -> None:
        """Continue a campaign that was stopped, with the shards that were set aside.

        Call it after `stop`, after a top-up, or when what kept its processes from sending is mended.
        `after_failover` is for a campaign in a database that a standby has taken over: see
        `PostgresJournal.go_on`.

        Raises ValueError for a name that no campaign has, JournalError if there is none.
        """
        self._shelf.check_name(name)
        await self._shelf.go_on(name, after_failover=after_failover)
        if self._watch is not None:
            self._held.setdefault(name, _ON_REQUEST)
            self._take_up(name)  # else as soon as it has stopped

    async def waiting(self) -> list[tuple[str, int]]:
        """Return the shards that no process runs and one should: names, and numbers from 0.

        Those of a campaign that is stopped are not among them, nor those that were set aside.
        """
        return await self._shelf.waiting()

    async def run_shard(
        self, name: str, shard: int, *, stop: asyncio.Event | None = None
    ) -> ShardEnd:
        """Run one shard of a campaign to its end, for a queue: `waiting` names those to run.

        ```python
        async with Campaigns(gateway, "campaigns", run=False) as worker:
            for name, shard in await worker.waiting():
                print(name, shard, await worker.run_shard(name, shard))
        ```

        May be called by any worker at any time, and any number of times: the second one returns
        "taken". So a queue may lose this call, or repeat it. A campaign with one journal has one shard,
        0. Setting `stop` ends it, and so does leaving this object.

        Raises JournalError if the journals cannot be used.
        """
        self._shelf.check_name(name)
        return await self._worker.run(name, shard, (self._stop, stop))

    async def __aenter__(self) -> Self:
        await self._shelf.open()
        await self._take_up_all()
        self._watch = asyncio.create_task(self._look_for_others())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for stop in self._stops.values():
            stop.set()
        deadline = asyncio.get_running_loop().time() + _LEAVING
        tasks: list[asyncio.Task[Any]] = [one for one in self._tasks.values() if not one.done()]
        if self._watch is not None:
            tasks.append(self._watch)
            self._watch = None
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=_LEAVING)
        finally:
            for task in tasks:
                task.cancel()
            await drain(tasks, deadline)
        for task in self._tasks.values():
            if task.done() and not task.cancelled():
                # What a listener raised and is no Exception, such as the failure of a test.
                failure = task.exception()
                if failure is not None and error is None:
                    raise failure

    def __repr__(self) -> str:
        return f"Campaigns({self._shelf!r}, {sum(map(self._is_running, self._tasks))} running)"

    def _is_seen(self, name: str) -> bool:
        try:
            self._shelf.check_name(name)
        except (TypeError, ValueError):
            return False
        return self._shelf.is_seen(name)

    def _is_running(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def _new_stop(self, name: str) -> asyncio.Event:
        """Return what stops this campaign, for its next run."""
        stop = self._stops[name] = asyncio.Event()
        if self._stop.is_set():
            stop.set()
        return stop

    async def _write(self, name: str, writing: Coroutine[Any, Any, None]) -> bool:
        """Write a campaign to its journal, for workers. Return False if there is one already."""
        failure = await asyncio.shield(self._write_in_task(name, writing))
        if isinstance(failure, JournalExistsError | JournalLockedError):
            while await self._shelf.is_being_read(name):
                if await is_set_within(_LOOK_EVERY, self._stop):
                    break
        is_kept = await self._is_kept(name)
        if is_kept and self._watch is not None:
            self._take_up(name)
        if failure is not None and not is_kept:
            raise failure
        return failure is None

    def _write_in_task(
        self, name: str, writing: Coroutine[Any, Any, None]
    ) -> asyncio.Task[BaseException | None]:
        """Write a journal in a task, which returns the error that it failed with, or None."""
        self._statuses.begin(name)

        async def write() -> BaseException | None:
            try:
                await writing
            except Exception as error:  # noqa: BLE001 - its caller raises it
                return error
            finally:
                self._statuses.forget(name)
            return None

        task = self._tasks[name] = asyncio.create_task(write())
        return task

    def _run(
        self, name: str, sending: Coroutine[Any, Any, Receipt]
    ) -> asyncio.Task[BaseException | None]:
        """Run a campaign in a task, which returns the error that it failed with, or None."""
        self._statuses.begin(name)
        task = self._tasks[name] = asyncio.create_task(self._runs.run(name, sending))
        return task

    async def _is_begun_here(self, name: str, task: asyncio.Task[BaseException | None]) -> bool:
        """Return whether a campaign that has ended was this process's; raise why there is none."""
        failure = GatewayError("it was cancelled") if task.cancelled() else task.result()
        if isinstance(failure, JournalLockedError):
            while await self._shelf.is_being_read(name):
                if await is_set_within(_LOOK_EVERY, self._stop):
                    break
        if isinstance(failure, BulkSendError) and failure.resumable:
            return True  # also if the shelf cannot be looked at any more
        if failure is not None and not await self._is_kept(name):
            raise failure
        if not isinstance(failure, JournalError):
            return True
        # Another process was first, so this one could not create its journal.
        if not self._is_running(name):
            self._continue(name)
        return False

    async def _is_kept(self, name: str) -> bool:
        """Whether a journal has the whole list of a campaign; False if that cannot be known now."""
        try:
            return await self._shelf.exists(name)
        except JournalError:
            return False

    def _take_up(self, name: str) -> None:
        """Resume a campaign of another process as soon as that is gone, unless it is known here."""
        is_new = name not in self._statuses or name in self._held
        if is_new and not self._is_running(name) and not self._stop.is_set():
            self._held.pop(name, None)
            self._continue(name)

    def _continue(self, name: str) -> None:
        stop = self._new_stop(name)
        if self._sends:
            self._run(name, self._runs.resume(name, stop))
        else:
            follow = self._runs.follow(name, stop, lambda: self._held.get(name, _ON_REQUEST))
            self._run(name, follow)

    def _hold(self, name: str, reason: str) -> None:
        """Stop a campaign here that was stopped somewhere."""
        self._held[name] = reason
        if not self._is_running(name):
            self._statuses.hold(name, reason)
        elif name in self._stops:
            self._stops[name].set()
        # Otherwise its journal is only being written, and the next look holds it.

    async def _take_up_all(self) -> None:
        """Take up what is new, stop what is held, and free the names whose journal was purged."""
        listed = await self._shelf.listed()
        self._statuses.count(listed)
        for name in set(self._statuses.names()).difference(one.name for one in listed):
            if not self._is_running(name):
                self._statuses.forget(name)
                self._held.pop(name, None)
        for name, held, _ in listed:
            if held is None:
                self._take_up(name)
            elif name in self._statuses or await self._statuses.show_elsewhere(name, held) != 0:
                self._hold(name, held)
            else:
                self._continue(name)  # it is finished: there is nothing to hold

    async def _look_for_others(self) -> None:
        """Take up what other processes start, and stop what they stop."""
        while not await is_set_within(LOOK_AGAIN, self._stop):
            with suppress(OSError, JournalError):
                await self._take_up_all()

    async def _end_following(self, name: str) -> None:
        """Forget a campaign that was deleted since it was followed."""
        self._stops[name].set()
        await asyncio.wait([self._tasks[name]])
        self._statuses.forget(name)
