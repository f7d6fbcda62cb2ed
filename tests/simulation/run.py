"""Runs one schedule from its first process to its last, and checks the result.

`run(schedule)` runs it in virtual time against the simulator over a real Unix socket. The same
schedule gives the same trace on the wire each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import hashlib
import logging
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    GatewayError,
    JournalError,
    Receipt,
    RetryPolicy,
    read_journal,
)
from gateway_sms_async.testing import Dialect, Simulator
from tests.support.virtual_time import DeadlockError, EndlessError, ReplayLoop

from .completion import check_completion, check_progress, most_requests
from .faults import FaultInjector, Line
from .guard import message_in
from .hooks import EPOCH, hooked
from .matrix import Cell
from .oracle import Oracle, key_of
from .outsider import interfere
from .plan import LIFTED, Interruption, Schedule
from .process import CampaignProcess, CuttableConnector, InterruptError
from .sends import SendsRun
from .stores import new_store
from .wire_rules import WireRules

logging.getLogger("gateway_sms_async").addHandler(logging.NullHandler())
_NUMBERS = re.compile(r"[0-9a-f]{24}|[0-9]+")
_IDS = re.compile(r"[0-9a-f]{24}")
_CANCEL_WITHIN = 5.1
# A source that swallows every cancellation is left running after half a second of them.
_CANCEL_STUBBORN_WITHIN = 6.1
_STOP_WITHIN = 6.1
_LONGEST = 3600.0 * 24
_CEILINGS_AT_RESUME = "max_recipients" in signature(GatewayClient.resume_bulk).parameters
_SAYS_EXHAUSTED = hasattr(Receipt(), "source_exhausted")
_MOST_ROUNDS = 400_000


@dataclass
class Outcome:
    """The result of a run. `wrong` lists what is wrong, and is empty if nothing is."""

    schedule: Schedule
    receipts: list[tuple[str, Receipt]] = field(default_factory=list)
    ledger: Counter[str] = field(default_factory=Counter)
    trace: list[Line] = field(default_factory=list)
    cells: Counter[Cell] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    lines: list[str] = field(default_factory=list)
    """The results of single sends."""
    wrong: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Return a fingerprint of the trace and the receipts."""
        receipts = [
            (label, dataclasses.replace(one, elapsed=0, message_ids=(), open_message_ids=()))
            for label, one in self.receipts
        ]
        text = repr((self.trace, [(label, one.to_dict()) for label, one in receipts]))
        text += "".join(map(functools.partial(_IDS.sub, "#"), self.lines))
        # Fingerprints stay comparable with those of earlier versions, which said "life".
        text = text.replace("process=", "life=").replace("after process", "after life")
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Run:
    """One schedule while it runs."""

    def __init__(self, schedule: Schedule, loop: ReplayLoop, folder: Path) -> None:
        self.schedule = schedule
        self.loop = loop
        self.outcome = Outcome(schedule)
        self._folder = folder
        self._journal = new_store(folder)
        self._oracle = Oracle(schedule)
        self._injector = FaultInjector(schedule, loop)
        self._simulator: Any = None
        self._process: CampaignProcess | None = None
        self._shown_closed: dict[tuple[int, str], float] = {}
        self._over: set[int] = set()
        self._last = False
        self._read_to_end = False
        self._released = False
        self._was_raised = False

    def close(self) -> None:
        """Delete the journal."""
        self._journal.close()

    # The hook, called from inside the library

    def passing(self, what: str, side: str) -> None:
        """Pass on a request that leaves, or a commit of the journal."""
        if side == "over":
            self._over.add(self._injector.process)
        elif side == "shown closed" and self._injector.process not in self._over:
            self._shown_closed[self._injector.process, message_in(what)] = self.loop.time()
        elif self._process is not None:
            self._process.passing(what, side)

    # The campaign

    async def execute(self) -> None:
        schedule = self.schedule
        self._simulator = Simulator(
            path=self._folder / "s",
            dialect=Dialect(**dict(schedule.dialect)),
            price=schedule.price,
            clock=lambda: EPOCH + self.loop.time(),
        )
        async with self._simulator as simulator:
            simulator.faults.plan = self._injector.fault
            simulator.delay = self._injector.delay
            simulator.gateway.unroutable = set(schedule.unroutable)
            self._injector.guard.simulator = simulator
            self._record_responses(simulator)
            if schedule.sends:
                await self._run_sends(simulator)
                return
            last = await self._run_processes()
            simulator.land_late()
            self._check_receipt("at the very end", last)
            # A resume that is the first to see such a message stops, and the next one goes on.
            if not self._closed_unseen():
                self.outcome.wrong += check_completion(
                    schedule,
                    last,
                    cells=self._injector.cells,
                    events=self.outcome.events,
                    lifted=self._was_raised and schedule.raised == LIFTED,
                )
            await asyncio.sleep(0)
            if schedule.stubborn:
                self._released = True
                await asyncio.sleep(schedule.pace + 1)
        self._finish()

    async def _run_sends(self, simulator: Simulator) -> None:
        sends = SendsRun(self.schedule, self.loop)
        count = 1 + max(one.client for one in self.schedule.sends)
        await sends.execute([self._make_client()[0] for _ in range(count)])
        simulator.land_late()
        self.outcome.wrong += sends.check(simulator)
        self.outcome.ledger = simulator.ledger
        self.outcome.trace = self._injector.trace()
        self.outcome.cells = self._injector.cells
        self.outcome.rounds = self.loop.rounds
        self.outcome.events["sends"] += len(sends.results)
        self.outcome.lines = list(map(str, sends.results))

    def _record_responses(self, simulator: Simulator) -> None:
        """Record the gateway's responses, also those that the client does not receive."""
        dispatch = simulator._dispatcher.dispatch

        def recording(arrival: Any, fault: Any) -> Any:
            if fault is not None and not self._injector.still_allows(fault, arrival.record):
                fault = None
            response, remaining_fault = dispatch(arrival, fault)
            own, lost = response, remaining_fault
            if fault is not None and fault.kind == "mixed_up":
                own, lost = simulator._dispatcher._answers[arrival.target.operation], fault
            self._injector.record_response(arrival.record, own.status, own.body, lost)
            return response, remaining_fault

        simulator._dispatcher.dispatch = recording  # type: ignore[method-assign]

    async def _run_processes(self) -> Receipt | None:
        processes = list(self.schedule.processes)
        if self.schedule.journal:
            processes.append(None)
        receipt: Receipt | None = None
        for number, end in enumerate(processes):
            self._last = number > 0 and number == len(processes) - 1
            self._injector.process = number
            self._injector.land_copies()
            self._injector.faultless = self._last
            self._injector.guard.interruptible = end is not None
            self._injector.guard.is_blind = not number and self.schedule.is_blind
            receipt, done = await self._run_process(number, end)
            if done or not (self.schedule.journal):
                break
        if receipt is not None and self.schedule.journal and done:
            await self._resume_finished(receipt)
        return receipt

    async def _run_process(
        self, number: int, end: Interruption | None
    ) -> tuple[Receipt | None, bool]:
        """Run one process. Return its receipt or None, and whether the campaign is done."""
        gateway, connector = self._make_client()
        process = self._process = CampaignProcess(
            end,
            loop=self.loop,
            gateway=gateway,
            connector=connector,
            journal=self._journal,
            events=self.outcome.events,
        )
        before = len(self._simulator.requests)
        await gateway.open()
        receipt: Receipt | None = None
        done = False
        try:
            task = asyncio.ensure_future(process.guard(lambda: self._campaign(gateway, process)))
            process.begin(task)
            outside = self._start_outsider(number, gateway, task)
            await asyncio.wait([task], timeout=_LONGEST)
            if outside is not None:
                await asyncio.wait([outside])
            if not task.done():
                self._complain(number, "did not end within a day")
                task.cancel()
                await asyncio.wait([task])
            receipt, done = self._read_result(number, process, task)
            within = _CANCEL_STUBBORN_WITHIN if self.schedule.stubborn else _CANCEL_WITHIN
            if process.cancels and self.loop.time() - process.interrupted_at > within:
                self._complain(
                    number, f"took {self.loop.time() - process.interrupted_at} s to be cancelled"
                )
            self._check_source(number, process, receipt, task)
        finally:
            self._process = None
            process.finish()
            await gateway.aclose()
        if process.killed:
            # A killed process returns nothing: only the copy of its journal remains.
            receipt, done = None, False
        requests = len(self._simulator.requests) - before
        if requests > most_requests(self.schedule):
            self._complain(number, f"{requests} requests")
        self._check_receipt(f"after process {number}", receipt)
        if self.schedule.journal:
            written = await self._check_journal(number)
            receipt = receipt or written
        elif receipt is None and not (process.killed or process.raised or self._closed_unseen()):
            for last in process.reports[-1:]:
                for words in check_progress(last, len(self._simulator.ledger)):
                    self._complain(number, words)
        return receipt, done

    def _start_outsider(
        self, number: int, gateway: GatewayClient, campaign: asyncio.Task[Receipt]
    ) -> asyncio.Task[None] | None:
        outsider = self.schedule.outsider
        if outsider is None or number != outsider.process:
            return None
        task = asyncio.create_task(interfere(outsider, self._injector, self._simulator, gateway))
        campaign.add_done_callback(lambda _: task.cancel())
        return task

    def _make_client(self) -> tuple[GatewayClient, CuttableConnector]:
        schedule = self.schedule
        connector = CuttableConnector(str(self._folder / "s"))
        gateway = GatewayClient(
            self._simulator.token,
            base_url=self._simulator.url,
            connector=lambda: connector,
            rate=schedule.rate,
            concurrency=schedule.concurrency,
            timeout=schedule.timeout,
            retry=RetryPolicy(max_attempts=schedule.max_attempts, max_elapsed=schedule.max_elapsed),
        )
        return gateway, connector

    async def _campaign(self, gateway: Any, process: CampaignProcess) -> Receipt:
        schedule = self.schedule
        if self._resumes:
            self.outcome.events["resumed"] += 1
            return await gateway.resume_bulk(
                self._journal.place,
                on_progress=process.reports.append,
                stop=process.stop,
                **self._raised_ceiling(),
            )
        return await gateway.send_bulk(
            self._source(),
            sender="ACME",
            body=schedule.body,
            on_progress=process.reports.append,
            stop=process.stop,
            batch_size=schedule.batch_size,
            recipients_per_message=schedule.recipients_per_message,
            allow_missing_fields=schedule.allow_missing_fields,
            careful=schedule.mode == "careful",
            verify="always" if schedule.mode == "verify" else "auto",
            journal=self._journal.place if schedule.journal else None,
            max_recipients=schedule.ceiling and schedule.ceiling.recipients,
            max_cost=schedule.ceiling and schedule.ceiling.cost,
            **({"shards": schedule.shards} if schedule.shards > 1 else {}),
        )

    def _raised_ceiling(self) -> dict[str, Any]:
        """Return the ceilings that the last process is resumed with."""
        raised = self.schedule.raised if self._last and _CEILINGS_AT_RESUME else None
        if raised is None:
            return {}
        self._was_raised = True
        self._oracle.raise_ceiling(raised)
        return {"max_recipients": raised.recipients, "max_cost": raised.cost}

    def _source(self) -> Any:
        values = [item.value() for item in self.schedule.source]
        if not self.schedule.asynchronous:
            return values if self._sized else iter(values)

        async def source() -> AsyncIterator[Any]:
            for value in values:
                await self._wait_stubbornly()
                yield value
            self._read_to_end = True

        return source()

    @property
    def _sized(self) -> bool:
        """Whether the source is a list: that is read to its end whenever the campaign ends."""
        return not self.schedule.asynchronous and self.schedule.seed % 2 == 0

    async def _wait_stubbornly(self) -> None:
        """Wait for the next recipient; a stubborn source goes on waiting when it is cancelled."""
        swallows = {"": 0, "once": 1, "always": 1_000_000}[self.schedule.stubborn]
        ready = self.loop.time() + self.schedule.pace
        while True:
            try:
                await asyncio.sleep(max(0.0, ready - self.loop.time()))
                return
            except asyncio.CancelledError:
                if not swallows or self._released:
                    raise
                swallows -= 1
                self.outcome.events["swallowed a cancellation"] += 1

    @property
    def _resumes(self) -> bool:
        return self.schedule.journal and self._journal.exists

    def _read_result(
        self, number: int, process: CampaignProcess, task: asyncio.Task[Receipt]
    ) -> tuple[Receipt | None, bool]:
        if task.cancelled():
            if not (process.cancels or process.killed or process.raised):
                self._complain(number, "was cancelled without a reason")
            return None, False
        error = task.exception()
        if error is None:
            return task.result(), True
        if isinstance(error, BulkSendError):
            self.outcome.events[f"ended: {_NUMBERS.sub('#', error.reason)[:60]}"] += 1
            return error.receipt, False
        allowed = isinstance(error, TimeoutError) and process.cancels
        allowed = allowed or (isinstance(error, JournalError) and process.fails)
        # The client was closed before the campaign was called.
        allowed = allowed or (isinstance(error, RuntimeError) and process.closed_before_start)
        allowed = allowed or process.killed or process.raised
        if not allowed:
            self._complain(number, f"raised {type(error).__name__}: {error}")
        return None, False

    async def _check_journal(self, number: int) -> Receipt | None:
        """Check the receipt in the journal like the others, and return it."""
        if not self._journal.exists:
            if self._simulator.requests:
                self._complain(number, "sent requests, and left no journal")
            return None
        try:
            written = await read_journal(self._journal.place)
        except GatewayError as error:
            self._complain(number, f"the journal cannot be read: {type(error).__name__}: {error}")
            return None
        self._check_receipt(f"the journal after process {number}", written)
        return written

    async def _resume_finished(self, receipt: Receipt) -> None:
        before = len(self._simulator.requests)
        gateway, _ = self._make_client()
        again: Receipt | None = None
        async with gateway:
            with contextlib.suppress(GatewayError):
                again = await gateway.resume_bulk(self._journal.place)
        if len(self._simulator.requests) != before:
            self.outcome.wrong.append("a finished journal was resumed, and sent requests")
        if again is None or again.to_dict() != receipt.to_dict():
            self.outcome.wrong.append("a finished journal was resumed to another receipt")

    # The checks

    def _complain(self, number: int, words: str) -> None:
        self.outcome.wrong.append(f"process {number}: {words}")

    def _check_receipt(self, label: str, receipt: Receipt | None) -> None:
        cells = self._injector.cells
        self._oracle.repeated |= any(name in {"repeat", "repeat soon"} for _, name, _ in cells)
        ledger = self._simulator.ledger
        # Until a resume has looked, no client can know of it.
        late = set[str]() if self._last else self._injector.closed_late
        if self._injector.process in self._closed_unseen():
            late = late | self._injector.closed_by_others
        self._oracle.closed_late = {key_of(number) for number in late}
        self._oracle.closed_by_others |= bool(self._injector.closures)
        wrong = self._oracle.check_doubles(ledger, None)
        if receipt is not None:
            # In shards, the numbers are read from the journals, which are deleted at the end.
            kept = dataclasses.replace(
                receipt,
                doubled=tuple(receipt.doubled),
                unknown=tuple(receipt.unknown),
                unsent=tuple(receipt.unsent),
            )
            self.outcome.receipts.append((label, kept))
            wrong = self._oracle.check(receipt, ledger)
        self.outcome.wrong += [f"{label}: {words}" for words in wrong]

    def _closed_unseen(self) -> set[int]:
        """Return the processes that ended before the answer came that shows a message closed by others.

        An answer about a message that the process tried to close itself does not show that.
        """
        closes = {
            (record.process, record.message_id)
            for record in self._injector.records
            if record.request.operation == "close"
        }
        unseen: set[int] = set()
        for closure in self._injector.closures:
            process = closure.process
            shown = [
                self._shown_closed.get((process, message_id), -1.0)
                for message_id in closure.telling
                if not (closure.is_by_outsider and (process, message_id) in closes)
            ]
            if max(shown, default=-1.0) < closure.at:
                unseen.add(process)
        return unseen

    def _check_source(
        self,
        number: int,
        process: CampaignProcess,
        receipt: Receipt | None,
        task: asyncio.Task[Receipt],
    ) -> None:
        """Check that a source that can be read at once was, and that the receipt says so."""
        schedule = self.schedule
        stopped = process.interrupted_at and not process.cancels and not process.killed
        if stopped and self.loop.time() - process.interrupted_at > _STOP_WITHIN:
            took = self.loop.time() - process.interrupted_at
            self._complain(number, f"took {took} s to be stopped")
        if receipt is None or number or not _SAYS_EXHAUSTED:
            return
        exhausted = receipt.source_exhausted  # type: ignore[attr-defined]
        if schedule.asynchronous and exhausted and not self._read_to_end:
            self._complain(number, "says that the source was read to its end, which it was not")
        if exhausted and receipt.total != len(schedule.source):
            self._complain(number, f"read the source to its end, and found {receipt.total}")
        # In shards, nothing is kept of a list before all of it is.
        begun = schedule.shards == 1 or self._journal.exists
        if self._sized and not exhausted and begun and not process.fails:
            self._complain(number, "did not read the rest of a list")

    def _finish(self) -> None:
        outcome = self.outcome
        outcome.ledger = self._simulator.ledger
        outcome.trace = self._injector.trace()
        outcome.cells = self._injector.cells
        outcome.rounds = self.loop.rounds
        reported_closed = {one for _, receipt in outcome.receipts for one in receipt.message_ids}
        outcome.wrong += WireRules().check(self._injector.records, reported_closed)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            outcome.wrong.append(f"left running: {sorted(map(repr, left))}")


