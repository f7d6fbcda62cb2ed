"""Workers of Procrastinate: any number of them, killed, paused and stopped, and a queue that lies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

import psycopg
import pytest
from procrastinate import App, PsycopgConnector

from gateway_sms_async import Campaigns, CampaignStatus, GatewayClient
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.tasks_procrastinate import RUN_SHARD, add_tasks, install_queue, wake_workers
from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers
from ..support.cli import env, invoke, run
from ..support.policy import QUICK
from ..support.servers import PostgresServer

SMALL: dict[str, Any] = {
    "sender": "ACME",
    "body": "Ciao",
    "batch_size": 7,
    "recipients_per_message": 20,
}

ROUNDS = int(os.environ.get("GATEWAY_SMS_WORKER_ROUNDS", "1"))


@pytest.fixture
async def database(postgres: PostgresServer) -> str:
    """Return the address of a database of its own: the tables of a queue have fixed names."""
    name = f"queue_{os.urandom(4).hex()}"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(
            psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
        )
    return postgres.url.replace("@/postgres?", f"@/{name}?")


@asynccontextmanager
async def process(simulator: Simulator, database: str) -> AsyncIterator[Campaigns]:
    """Do what a process with workers, or one that only starts campaigns, does."""
    journals = PostgresJournals(database)
    await journals.install()
    async with (
        GatewayClient(simulator.token, base_url=simulator.url, rate=None, retry=QUICK) as gateway,
        Campaigns(gateway, journals, run=False) as campaigns,
    ):
        yield campaigns


@asynccontextmanager
async def queue(database: str, campaigns: Campaigns) -> AsyncIterator[App]:
    app = App(connector=PsycopgConnector(conninfo=database))
    add_tasks(app, lambda: campaigns)
    async with app.open_async():
        await asyncio.gather(install_queue(app), install_queue(app))
        yield app


@asynccontextmanager
async def working(app: App) -> AsyncIterator[None]:
    worker = asyncio.create_task(
        app.run_worker_async(
            concurrency=2, install_signal_handlers=False, fetch_job_polling_interval=0.1
        )
    )
    yield
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker


async def until_complete(campaigns: Campaigns, name: str = "spring") -> CampaignStatus:
    async with asyncio.timeout(60):
        while (status := campaigns.status(name)) is None or status.state != "complete":
            await asyncio.sleep(0.05)
    return status


async def test_a_worker_sends_what_waits(simulator: Simulator, database: str) -> None:
    async with process(simulator, database) as campaigns, queue(database, campaigns) as app:
        for name in ("spring", "summer"):
            assert await campaigns.start(name, numbers(100), shards=3, **SMALL)
        await wake_workers(app)
        async with working(app):
            await until_complete(campaigns)
            await until_complete(campaigns, "summer")
        assert (await campaigns.receipt("spring")).complete
        assert simulator.ledger == dict.fromkeys(numbers(100), 2)
        ends = await app.job_manager.list_jobs_async(task=RUN_SHARD)
        assert {job.status for job in ends} == {"succeeded"}
        assert len(ends) >= 6


async def test_the_queue_may_forget_and_repeat(simulator: Simulator, database: str) -> None:
    async with process(simulator, database) as campaigns, queue(database, campaigns) as app:
        assert await campaigns.start("spring", numbers(200), shards=4, **SMALL)
        for _ in range(3):
            await wake_workers(app)
            for name, shard in await campaigns.waiting():
                await app.configure_task(RUN_SHARD).defer_async(name=name, shard=shard)
            async with working(app):
                await until_complete(campaigns)
            with psycopg.connect(database) as connection:
                connection.execute("DELETE FROM procrastinate_jobs")
        for unknown in (("spring", 9), ("winter", 0)):
            await app.configure_task(RUN_SHARD).defer_async(name=unknown[0], shard=unknown[1])
        async with working(app):
            while await app.job_manager.list_jobs_async(status="todo"):
                await asyncio.sleep(0.05)
        ends = await app.job_manager.list_jobs_async(task=RUN_SHARD)
        assert {job.status for job in ends} == {"succeeded"}
        assert (await campaigns.receipt("spring")).complete
    assert simulator.ledger == dict.fromkeys(numbers(200), 1)


async def test_a_limited_campaign_goes_on_when_a_shard_has_ended(
    simulator: Simulator, database: str
) -> None:
    async with process(simulator, database) as campaigns, queue(database, campaigns) as app:
        assert await campaigns.start("spring", numbers(90), shards=4, max_recipients=1_000, **SMALL)
        await wake_workers(app)
        async with working(app):
            await until_complete(campaigns)
        assert (await campaigns.receipt("spring")).complete
    assert simulator.ledger == dict.fromkeys(numbers(90), 1)


class Worker:
    """`gateway-sms worker` in a process of its own."""

    def __init__(self, started: asyncio.subprocess.Process) -> None:
        self.process = started

    @classmethod
    async def start(cls, simulator: Simulator, database: str) -> "Worker":
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway_sms_async", "worker", "--postgres", database),
            *("--rate", "0"),
            env={**os.environ, **env(simulator)},
            stderr=asyncio.subprocess.PIPE,
        )
        assert started.stderr is not None
        async with asyncio.timeout(30):
            line = await started.stderr.readline()
        assert b"Working on the queue" in line, line + await started.stderr.read()
        return cls(started)

    def signal(self, number: int) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)

    async def ended(self) -> tuple[int, str]:
        _, log = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode is not None
        return self.process.returncode, log.decode()


@pytest.mark.timeout(120)
async def test_two_workers_of_the_command_line(simulator: Simulator, database: str) -> None:
    simulator.latency = 0.02
    async with process(simulator, database) as campaigns:
        assert await campaigns.start("spring", numbers(900), shards=6, **SMALL)
        both = await asyncio.gather(*(Worker.start(simulator, database) for _ in range(2)))
        async with asyncio.timeout(30):
            while len(simulator.ledger) < 100:
                await asyncio.sleep(0.01)
        both[0].signal(signal.SIGTERM)
        code, log = await both[0].ended()
        assert code == 128 + signal.SIGTERM
        assert "stopped" in log
        assert "Stopped. Other workers continue what is left." in log
        # What it had is for the other one, which looks once a minute, or when a shard has ended.
        async with queue(database, campaigns) as app:
            await wake_workers(app)
            await until_complete(campaigns)
        # Not SIGINT: who runs the tests in the background may have told all to ignore it.
        both[1].signal(signal.SIGTERM)
        code, log = await both[1].ended()
        assert code == 128 + signal.SIGTERM
        assert "complete" in log
    assert simulator.ledger == dict.fromkeys(numbers(900), 1)


@pytest.mark.proof
@pytest.mark.timeout(600 * ROUNDS)
@pytest.mark.parametrize("seed", range(ROUNDS))
async def test_workers_that_are_killed_and_paused(
    simulator: Simulator, database: str, seed: int
) -> None:
    """SIGKILL and SIGSTOP at any time, three workers, and a list with repeated numbers."""
    random = Random(seed)
    simulator.latency = 0.3
    people = [*numbers(1_500), *(f"0039 {one[3:]}" for one in numbers(150)), "x", "12"]
    async with process(simulator, database) as campaigns, queue(database, campaigns) as app:
        assert await campaigns.start("spring", people, shards=6, **SMALL)
        starting = (Worker.start(simulator, database) for _ in range(3))
        workers = list(await asyncio.gather(*starting))
        killed = paused = 0
        asleep: list[Worker] = []
        while killed < 12:
            await asyncio.sleep(random.uniform(0.1, 0.8))
            status = campaigns.status("spring")
            if status is not None and status.state == "complete":
                break
            at = random.randrange(len(workers))
            if random.random() < 0.4:
                workers[at].signal(signal.SIGSTOP)
                asleep.append(workers[at])
                paused += 1
            else:
                workers[at].signal(signal.SIGKILL)
                await workers[at].ended()
                killed += 1
            workers[at] = await Worker.start(simulator, database)
            if asleep and random.random() < 0.5:
                asleep.pop(0).signal(signal.SIGCONT)
            await wake_workers(app)
        simulator.latency = 0
        for one in asleep:
            one.signal(signal.SIGCONT)
        # A shard at which workers were killed within their first minute again and again.
        await campaigns.go_on("spring")
        await wake_workers(app)
        async with asyncio.timeout(120):
            while (status := campaigns.status("spring")) is None or status.state != "complete":
                await asyncio.sleep(0.3)
                if await campaigns.waiting():
                    await wake_workers(app)
        receipt = await campaigns.receipt("spring")
        assert (receipt.accepted, receipt.duplicates, len(receipt.invalid)) == (1_500, 150, 2)
        for one in (*workers, *asleep):
            one.signal(signal.SIGKILL)
        await asyncio.gather(*(one.ended() for one in (*workers, *asleep)))
    print(f"\nworkers: {killed} killed, {paused} paused")  # noqa: T201 - a figure
    assert simulator.ledger == dict.fromkeys(numbers(1_500), 1)


async def test_a_shard_that_cannot_be_run_is_in_the_log(
    simulator: Simulator, database: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(simulator, database) as campaigns, queue(database, campaigns) as app:
        assert await campaigns.start("spring", numbers(30), shards=2, **SMALL)
        with psycopg.connect(database) as connection:
            connection.execute("UPDATE gateway_sms.meta SET value = 'x' WHERE shard = 1")
        await wake_workers(app)
        async with working(app), asyncio.timeout(30):
            while "shard 2" not in caplog.text or "damaged" not in caplog.text:
                await asyncio.sleep(0.05)
    ours = [one.getMessage() for one in caplog.records if one.name == "gateway_sms_async"]
    assert any("campaign spring, shard" in one and "damaged" in one for one in ours)
    assert not simulator.requests


def test_a_worker_without_the_extra_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "procrastinate", None)
    result = invoke("worker", "--postgres", "postgresql:///x", env={"OPENAPI_TOKEN": "abc"})
    assert result.exit_code == 1
    assert "pip install 'gateway-sms-async[procrastinate]'" in result.stderr


async def test_a_worker_needs_a_database_that_can_be_reached(simulator: Simulator) -> None:
    for address, code, said in (
        ("people.csv", 2, "postgresql://host/database"),
        ("postgresql://localhost:1/sms", 1, "PostgreSQL"),
    ):
        result = await run(simulator, "worker", "--postgres", address)
        assert result.exit_code == code, result.stderr
        assert said in result.stderr
    result = await run(
        simulator, "worker", "--postgres", "postgresql:///x", "--shards-at-once", "0"
    )
    assert result.exit_code == 2
