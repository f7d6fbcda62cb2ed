"""Three machines, of which one is cut off from the database, cut off from the gateway, or paused.

    GATEWAY_SMS_PARTITIONS=20 pytest -m proof -rP tests/postgres/test_partitions.py

Each machine is a network namespace. The gateway's ledger judges.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from gateway_sms_async import Campaigns, GatewayClient
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ..support.accounting import check_ledger, numbers
from ..support.machines import Machine, machines
from ..support.paths import ROOT
from ..support.servers import PostgresServer, started

ROUNDS = int(os.environ.get("GATEWAY_SMS_PARTITIONS", "1"))
pytestmark = [pytest.mark.proof, pytest.mark.timeout(240)]

LEASE = 1.0
PEOPLE = numbers(2_000)
SMALL: dict[str, Any] = {
    "sender": "ACME",
    "body": "Ciao",
    "batch_size": 10,
    "recipients_per_message": 40,
    "shards": 8,
}


class Runner:
    """The worker on one machine."""

    def __init__(self, machine: Machine, simulator: Simulator, server: PostgresServer) -> None:
        self.machine = machine
        self._simulator = simulator
        self._server = server
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.said: list[str] = []

    async def start(self) -> None:
        settings = {
            "database": self._server.address(self.machine.hosts["database"]),
            "gateway": self.machine.hosts["gateway"],
            "port": int(self._simulator.url.rpartition(":")[2]),
            "lease": LEASE,
        }
        program = (sys.executable, "-m", "tests.support.children.machine_child")
        self._process = await asyncio.create_subprocess_exec(
            *self.machine.command(*program, json.dumps(settings)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.said.append(line.decode().strip())

    @property
    def is_busy(self) -> bool:
        """Whether it runs a shard, as far as it has said."""
        return bool(self.said) and self.said[-1].endswith("begins")

    async def until(self, *, busy: bool) -> None:
        async with asyncio.timeout(100):
            while self.is_busy != busy:
                await asyncio.sleep(0.01)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self) -> None:
        """Kill it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.kill()
            await process.wait()
            assert self._reading is not None
            await self._reading


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Simulator, Campaigns, list[Runner]]]:
    with machines(3) as three, started("postgres", network=True) as server:
        assert isinstance(server, PostgresServer)
        async with Simulator(host="0.0.0.0", latency=0.05) as simulator:
            journals = PostgresJournals(server.url)
            await journals.install()
            here = f"http://127.0.0.1:{simulator.url.rpartition(':')[2]}"
            async with (
                GatewayClient(simulator.token, base_url=here, rate=None) as gateway,
                Campaigns(gateway, journals, run=False) as campaigns,
            ):
                assert await campaigns.start("spring", PEOPLE, **SMALL)
                runners = [Runner(machine, simulator, server) for machine in three]
                try:
                    for runner in runners:
                        await runner.start()
                    async with asyncio.timeout(30):
                        while len(simulator.ledger) < 40:
                            await asyncio.sleep(0.01)
                    yield simulator, campaigns, runners
                finally:
                    for runner in runners:
                        await runner.end()


async def is_complete_within(campaigns: Campaigns, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while (status := campaigns.status("spring")) is None or status.state != "complete":
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True


async def judge(simulator: Simulator, campaigns: Campaigns) -> None:
    receipt = await campaigns.receipt("spring")
    check_ledger(receipt, simulator.ledger, set(PEOPLE))
    assert receipt.complete
    assert simulator.ledger == Counter(PEOPLE)


@pytest.mark.parametrize("what", ["database", "gateway", "pause"])
async def test_one_is_cut_off_and_the_others_finish(what: str) -> None:
    async with scene() as (simulator, campaigns, runners):
        first = runners[0]
        await first.until(busy=True)
        await asyncio.sleep(0.3)  # it has claimed the shard, and sends
        if what == "pause":
            first.signal(signal.SIGSTOP)
        else:
            first.machine.pull(what)
        before = len(first.said)
        assert await is_complete_within(campaigns, 90), campaigns.status("spring")
        await judge(simulator, campaigns)
        mend(first, what)
        # It finds that others have taken over what it had.
        await first.until(busy=False)
        await judge(simulator, campaigns)
        print(f"\n{what}: {first.said[before]}")  # noqa: T201


@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_cut_off_and_paused_at_random(seed: int) -> None:
    random = Random(f"partitions {seed}")
    done: Counter[str] = Counter()
    async with scene() as (simulator, campaigns, runners):
        undo: list[tuple[Runner, str]] = []
        for _ in range(10):
            if await is_complete_within(campaigns, random.uniform(0.2, 1.5)):
                break
            runner = random.choice(runners)
            what = random.choice(("database", "gateway", "pause", "kill"))
            done[what] += 1
            if what == "kill":
                await runner.end()
                await runner.start()
            elif what == "pause":
                runner.signal(signal.SIGSTOP)
                undo.append((runner, what))
            else:
                runner.machine.pull(what)
                undo.append((runner, what))
            if undo and random.random() < 0.7:
                mend(*undo.pop(random.randrange(len(undo))))
        for runner, what in undo:
            mend(runner, what)
        await campaigns.go_on("spring")
        assert await is_complete_within(campaigns, 120), campaigns.status("spring")
        await asyncio.sleep(1)
        for runner in runners:
            await runner.end()
        await judge(simulator, campaigns)
    print(f"\n{dict(done)}")  # noqa: T201


def mend(runner: Runner, what: str) -> None:
    if what == "pause":
        runner.signal(signal.SIGCONT)
    else:
        runner.machine.put_back(what)