@functools.cache
def _parent_folder() -> str | None:
    """Return where folders for sockets and journals are made: in memory if possible, else None."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) else None


def run(schedule: Schedule) -> Outcome:
    """Run a schedule in a fresh loop, and check it."""
    folder = Path(tempfile.mkdtemp(prefix="schedule-", dir=_parent_folder()))
    loop = ReplayLoop(most_rounds=_MOST_ROUNDS, executor_rounds=schedule.journal_rounds)
    loop_errors: list[str] = []
    loop.set_exception_handler(
        lambda _, context: loop_errors.extend(_describe(context, outcome=current.outcome))
    )
    current = Run(schedule, loop, folder)
    state = random.getstate()
    random.seed(schedule.seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        with hooked(loop, current.passing):
            loop.run_until_complete(current.execute())
    except Exception as error:
        word = "hung" if isinstance(error, EndlessError | DeadlockError) else "broke"
        current.outcome.wrong.append(f"{word}: {type(error).__name__}: {error}")
        current.outcome.trace = current._injector.trace()
        _abandon(loop)
    finally:
        current.close()
        loop.close()
        random.setstate(state)
        shutil.rmtree(folder, ignore_errors=True)
        if collects:
            gc.enable()
    current.outcome.wrong += [f"the loop: {words}" for words in loop_errors]
    return current.outcome


def _abandon(loop: ReplayLoop) -> None:
    """Cancel the tasks that a failed run has left."""
    with contextlib.suppress(Exception):
        for _ in range(3):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))


def _describe(context: Mapping[str, Any], *, outcome: Outcome) -> Iterator[str]:
    """Yield what went wrong in the loop, unless it is what the schedule did to it.

    Tasks of a killed process go on, and have no connection to a database any more.
    """
    error = context.get("exception")
    cut_off = isinstance(error, JournalError) and outcome.events["killed"] > 0
    if not isinstance(error, InterruptError | MemoryError) and not cut_off:
        yield f"{context.get('message')}: {error!r}"
