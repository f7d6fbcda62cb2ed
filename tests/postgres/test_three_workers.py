"""Random schedules of three workers that are killed and paused, with a gateway that fails.

    GATEWAY_SMS_SCHEDULES=1000 pytest -m proof -rP tests/postgres/test_three_workers.py

Each seed draws the gateway's dialect and faults, the campaign, the leases, and what happens to which
worker when. Afterwards one process ends the campaign, and its receipt is compared with the ledger.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from psycopg import sql

from gateway_sms_async import (
    BulkSendError,
    Campaigns,
    GatewayClient,
    JournalCorruptError,
    JournalError,
    JournalLockedError,
    Receipt,
)
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Dialect, Fault, Simulator

from ..simulation.draw import draw
from ..support.accounting import check_ledger, numbers
from ..support.children.shard_worker import Worker, Workers
from ..support.policy import QUICK
from ..support.servers import PostgresServer

SCHEDULES = int(os.environ.get("GATEWAY_SMS_SCHEDULES", "24"))
FIRST = int(os.environ.get("GATEWAY_SMS_FIRST", "0"))
CHUNKS = 4 if SCHEDULES >= 4 else 1
pytestmark = [pytest.mark.proof, pytest.mark.timeout(120 + 20 * SCHEDULES)]

FAULTS = (
    Fault.reset,
    lambda: Fault.reset(after_apply=True),
    lambda: Fault.close(after_apply=True),
    lambda: Fault.late(0.1),
    lambda: Fault.late(0.6),
    Fault.lost,
    Fault.repeat,
    lambda: Fault.repeat(0.3),
    lambda: Fault.status(503),
    lambda: Fault.status(503, after_apply=True),
    lambda: Fault.truncate(after_apply=True),
)
OPERATIONS = ("open", "append", "append", "close", "close", "get", "list", "delete")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    running = Workers()
    yield running
    running.close()


class Schedule:
    """One campaign, three workers, and what happens to them."""

    def __init__(self, seed: int, server: PostgresServer, folder: Path) -> None:
        self.random = Random(f"three workers {seed}")
        self.schema = f"workers_{seed}"
        self._server = server
        self.log = folder / f"log of {seed}"
        self.killed = self.paused = 0
        self.complete = False
        self.repeats = False
        count = self.random.randint(8, 60)
        self.people = numbers(count)
        self.repeated = self.random.randint(0, 4)
        self.lease = self.random.choice((0.03, 0.1, 0.1, 0.4, 30.0))
        self.options: dict[str, Any] = {
            "shards": self.random.choice((1, 2, 3, 3, 6)),
            "batch_size": self.random.choice((1, 2, 3, 7)),
            "recipients_per_message": self.random.choice((2, 4, 9, 20_000)),
            "careful": self.random.random() < 0.2,
            "max_recipients": self.random.choice((None, None, None, count // 2 + 1)),
        }
        self.dialect = Dialect(**dict(draw(70_000_000 + seed).dialect))

    @property
    def journals(self) -> PostgresJournals:
        return PostgresJournals(self._server.url, schema=self.schema)

    def add_faults(self, simulator: Simulator) -> None:
        simulator.latency = self.random.choice((0.0, 0.01, 0.05))
        for _ in range(self.random.randint(0, 5)):
            fault, operation = self.random.choice(FAULTS)(), self.random.choice(OPERATIONS)
            simulator.faults.add(fault, on=operation, skip=self.random.randint(0, 6))
            self.repeats |= fault.kind == "repeat"

    async def run(self, simulator: Simulator, workers: Workers) -> None:
        """Let the workers work, and kill and pause them meanwhile."""
        worker = Worker(
            url=simulator.url,
            database=self._server.url,
            schema=self.schema,
            lease=self.lease,
            log=str(self.log),
            at_once=self.random.choice((1, 2)),
        )
        awake = [await workers.start(worker) for _ in range(3)]
        all_of_them = list(awake)
        asleep: list[int] = []
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while not simulator.requests:
                        await asyncio.sleep(0.005)
            for _ in range(self.random.randint(3, 12)):
                await asyncio.sleep(self.random.choice((0.0, 0.02, 0.05, 0.2)))
                at = self.random.randrange(3)
                event = self.random.choice(("kill", "pause", "pause", "wake"))
                if event == "wake":
                    if asleep:
                        _signal(asleep.pop(self.random.randrange(len(asleep))), signal.SIGCONT)
                    continue
                if event == "pause":
                    _signal(awake[at], signal.SIGSTOP)
                    asleep.append(awake[at])
                    self.paused += 1
                else:
                    _signal(awake[at], signal.SIGKILL)
                    self.killed += 1
                awake[at] = await workers.start(worker)
                all_of_them.append(awake[at])
            await asyncio.sleep(self.random.choice((0.0, 0.2, 0.5)))
            for one in asleep:
                _signal(one, signal.SIGCONT)
            # Those who were paused find that others have taken over.
            await asyncio.sleep(self.random.choice((0.0, 0.1, 0.2)))
        finally:
            for one in all_of_them:
                _signal(one, signal.SIGKILL)

    async def finish(self, simulator: Simulator) -> Receipt:
        """End the campaign in one process, as somebody does who comes back to it."""
        simulator.latency = 0.0
        simulator.faults.clear()
        journal = self.journals["spring"]
        async with GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway:
            for _ in range(200):
                await journal.go_on()
                try:
                    return await gateway.resume_bulk(journal)
                except JournalLockedError:
                    await asyncio.sleep(0.02)
                except BulkSendError as error:
                    limit = self.options["max_recipients"]
                    if not isinstance(error.__cause__, JournalError):
                        receipt = error.receipt
                        if limit is None or not error.resumable:
                            return receipt
                        self.options["max_recipients"] = None
                        self.check(receipt, simulator)
                        assert receipt.accepted <= limit
                        return await _without_limit(gateway, journal)
        raise AssertionError("it did not end")

    def check(self, receipt: Receipt, simulator: Simulator) -> None:
        """Compare a receipt with the ledger.

        Something between that repeats a batch after the last look doubles it, whatever a client does:
        then the receipt names those recipients.
        """
        doubled = {number for number, times in simulator.ledger.items() if times > 1}
        assert doubled == set(receipt.doubled)
        assert not doubled or self.repeats
        once = {one: times for one, times in simulator.ledger.items() if one not in doubled}
        check_ledger(receipt, once, set(self.people) - doubled)

    def drop(self) -> None:
        """Leave nothing in the database, also of the workers that were killed just now."""
        statement = sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(self.schema))
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            while True:
                with suppress(psycopg.errors.DeadlockDetected):
                    connection.execute(statement)
                    return


async def _without_limit(gateway: GatewayClient, journal: Any) -> Receipt:
    try:
        return await gateway.resume_bulk(journal, max_recipients=10_000)
    except BulkSendError as error:
        return error.receipt


def _signal(process: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(process, number)


async def judge(seed: int, server: PostgresServer, workers: Workers, folder: Path) -> Schedule:
    """Run a schedule; raise AssertionError if a recipient is not where the receipt says."""
    schedule = Schedule(seed, server, folder)
    async with Simulator(dialect=schedule.dialect) as simulator:
        await schedule.journals.install()
        async with (
            GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway,
            Campaigns(gateway, schedule.journals, run=False) as campaigns,
        ):
            people = [*schedule.people, *schedule.people[: schedule.repeated]]
            await campaigns.start("spring", people, sender="ACME", body="Ciao", **schedule.options)
        schedule.add_faults(simulator)
        await schedule.run(simulator, workers)
        receipt = await schedule.finish(simulator)
        schedule.check(receipt, simulator)
        said = schedule.log.read_text(encoding="utf-8") if schedule.log.exists() else ""
        assert "Traceback" not in said, said
        schedule.complete = receipt.complete
    schedule.drop()
    return schedule


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_random_schedules(
    chunk: int, postgres: PostgresServer, workers: Workers, tmp_path: Path
) -> None:
    totals: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(FIRST + chunk, FIRST + SCHEDULES, CHUNKS):
        try:
            done = await judge(seed, postgres, workers, tmp_path)
        except Exception as error:
            wrong.append(f"seed {seed}: {type(error).__name__}: {error}")
            print(wrong[-1], flush=True)  # noqa: T201
            continue
        said = done.log.read_text(encoding="utf-8") if done.log.exists() else ""
        totals.update(
            schedules=1,
            killed=done.killed,
            paused=done.paused,
            lost=said.count(" lost"),
            incomplete=not done.complete,
        )
    print(f"\n{dict(totals)}, {len(wrong)} wrong")  # noqa: T201
    assert not wrong, "\n".join(wrong)


async def test_without_the_fence_a_schedule_is_wrong(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    unfenced = Workers(unfenced=True)
    try:
        for seed in range(50):
            try:
                await judge(seed, postgres, unfenced, tmp_path)
            except (AssertionError, JournalCorruptError) as error:
                print(f"\nfound by schedule {seed}: {type(error).__name__}: {error}")  # noqa: T201
                return
    finally:
        unfenced.close()
    pytest.fail("50 schedules were right without the fence")
