"""Plays one schedule from its first life to its last, and judges what it came to.

`run(schedule)` plays it in virtual time against the simulator over a real Unix socket. The same
schedule is the same trace on the wire each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import gc
import hashlib
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    GatewayError,
    JournalError,
    Progress,
    Receipt,
    RetryPolicy,
    read_journal,
)
from gateway_sms_async.testing import Dialect, Simulator
from tests.support.virtual_time import DeadlockError, EndlessError, ReplayLoop

from .faults import Line, Weather
from .hooks import EPOCH, hooked
from .matrix import Cell, may_block, may_stop
from .oracle import Judge
from .plan import End, Schedule
from .process import Cable, Life
from .wire_rules import WireJudge

_NUMBERS = re.compile(r"[0-9a-f]{24}|[0-9]+")
_CANCEL_WITHIN = 5.1
_LONGEST = 3600.0 * 24
_MOST_ROUNDS = 400_000


@dataclass
class Outcome:
    """What a run came to. `wrong` is empty, or says what is."""

    schedule: Schedule
    receipts: list[tuple[str, Receipt]] = field(default_factory=list)
    ledger: Counter[str] = field(default_factory=Counter)
    trace: list[Line] = field(default_factory=list)
    cells: Counter[Cell] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    rounds: int = 0
    wrong: list[str] = field(default_factory=list)

    def digest(self) -> str:
        """Return a fingerprint of the trace and the receipts."""
        receipts = [
            (label, dataclasses.replace(one, elapsed=0, message_ids=(), open_message_ids=()))
            for label, one in self.receipts
        ]
        text = repr((self.trace, [(label, one.to_dict()) for label, one in receipts]))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Run:
    """One schedule while it is played."""

    def __init__(self, schedule: Schedule, loop: ReplayLoop, room: Path) -> None:
        self.schedule = schedule
        self.loop = loop
        self.outcome = Outcome(schedule)
        self._room = room
        self._journal = room / "0" / "campaign.db"
        self._judge = Judge(schedule)
        self._weather = Weather(schedule, loop)
        self._simulator: Any = None
        self._life: Life | None = None

    # The hooks, called from inside the library

    def passing(self, what: str, side: str) -> None:
        """Take note of a request that leaves, or of a commit of the journal."""
        if self._life is not None:
            self._life.passing(what, side)

    # From here on, the campaign

    async def play(self) -> None:
        schedule = self.schedule
        self._simulator = Simulator(
            path=self._room / "s",
            dialect=Dialect(**dict(schedule.dialect)),
            clock=lambda: EPOCH + self.loop.time(),
        )
        async with self._simulator as simulator:
            simulator.faults.plan = self._weather.fault
            simulator.delay = self._weather.delay
            simulator.gateway.unroutable = set(schedule.unroutable)
            self._listen_to(simulator)
            last = await self._play_lives()
            simulator.land_late()
            self._judge_now("at the very end", last)
            self._judge_liveness(last)
            await asyncio.sleep(0)
        self._finish()

    def _listen_to(self, simulator: Simulator) -> None:
        """Take note of what the gateway answers, also where that is kept from the client."""
        carry = simulator._dispatcher.dispatch

        def carrying(arrival: Any, fault: Any) -> Any:
            answer, spoilt = carry(arrival, fault)
            self._weather.carried(arrival.record, answer.status, answer.body, spoilt)
            return answer, spoilt

        simulator._dispatcher.dispatch = carrying  # type: ignore[method-assign]

    async def _play_lives(self) -> Receipt | None:
        lives = list(self.schedule.lives)
        if self.schedule.journal:
            lives.append(None)
        receipt: Receipt | None = None
        for number, end in enumerate(lives):
            self._weather.life = number
            self._weather.fair = number > 0 and number == len(lives) - 1
            receipt, done = await self._live(number, end)
            if done or not (self.schedule.journal):
                break
        if receipt is not None and self.schedule.journal and done:
            await self._resume_what_is_done(receipt)
        return receipt

    async def _live(self, number: int, end: End | None) -> tuple[Receipt | None, bool]:
        """Play one life; return its receipt if there is one, and whether it came to its end."""
        gateway, cable = self._make_client()
        life = self._life = Life(
            end,
            loop=self.loop,
            gateway=gateway,
            cable=cable,
            journal=self._journal,
            events=self.outcome.events,
        )
        before = len(self._simulator.requests)
        await gateway.open()
        receipt: Receipt | None = None
        done = False
        try:
            task = asyncio.ensure_future(life.guard(lambda: self._campaign(gateway, life)))
            life.begin(task)
            await asyncio.wait([task], timeout=_LONGEST)
            if not task.done():
                self._say(number, "did not end within a day")
                task.cancel()
                await asyncio.wait([task])
            receipt, done = self._read_result(number, life, task)
            if life.cancels and self.loop.time() - life.struck_at > _CANCEL_WITHIN:
                self._say(number, f"took {self.loop.time() - life.struck_at} s to be cancelled")
        finally:
            self._life = None
            life.finish()
            await gateway.aclose()
        if life.killed:
            # The dead tell nothing: what is left is the copy of the journal.
            self._journal = life.journal
            receipt, done = None, False
        requests = len(self._simulator.requests) - before
        if requests > self._most_requests():
            self._say(number, f"{requests} requests")
        self._judge_now(f"after life {number}", receipt)
        if self.schedule.journal:
            written = await self._judge_journal(number)
            receipt = receipt or written
        elif receipt is None and not life.killed:
            self._judge_progress(number, life)
        return receipt, done

    def _make_client(self) -> tuple[GatewayClient, Cable]:
        schedule = self.schedule
        cable = Cable(str(self._room / "s"))
        gateway = GatewayClient(
            self._simulator.token,
            base_url=self._simulator.url,
            connector=lambda: cable,
            rate=schedule.rate,
            concurrency=schedule.concurrency,
            timeout=schedule.timeout,
            retry=RetryPolicy(max_attempts=schedule.max_attempts, max_elapsed=schedule.max_elapsed),
        )
        return gateway, cable

    async def _campaign(self, gateway: Any, life: Life) -> Receipt:
        schedule = self.schedule
        if self._resumes:
            self.outcome.events["resumed"] += 1
            return await gateway.resume_bulk(
                self._journal, on_progress=life.told.append, stop=life.stop
            )
        if schedule.journal:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
        return await gateway.send_bulk(
            self._source(),
            sender="ACME",
            body=schedule.body,
            on_progress=life.told.append,
            stop=life.stop,
            batch_size=schedule.batch_size,
            recipients_per_message=schedule.recipients_per_message,
            allow_missing_fields=schedule.allow_missing_fields,
            careful=schedule.mode == "careful",
            verify="always" if schedule.mode == "verify" else "auto",
            journal=self._journal if schedule.journal else None,
        )

    def _source(self) -> Any:
        values = [item.value() for item in self.schedule.source]
        if not self.schedule.asynchronous:
            return iter(values)

        async def source() -> AsyncIterator[Any]:
            for value in values:
                await asyncio.sleep(self.schedule.pace)
                yield value

        return source()

    @property
    def _resumes(self) -> bool:
        return self.schedule.journal and self._journal.exists()

    def _read_result(
        self, number: int, life: Life, task: asyncio.Task[Receipt]
    ) -> tuple[Receipt | None, bool]:
        if task.cancelled():
            if not (life.cancels or life.killed):
                self._say(number, "was cancelled by nobody")
            return None, False
        error = task.exception()
        if error is None:
            return task.result(), True
        if isinstance(error, BulkSendError):
            self.outcome.events[f"ended: {_NUMBERS.sub('#', error.reason)[:60]}"] += 1
            return error.receipt, False
        allowed = isinstance(error, TimeoutError) and life.cancels
        allowed = allowed or (isinstance(error, JournalError) and life.fails)
        # Closed before it was even called.
        allowed = allowed or (isinstance(error, RuntimeError) and life.too_late)
        allowed = allowed or life.killed
        if not allowed:
            self._say(number, f"raised {type(error).__name__}: {error}")
        return None, False

    async def _judge_journal(self, number: int) -> Receipt | None:
        """Read the receipt that the journal has, and hold it to the same."""
        if not self._journal.exists():
            if self._simulator.requests:
                self._say(number, "sent something, and left no journal")
            return None
        try:
            written = await read_journal(self._journal)
        except GatewayError as error:
            self._say(number, f"the journal cannot be read: {type(error).__name__}: {error}")
            return None
        self._judge_now(f"the journal after life {number}", written)
        return written

    async def _resume_what_is_done(self, receipt: Receipt) -> None:
        before = len(self._simulator.requests)
        gateway, _ = self._make_client()
        again: Receipt | None = None
        async with gateway:
            with contextlib.suppress(GatewayError):
                again = await gateway.resume_bulk(self._journal)
        if len(self._simulator.requests) != before:
            self.outcome.wrong.append("a finished journal was resumed, and sent requests")
        if again is None or again.to_dict() != receipt.to_dict():
            self.outcome.wrong.append("a finished journal was resumed to another receipt")

    # The verdict

    def _say(self, number: int, words: str) -> None:
        self.outcome.wrong.append(f"life {number}: {words}")

    def _judge_now(self, label: str, receipt: Receipt | None) -> None:
        cells = self._weather.cells
        self._judge.repeated |= any(name == "repeat" for _, name, _ in cells)
        ledger = self._simulator.ledger
        wrong = self._judge.doubles(ledger, None)
        if receipt is not None:
            self.outcome.receipts.append((label, receipt))
            wrong = self._judge.check(receipt, ledger)
        self.outcome.wrong += [f"{label}: {words}" for words in wrong]

    def _judge_progress(self, number: int, life: Life) -> None:
        """Nobody has a receipt, but the last report of progress was made on the way out."""
        if not life.told:
            return
        told: Progress = life.told[-1]
        texted = len(self._simulator.ledger)
        if not told.accepted <= texted <= told.accepted + told.unknown:
            self._say(number, f"{texted} were texted, but the last report was {told}")
        parts = told.accepted + told.invalid + told.duplicates + told.unknown + told.unsent
        if parts != told.read:
            self._say(number, f"the parts of {told} add up to {parts}")

    def _judge_liveness(self, receipt: Receipt | None) -> None:
        """Without faults, in a sane dialect and with nobody unknown, it must come to its end."""
        schedule = self.schedule
        journal = schedule.journal
        quiet = not self._weather.cells and schedule.lives == (None,)
        quiet = quiet and schedule.delay < schedule.timeout
        blocked = may_block(
            dict(schedule.dialect),
            verify=schedule.mode == "verify",
            unroutable=bool(schedule.unroutable),
            with_fields="{{" in schedule.body,
            patience=schedule.max_elapsed,
        )
        if schedule.cell is not None and not may_stop(schedule.cell):
            quiet = True
        # Ten rounds are what is promised: whoever is missing then is unsent for good.
        out_of_rounds = any("rounds" in event for event in self.outcome.events)
        if blocked or out_of_rounds or not (journal or quiet):
            return
        if receipt is None or not (receipt.complete or receipt.unknown or receipt.doubled):
            self.outcome.wrong.append(f"did not come to its end: {receipt}")
        elif quiet and not receipt.complete:
            self.outcome.wrong.append(f"nothing was in its way, and still: {receipt}")

    def _most_requests(self) -> int:
        schedule = self.schedule
        batches = len(schedule.source) // min(schedule.batch_size, schedule.recipients_per_message)
        return 150 + 40 * (batches + 2)

    def _finish(self) -> None:
        outcome = self.outcome
        outcome.ledger = self._simulator.ledger
        outcome.trace = self._weather.trace()
        outcome.cells = self._weather.cells
        outcome.rounds = self.loop.rounds
        called_closed = {one for _, receipt in outcome.receipts for one in receipt.message_ids}
        outcome.wrong += WireJudge().check(self._weather.notes, called_closed)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            outcome.wrong.append(f"left running: {sorted(map(repr, left))}")


@functools.cache
def _house() -> str | None:
    """Return where rooms are made, for a socket and journals each: in memory, if that can be had."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) else None


