"""The guide's programs that send shards from a queue, as processes of their own."""

import asyncio
import importlib.util
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import Campaigns, GatewayClient
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers
from ..support.cli import env
from ..support.paths import ROOT
from ..support.servers import PostgresServer, RedisServer, started

pytestmark = pytest.mark.timeout(120)

SMALL: dict[str, Any] = {"sender": "ACME", "body": "Ciao", "batch_size": 20, "shards": 4}


@asynccontextmanager
async def program(
    arguments: Sequence[str], folder: Path, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program as the leader of a session, and end all of its processes at the end."""
    log = folder / f"log of {arguments[-1].replace('/', ' ')}"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *arguments),
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(ROOT / "examples")},
            stdout=asyncio.subprocess.PIPE,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield process
        except BaseException:
            sys.stderr.write(log.read_text(encoding="utf-8"))
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def needs(module: str) -> None:
    if importlib.util.find_spec(module) is None:
        pytest.skip("it is in the extra `test`")


async def start_and_wait(simulator: Simulator, database: str) -> None:
    """Do what the guide's web service does."""
    journals = PostgresJournals(database)
    await journals.install()
    async with (
        GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway,
        Campaigns(gateway, journals, run=False) as campaigns,
    ):
        assert await campaigns.start("spring", numbers(500), **SMALL)
        async with asyncio.timeout(100):
            while (status := campaigns.status("spring")) is None or status.state == "running":
                await asyncio.sleep(0.1)
        assert (status.state, status.progress.accepted) == ("complete", 500)
    assert simulator.ledger == dict.fromkeys(numbers(500), 1)


async def test_procrastinate(simulator: Simulator, tmp_path: Path) -> None:
    with started("postgres") as server:
        assert isinstance(server, PostgresServer)
        environment = {**env(simulator), "DATABASE_URL": server.url}
        file = str(ROOT / "examples" / "campaign_queue.py")
        async with (
            program([file, "start"], tmp_path, environment) as web,
            program([file, "work"], tmp_path, environment) as worker,
        ):
            assert await asyncio.wait_for(web.wait(), 100) == 0
            worker.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.wait(), 20) == 0
    said = (tmp_path / "log of start").read_text(encoding="utf-8").split()
    assert said[-3:-1] == ["complete", "20000"] or said[-2:] == ["complete", "20000"]
    assert len(simulator.ledger) == 20_000
    assert set(simulator.ledger.values()) == {1}


async def test_celery(simulator: Simulator, tmp_path: Path) -> None:
    needs("celery")
    with started("postgres") as server, started("redis") as redis:
        assert isinstance(server, PostgresServer)
        assert isinstance(redis, RedisServer)
        environment = {
            **env(simulator),
            "DATABASE_URL": server.url,
            "CELERY_BROKER_URL": redis.url.replace("unix://", "redis+socket://"),
        }
        await PostgresJournals(server.url).install()
        app = ["-m", "celery", "-A", "celery_campaigns"]
        arguments = ["worker", "--beat", "--concurrency", "2", "--loglevel", "WARNING"]
        async with program([*app, *arguments], tmp_path, environment):
            started_here = asyncio.create_task(start_and_wait(simulator, server.url))
            # Not after a minute: as an operator would who does not want to wait.
            while not started_here.done():
                async with program(
                    [*app, "call", "celery_campaigns.reconcile"], tmp_path, environment
                ) as call:
                    await call.wait()
                await asyncio.sleep(2)
            await started_here


async def test_taskiq(simulator: Simulator, tmp_path: Path) -> None:
    needs("taskiq_redis")
    with started("postgres") as server, started("redis") as redis:
        assert isinstance(server, PostgresServer)
        assert isinstance(redis, RedisServer)
        environment = {**env(simulator), "DATABASE_URL": server.url, "REDIS_URL": redis.url}
        await PostgresJournals(server.url).install()
        worker = ["-m", "taskiq", "worker", "--workers", "2", "taskiq_campaigns:broker"]
        schedule = ["-m", "taskiq", "scheduler", "taskiq_campaigns:scheduler"]
        async with (
            program(worker, tmp_path, environment),
            program(schedule, tmp_path, environment),
        ):
            await start_and_wait(simulator, server.url)
