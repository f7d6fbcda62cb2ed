"""Campaigns in the background of a service or bot: one journal each, gone on with at every start.

Users enter. What is sent, and how often, is the client's business; in here are the tasks.
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
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, Unpack

from ._client import GatewayClient
from ._messages.draft import Options
from ._receipt import Progress, Receipt
from ._recipients.recipient import Recipients
from ._transaction.results import shortfall
from .errors import BulkSendError, GatewayError, JournalError, JournalLockedError

__all__ = ["CampaignOptions", "CampaignStatus", "Campaigns"]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


_LOOK_EVERY = 0.02


_TRY_EVERY = 1.0


_logger = logging.getLogger("gateway_sms_async")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignStatus:
    """How far a campaign is.

    `complete`: everyone is accepted, or left out for a reason that its receipt names. `stopped`:
    by `reason`; the next start goes on with it, unless nothing can be done about who is left.
    """

    state: Literal["running", "complete", "stopped"] = "running"
    reason: str | None = None
    progress: Progress = field(default_factory=Progress)

    def to_dict(self) -> dict[str, object]:
        """Return plain types for JSON; no number is in it."""
        return asdict(self)


class CampaignOptions(TypedDict, total=False):
    """The keywords of a campaign, see `GatewayClient.send_bulk`."""

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


class Campaigns:
    """Campaigns that outlive the process; an async context manager, within that of its client.

    `folder` holds their journals, `NAME.db`, and is made if need be. Entering goes on with those
    that an earlier process has left; leaving stops what is running and waits until what is under
    way has landed. A journal stays when its campaign is complete, so that its name is not taken
    again by mistake: `purge_journal` deletes it. Of several processes with one folder, the first
    has a journal; in the others its campaign is `stopped` by that, until the first one lets go of
    it: then another goes on with it.
    """

    def __init__(self, gateway: GatewayClient, folder: str | PathLike[str]) -> None:
        self._gateway = gateway
        self._folder = Path(folder)
        self._stop = asyncio.Event()
        self._status: dict[str, CampaignStatus] = {}
        self._tasks: dict[str, asyncio.Task[BaseException | None]] = {}

    async def start(
        self,
        name: str,
        recipients: Recipients,
        *,
        sender: str,
        body: str,
        **keywords: Unpack[CampaignOptions],
    ) -> bool:
        """Begin a campaign, whose keywords are those of `GatewayClient.send_bulk`.

        Returns True when the whole list is in the journal: from then on nobody is forgotten,
        whatever happens to this process. Returns False, and begins nothing, when a campaign has
        this name: asking twice sends once. A call that is cancelled leaves its campaign to go on.
        Raises ValueError or TypeError for what `send_bulk` refuses and for a name that is not 1 to
        64 letters, digits, "-" or "_"; a GatewayError when the campaign cannot be kept: nothing
        was sent then.
        """
        if not _NAME.fullmatch(name):
            raise ValueError('the name of a campaign is 1 to 64 letters, digits, "-" or "_"')
        journal = self._folder / f"{name}.db"
        if self._is_running(name) or journal.exists():
            return False
        if isinstance(recipients, Sized):
            keywords.setdefault("total", len(recipients))
        sending = self._gateway.send_bulk(
            recipients,
            sender=sender,
            body=body,
            journal=journal,
            on_progress=partial(self._report, name),
            stop=self._stop,
            **keywords,
        )
        task = self._run(name, journal, sending)
        begun = self._status[name]
        # Another process may put a journal of this name there. Only who has one of his own reports.
        while not task.done() and not (self._status[name] is not begun and journal.exists()):
            await asyncio.wait([task], timeout=_LOOK_EVERY)
        if not task.done():
            return True
        failure = GatewayError("it was cancelled") if task.cancelled() else task.result()
        if failure is not None and not journal.exists():
            raise failure
        if isinstance(failure, JournalError):
            # Another process was first: this one could not even begin its journal.
            self._run(name, journal, self._resume(name, journal))
            return False
        return True

    def status(self, name: str) -> CampaignStatus | None:
        """Return how far a campaign is; None when there is none of this name."""
        return self._status.get(name)

    async def __aenter__(self) -> Self:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for journal in sorted(self._folder.glob("*.db")):
            name = journal.stem
            self._run(name, journal, self._resume(name, journal))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def __repr__(self) -> str:
        return (
            f"Campaigns({str(self._folder)!r}, {sum(map(self._is_running, self._tasks))} running)"
        )

    def _is_running(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def _run(
        self, name: str, journal: Path, sending: Coroutine[Any, Any, Receipt]
    ) -> asyncio.Task[BaseException | None]:
        """Run a campaign in a task that returns what it failed with."""
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
            except BaseException:
                self._end(name, "stopped", "cancelled")
                raise
            else:
                if receipt.complete:
                    self._end(name, "complete", None, receipt)
                else:
                    # It was over in an earlier process: no other try would change anything.
                    self._end(name, "stopped", shortfall(receipt), receipt)
                return None
            finally:
                self._forget_unkept(name, journal)

        task = self._tasks[name] = asyncio.create_task(run())
        return task

    async def _resume(self, name: str, journal: Path) -> Receipt:
        """Go on with a campaign, as soon as no other process has its journal."""
        while True:
            try:
                return await self._gateway.resume_bulk(
                    journal, on_progress=partial(self._report, name), stop=self._stop
                )
            except JournalLockedError as error:
                locked = error
            self._end(name, "stopped", str(locked))
            with suppress(TimeoutError):
                async with asyncio.timeout(_TRY_EVERY):
                    await self._stop.wait()
            if self._stop.is_set():
                raise locked

    def _forget_unkept(self, name: str, journal: Path) -> None:
        """Free the name of a campaign that nobody can go on with."""
        if not journal.exists():
            del self._status[name]

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
        if receipt is not None:  # a campaign that was complete before has reported nothing
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