def run(schedule: Schedule) -> Outcome:
    """Play a schedule in a fresh loop, and judge it."""
    room = Path(tempfile.mkdtemp(prefix="schedule-", dir=_house()))
    loop = ReplayLoop(most_rounds=_MOST_ROUNDS, executor_rounds=schedule.journal_rounds)
    complaints: list[str] = []
    loop.set_exception_handler(lambda _, context: complaints.append(_complaint(context)))
    playing = Run(schedule, loop, room)
    state = random.getstate()
    random.seed(schedule.seed)
    collects = gc.isenabled()
    gc.disable()
    try:
        with hooked(loop, playing.passing):
            loop.run_until_complete(playing.play())
    except Exception as error:
        word = "hung" if isinstance(error, EndlessError | DeadlockError) else "broke"
        playing.outcome.wrong.append(f"{word}: {type(error).__name__}: {error}")
        playing.outcome.trace = playing._weather.trace()
        _abandon(loop)
    finally:
        loop.close()
        random.setstate(state)
        shutil.rmtree(room, ignore_errors=True)
        if collects:
            gc.enable()
    playing.outcome.wrong += [f"the loop: {words}" for words in complaints]
    return playing.outcome


def _abandon(loop: ReplayLoop) -> None:
    """End what a run that went wrong has left."""
    with contextlib.suppress(Exception):
        for _ in range(3):
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))


def _complaint(context: Mapping[str, Any]) -> str:
    return f"{context.get('message')}: {context.get('exception')!r}"
