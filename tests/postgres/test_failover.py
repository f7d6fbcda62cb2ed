"""A standby that takes over a campaign's database: a real one, promoted as an operator does."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest

from gateway_sms_async import BulkSendError, Campaigns, GatewayClient, JournalError
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import numbers
from ..support.servers import PostgresServer, started

pytestmark = pytest.mark.timeout(120)

SMALL: dict[str, Any] = {
    "sender": "ACME",
    "body": "Ciao",
    "batch_size": 7,
    "recipients_per_message": 20,
}


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_standby_that_was_just_promoted_is_refused(
    gateway: GatewayClient, simulator: Simulator, shards: int
) -> None:
    with started("postgres") as primary, TemporaryDirectory(dir="/tmp") as folder:
        assert isinstance(primary, PostgresServer)
        await PostgresJournals(primary.url).install()
        standby = await asyncio.to_thread(primary.standby, Path(folder))
        try:
            simulator.faults.add(Fault.status(402, 201), on="append", skip=12, times=None)
            with pytest.raises(BulkSendError):
                journal = PostgresJournals(primary.url)["spring"]
                await gateway.send_bulk(numbers(200), journal=journal, shards=shards, **SMALL)
            simulator.faults.clear()
            await caught_up(primary, standby)
            with pytest.raises(JournalError, match="standby"):
                await gateway.resume_bulk(PostgresJournals(standby.url)["spring"])
            await asyncio.to_thread(primary.stop)
            await asyncio.to_thread(standby.promote)
            await check_refused_and_continued(gateway, simulator, standby)
        finally:
            await asyncio.to_thread(standby.stop)


async def check_refused_and_continued(
    gateway: GatewayClient, simulator: Simulator, standby: PostgresServer
) -> None:
    journals = PostgresJournals(standby.url)
    async with Campaigns(gateway, journals, run=False) as campaigns:
        # Right after the promotion, when the control file still has the old timeline.
        before = len(simulator.requests)
        with pytest.raises(JournalError, match="standby has taken over"):
            await gateway.resume_bulk(journals["spring"])
        with pytest.raises(JournalError, match="standby has taken over"):
            await campaigns.run_shard("spring", 0)
        assert await campaigns.waiting() == []
        async with asyncio.timeout(10):
            while (status := campaigns.status("spring")) is None or status.state != "stopped":
                await asyncio.sleep(0.05)
        assert status.reason is not None
        assert "standby" in status.reason
        assert len(simulator.requests) == before
        # It has all that was acknowledged.
        await campaigns.go_on("spring", after_failover=True)
        for name, shard in await campaigns.waiting():
            assert await campaigns.run_shard(name, shard) == "complete"
        # Also a campaign that is begun now stays one of this server.
        assert await campaigns.start("summer", numbers(9, start=1_000), **SMALL)
        with psycopg.connect(standby.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        assert await campaigns.waiting() == [("summer", 0)]
        assert await campaigns.run_shard("summer", 0) == "complete"
    assert simulator.ledger == dict.fromkeys([*numbers(200), *numbers(9, start=1_000)], 1)


async def caught_up(primary: PostgresServer, standby: PostgresServer) -> None:
    """Wait until the standby has all that the primary has acknowledged."""
    with psycopg.connect(primary.url, autocommit=True) as connection:
        row = connection.execute("SELECT pg_current_wal_lsn()").fetchone()
        assert row is not None
    async with asyncio.timeout(30):
        while True:
            with psycopg.connect(standby.url, autocommit=True) as connection:
                query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
                if connection.execute(query, row).fetchone() == (True,):
                    return
            await asyncio.sleep(0.05)
