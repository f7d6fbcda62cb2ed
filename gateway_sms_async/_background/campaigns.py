"""Campaigns in the background of a service or bot, with a journal each, resumed at every start.

Runs the tasks. What is sent, and how often, is decided by the client.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine, Iterable, Sized
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from functools import partial
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

from .._cancellation import GRACE_PERIOD, drain
from .._client import GatewayClient
from .._messages.draft import Options
from .._postgres.journals import PostgresJournals
from .._receipt import Progress, Receipt
from .._recipients.recipient import Recipients
from .._shards.reading import read_progress
from .._transaction.results import shortfall
from ..errors import BulkSendError, GatewayError, JournalError, JournalLockedError
from .shelf import shelf_of

__all__ = ["CampaignOptions", "CampaignStatus", "Campaigns"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


_RETRY_EVERY = 1.0
"""Seconds between attempts to open a journal that another process has locked, and between looks for
campaigns that other processes have started."""


_REST = 10
"""How much longer a process rests between two looks at another one's journal than a look takes."""


_LOOK_EVERY = 0.1
"""Seconds between looks whether another process has read the list of its campaign."""


_LEAVING = 2 * GRACE_PERIOD
"""Seconds that campaigns have to end after a stop: the grace period, and as long for their journals."""


_logger = logging.getLogger("gateway_sms_async")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStatus:
    """The status of a campaign.

    - `running`: it sends, or waits to. If another process runs it, `reason` says so.
    - `complete`: all recipients are accepted, or left out for a reason that the receipt names.
    - `stopped`: because of `reason`. The next start resumes it, unless a resume cannot change
      anything for the recipients that are left.

    `progress` holds the latest counts.
    """

    state: Literal["running", "complete", "stopped"] = "running"
    reason: str | None = None
    progress: Progress = field(default_factory=Progress)

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON, without any phone number."""
        return asdict(self)


class CampaignOptions(TypedDict, total=False):
    """The keywords of a campaign; see `GatewayClient.send_bulk`."""

    priority: float | Decimal | None
    options: Options | None
    test: bool
    batch_size: int
    concurrency: int | None
    recipients_per_message: int
    careful: bool
    verify: Literal["auto", "always"]
    total: int | None
    default_region: str | None
    strict_numbers: bool
    allow_missing_fields: bool
    exclude: Iterable[str] | None
    max_cost: Decimal | float | str | None
    max_recipients: int | None
    shards: int


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
    shards of one campaign side by side.

    Several processes may share a folder. The one that starts a campaign runs it. In the others it
    is `running` with the reason that another process uses its journal, and with the progress that
    the journal shows. When that process leaves or is killed, one of the others resumes the campaign
    within a few seconds. A campaign that another process starts is known within a second.
    """

    def __init__(
        self, gateway: GatewayClient, folder: str | PathLike[str] | PostgresJournals
    ) -> None:
        self._gateway = gateway
        self._shelf = shelf_of(folder)
        self._stop = asyncio.Event()
        self._status: dict[str, CampaignStatus] = {}
        self._tasks: dict[str, asyncio.Task[BaseException | None]] = {}
        self._watch: asyncio.Task[None] | None = None

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
        64 letters, digits, "-" or "_"; a GatewayError if the journal cannot be kept: then nothing
        was sent.
        """
        if not _NAME.fullmatch(name):
            raise ValueError('the name of a campaign is 1 to 64 letters, digits, "-" or "_"')
        if self._is_running(name):
            return False
        if await self._shelf.exists(name):
            self._take_up(name)
            return False
        if self._is_running(name):
            return False  # another call of this process has begun it meanwhile
        if isinstance(recipients, Sized):
            keywords.setdefault("total", len(recipients))
        sending = self._gateway.send_bulk(
            recipients,
            sender=sender,
            body=body,
            journal=self._shelf.place(name),
            on_progress=partial(self._report, name),
            stop=self._stop,
            **keywords,
        )
        task = self._run(name, sending)
        begun = self._status[name]
        # It may be another process's journal. Only a campaign that has a journal of its own reports
        # progress, and so changes its status.
        while not task.done() and not (
            self._status.get(name) is not begun and await self._is_kept(name)
        ):
            await asyncio.wait([task], timeout=self._shelf.check_every)
        return True if not task.done() else await self._is_begun_here(name, task)

    def status(self, name: str) -> CampaignStatus | None:
        """Return the status of a campaign; None if there is none of this name.

        The first status of a campaign that another process has just started may have no counts yet.
        """
        if self._watch is not None and _NAME.fullmatch(name) and self._shelf.is_seen(name):
            self._take_up(name)
        return self._status.get(name)

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

    def _is_running(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def _run(
        self, name: str, sending: Coroutine[Any, Any, Receipt]
    ) -> asyncio.Task[BaseException | None]:
        """Run a campaign in a task, which returns the error that it failed with, or None."""
        self._status[name] = CampaignStatus()

        async def run() -> BaseException | None:
            try:
                receipt = await sending
            except BulkSendError as error:
                self._end(name, "stopped", error.reason, error.receipt)
                return error
            except Exception as error:
                if not isinstance(error, GatewayError | ValueError | TypeError):
                    _logger.exception("campaign %s", name)
                self._end(name, "stopped", str(error))
                return error
            except asyncio.CancelledError:
                self._end(name, "stopped", "cancelled")
                raise
            except BaseException as error:
                _logger.exception("campaign %s", name)
                self._end(name, "stopped", f"{type(error).__name__} was raised")
                raise
            else:
                if receipt.complete:
                    self._end(name, "complete", None, receipt)
                else:
                    # It ended in an earlier process, and another resume would change nothing.
                    self._end(name, "stopped", shortfall(receipt), receipt)
                return None
            finally:
                await self._forget_unpublished(name)

        task = self._tasks[name] = asyncio.create_task(run())
        return task

    async def _is_begun_here(self, name: str, task: asyncio.Task[BaseException | None]) -> bool:
        """Return whether a campaign that has ended was this process's; raise why there is none."""
        failure = GatewayError("it was cancelled") if task.cancelled() else task.result()
        if isinstance(failure, JournalLockedError):
            while await self._shelf.is_being_read(name):
                if await self._stopped_within(_LOOK_EVERY):
                    break
        if isinstance(failure, BulkSendError) and failure.resumable:
            return True  # also if the shelf cannot be looked at any more
        if failure is not None and not await self._is_kept(name):
            raise failure
        if not isinstance(failure, JournalError):
            return True
        # Another process was first, so this one could not create its journal.
        if not self._is_running(name):
            self._run(name, self._resume(name))
        return False

    async def _is_kept(self, name: str) -> bool:
        """Whether a journal has the whole list of a campaign; False if that cannot be known now."""
        try:
            return await self._shelf.exists(name)
        except JournalError:
            return False

    def _take_up(self, name: str) -> None:
        """Resume a campaign of another process as soon as that is gone, unless it is known here."""
        if name not in self._status and not self._stop.is_set():
            self._run(name, self._resume(name))

    async def _take_up_all(self) -> None:
        """Take up what is new, and free the names whose journal was purged."""
        found = await self._shelf.names()
        for name in set(self._status).difference(found):
            if not self._is_running(name):
                del self._status[name]
        for name in found:
            self._take_up(name)

    async def _look_for_others(self) -> None:
        """Take up what other processes start."""
        while not await self._stopped_within(_RETRY_EVERY):
            with suppress(OSError, JournalError):
                await self._take_up_all()

    async def _resume(self, name: str) -> Receipt:
        """Resume a campaign as soon as no other process has locked its journal."""
        self._shelf.check_owner(name)
        while True:
            try:
                return await self._gateway.resume_bulk(
                    self._shelf.place(name),
                    on_progress=partial(self._report, name),
                    stop=self._stop,
                )
            except JournalLockedError as error:
                locked = error
            clock = asyncio.get_running_loop().time
            started = clock()
            await self._show_elsewhere(name, str(locked))
            # To read a thousand shards takes seconds: it is done all the more rarely.
            if await self._stopped_within(max(_RETRY_EVERY, _REST * (clock() - started))):
                raise locked

    async def _show_elsewhere(self, name: str, reason: str) -> None:
        """Show the progress of a campaign that another process runs, as its journal has it."""
        progress = self._status[name].progress
        with suppress(JournalError):
            progress = await read_progress(self._shelf.place(name))
        self._status[name] = CampaignStatus(reason=reason, progress=progress)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        return self._stop.is_set()

    async def _forget_unpublished(self, name: str) -> None:
        """Free the name of a campaign that cannot be resumed, because it has no journal."""
        with suppress(JournalError):
            if not await self._shelf.exists(name):
                self._status.pop(name, None)

    def _report(self, name: str, progress: Progress) -> None:
        self._status[name] = CampaignStatus(progress=progress)

    def _end(
        self,
        name: str,
        state: Literal["complete", "stopped"],
        reason: str | None,
        receipt: Receipt | None = None,
    ) -> None:
        progress = self._status[name].progress
        if receipt is not None:  # a campaign that was complete before has reported no progress
            progress = replace(
                progress,
                total=receipt.total if progress.total is None else progress.total,
                read=receipt.total,
                accepted=receipt.accepted,
                invalid=len(receipt.invalid),
                duplicates=receipt.duplicates,
                unknown=len(receipt.unknown),
                unsent=len(receipt.unsent),
            )
        self._status[name] = CampaignStatus(state=state, reason=reason, progress=progress)
