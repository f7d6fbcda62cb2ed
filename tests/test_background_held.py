"""Campaigns that are stopped and go on, and those that workers send: in a folder and in a database."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from gateway_sms_async import (
    BulkSendError,
    Campaigns,
    CampaignStatus,
    GatewayClient,
    JournalError,
    JournalHeldError,
    JournalLockedError,
    ShardCounts,
    purge_journal,
    read_journal,
)
from gateway_sms_async._background import campaigns
from gateway_sms_async._postgres import store
from gateway_sms_async._shards.runner import ShardRunner
from gateway_sms_async._shards.shared import Shared
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Fault, Simulator

from .support.accounting import numbers
from .support.policy import QUICK
from .support.servers import PostgresServer, started

Where = Callable[[], Any]

SMALL: dict[str, Any] = {
    "sender": "ACME",
    "body": "Ciao",
    "batch_size": 7,
    "recipients_per_message": 20,
}

SHARDS = pytest.mark.parametrize("shards", [1, 4])


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with started("postgres") as server:
        assert isinstance(server, PostgresServer)
        yield server


@pytest.fixture(params=["folder", "database"])
async def where(request: pytest.FixtureRequest, tmp_path: Path) -> Where:
    """Return what makes the place of the campaigns, for each process anew."""
    if request.param == "folder":
        return lambda: tmp_path / "campaigns"
    server = request.getfixturevalue("server")
    schema = f"held_{abs(hash(request.node.name))}"
    await PostgresJournals(server.url, schema=schema).install()
    return lambda: PostgresJournals(server.url, schema=schema)


@asynccontextmanager
async def process(
    simulator: Simulator, where: Where, *, run: bool = True
) -> AsyncIterator[Campaigns]:
    """Do what another process does."""
    async with (
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway,
        Campaigns(gateway, where(), run=run) as campaigns,
    ):
        yield campaigns


async def until(campaigns: Campaigns, *states: str, name: str = "spring") -> CampaignStatus:
    async with asyncio.timeout(15):
        while (status := campaigns.status(name)) is None or status.state not in states:
            await asyncio.sleep(0.01)
    return status


def sent(simulator: Simulator) -> int:
    return len(simulator.ledger)


@SHARDS
async def test_stopped_in_one_process_and_continued_in_another(
    simulator: Simulator, where: Where, shards: int
) -> None:
    simulator.latency = 0.05
    async with process(simulator, where) as runs, process(simulator, where) as looks:
        assert await runs.start("spring", numbers(600), shards=shards, **SMALL)
        async with asyncio.timeout(15):
            while not sent(simulator):
                await asyncio.sleep(0.01)
        await looks.stop("spring")
        status = await until(runs, "stopped")
        assert status.reason == "stopped on request"
        assert (await until(looks, "stopped")).reason == "stopped on request"
        assert 0 < sent(simulator) < 600
        assert await looks.waiting() == []
    simulator.latency = 0
    async with process(simulator, where) as again:
        status = await until(again, "stopped")
        assert status.reason == "stopped on request"
        assert 0 < status.progress.accepted < 600
        before = len(simulator.requests)
        await asyncio.sleep(1.2)
        assert len(simulator.requests) == before
        await again.go_on("spring")
        assert (await until(again, "complete")).progress.accepted == 600
        assert (await again.receipt("spring")).complete
    assert simulator.ledger == dict.fromkeys(numbers(600), 1)


async def test_a_stop_of_what_is_not_there_says_so(simulator: Simulator, where: Where) -> None:
    async with process(simulator, where) as campaigns:
        bad = "../spring" if isinstance(where(), Path) else "spring\n"
        for call in (campaigns.stop, campaigns.go_on, campaigns.receipt):
            with pytest.raises(JournalError):
                await call("spring")
            with pytest.raises(ValueError, match="name of a"):
                await call(bad)
        with pytest.raises(ValueError, match="name of a"):
            await campaigns.run_shard(bad, 0)
        assert campaigns.status(bad) is None
        assert await campaigns.run_shard("spring", 0) == "unknown"


async def test_a_complete_campaign_stays_complete_when_it_is_stopped(
    simulator: Simulator, where: Where
) -> None:
    async with process(simulator, where) as campaigns:
        assert await campaigns.start("spring", numbers(30), **SMALL)
        await until(campaigns, "complete")
        await campaigns.stop("spring")
        assert (await until(campaigns, "complete")).progress.accepted == 30
    async with process(simulator, where) as campaigns:
        assert (await until(campaigns, "complete")).progress.accepted == 30
    place = where()
    await purge_journal(
        place["spring"] if isinstance(place, PostgresJournals) else place / "spring.db"
    )
    # What is left of the old one does not hold a new one of its name.
    async with process(simulator, where) as campaigns:
        assert await campaigns.start("spring", numbers(40), **SMALL)
        assert (await until(campaigns, "complete")).progress.accepted == 40


@SHARDS
async def test_a_campaign_that_is_only_written_is_sent_by_workers(
    simulator: Simulator, where: Where, shards: int
) -> None:
    async with process(simulator, where, run=False) as web:
        assert await web.waiting() == []
        assert await web.start("spring", numbers(300), shards=shards, **SMALL)
        assert not await web.start("spring", numbers(300), shards=shards, **SMALL)
        assert (await until(web, "running")).progress.total in {None, 300}
        assert simulator.requests == []
        waiting = await web.waiting()
        assert waiting == [("spring", shard) for shard in range(shards)]
        async with process(simulator, where, run=False) as worker:
            for name, shard in waiting:
                assert await worker.run_shard(name, shard) == "complete"
            assert await worker.run_shard("spring", 0) == "complete"
            assert await worker.run_shard("spring", shards) == "unknown"
            assert await worker.waiting() == []
            assert (await worker.receipt("spring")).accepted == 300
            status = await until(worker, "complete")
        assert (await until(web, "complete")).progress.accepted == 300
        if status.shards is not None:
            assert status.shards == ShardCounts(shards, shards, 0, 0)
            assert status.to_dict()["shards"] == status.shards._asdict()
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)


async def test_a_list_that_fails_is_not_written(simulator: Simulator, where: Where) -> None:
    def people() -> Iterator[str]:
        yield from numbers(100)
        raise RuntimeError("the query failed")

    async with process(simulator, where, run=False) as web:
        for shards in (1, 4):
            with pytest.raises(RuntimeError, match="the query failed"):
                await web.start("spring", people(), shards=shards, **SMALL)
            assert web.status("spring") is None
        with pytest.raises(TypeError):
            await web.start("spring", numbers(3), sender="ACME", body=3)  # type: ignore[arg-type]
        assert await web.start("spring", numbers(5), **SMALL)


@SHARDS
async def test_a_worker_that_leaves_stops_its_shard(
    simulator: Simulator, where: Where, shards: int
) -> None:
    simulator.latency = 0.05
    async with process(simulator, where, run=False) as worker:
        assert await worker.start("spring", numbers(600), shards=shards, **SMALL)
        running = asyncio.create_task(worker.run_shard("spring", 0))
        async with asyncio.timeout(15):
            while not sent(simulator):
                await asyncio.sleep(0.01)
        async with process(simulator, where, run=False) as second:
            assert await second.run_shard("spring", 0) == "taken"
    assert await running == "stopped"
    simulator.latency = 0
    stop = asyncio.Event()
    stop.set()
    async with process(simulator, where, run=False) as worker:
        assert await worker.run_shard("spring", 0, stop=stop) == "stopped"
        for shard in range(shards):
            assert await worker.run_shard("spring", shard) == "complete"
    assert simulator.ledger == dict.fromkeys(numbers(600), 1)


async def test_two_workers_share_the_shards(simulator: Simulator, where: Where) -> None:
    async def work(worker: Campaigns) -> None:
        while waiting := await worker.waiting():
            for name, shard in waiting:
                assert await worker.run_shard(name, shard) in {"complete", "taken"}

    async with (
        process(simulator, where, run=False) as one,
        process(simulator, where, run=False) as two,
    ):
        assert await one.start("spring", numbers(500), shards=6, **SMALL)
        await asyncio.gather(work(one), work(two), work(two))
        assert (await until(one, "complete")).progress.accepted == 500
    assert simulator.ledger == dict.fromkeys(numbers(500), 1)


async def test_a_shard_whose_recipients_are_not_all_accepted_is_finished(
    simulator: Simulator, where: Where
) -> None:
    async with process(simulator, where, run=False) as worker:
        assert await worker.start("spring", ["x", *numbers(3)], **SMALL)
        assert await worker.run_shard("spring", 0) == "complete"
        receipt = await worker.receipt("spring")
        assert (receipt.accepted, len(receipt.invalid)) == (3, 1)


async def test_a_limit_holds_for_all_workers_together(simulator: Simulator, where: Where) -> None:
    async with process(simulator, where, run=False) as worker:
        assert await worker.start("spring", numbers(200), shards=4, max_recipients=90, **SMALL)
        for _ in range(2):
            for name, shard in await worker.waiting():
                assert await worker.run_shard(name, shard) in {"complete", "stopped"}
        assert sent(simulator) <= 90
        assert sent(simulator) > 60
        receipt = await worker.receipt("spring")
        assert receipt.accepted + len(receipt.unsent) == 200
    assert set(simulator.ledger.values()) == {1}


# --- only in a database ------------------------------------------------------------------------


@pytest.fixture
async def journals(server: PostgresServer, request: pytest.FixtureRequest) -> PostgresJournals:
    made = PostgresJournals(server.url, schema=f"base_{abs(hash(request.node.name))}")
    await made.install()
    return made


@SHARDS
async def test_missing_credit_stops_all_processes_until_somebody_lets_them_go_on(
    simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=4, times=None)
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(300), shards=shards, **SMALL)
        ends = [await worker.run_shard(*one) for one in await worker.waiting()]
        assert set(ends) <= {"complete", "stopped"}
        assert "stopped" in ends
        before = len(simulator.requests)
        assert await worker.waiting() == []
        assert await worker.run_shard("spring", shards - 1) == "stopped"
        assert len(simulator.requests) == before
        reason = (await until(worker, "stopped")).reason
        assert reason is not None
        assert "credit" in reason
        simulator.faults.clear()
        await worker.go_on("spring")
        for one in await worker.waiting():
            assert await worker.run_shard(*one) == "complete"
        assert (await until(worker, "complete")).progress.accepted == 300
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)


async def test_a_shard_at_which_workers_die_is_set_aside(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(300), shards=3, **SMALL)
        for _ in range(5):
            assert ("spring", 1) in await worker.waiting()
            _die_with(journals, 1)
        assert await worker.waiting() == [("spring", 0), ("spring", 2)]
        assert await worker.run_shard("spring", 1) == "stopped"
        for shard in (0, 2):
            assert await worker.run_shard("spring", shard) == "complete"
        status = await until(worker, "stopped")
        assert status.shards == ShardCounts(3, 2, 0, 1)
        assert status.reason is not None
        assert "given up" in status.reason
        receipt = await worker.receipt("spring")
        assert receipt.accepted + len(receipt.unsent) == 300
        # The same in a process that runs all by itself.
        async with process(simulator, lambda: journals) as other:
            reason = (await until(other, "stopped")).reason
            assert reason is not None
            assert "given up after 5 processes died" in reason
        await worker.go_on("spring")
        assert await worker.waiting() == [("spring", 1)]
        assert await worker.run_shard("spring", 1) == "complete"
        assert (await until(worker, "complete")).progress.accepted == 300
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)


async def test_a_worker_that_lives_gives_its_shard_back(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(30), shards=2, **SMALL)
        for _ in range(4):
            _die_with(journals, 1)
        stop = asyncio.Event()
        stop.set()
        for _ in range(7):
            assert await worker.run_shard("spring", 1, stop=stop) == "stopped"
        assert await worker.run_shard("spring", 1) == "complete"


def _die_with(journals: PostgresJournals, *shards: int, poison: int = 1) -> None:
    """Do what a process does that claims shards, and dies if it has the poison one.

    Then its sessions end without a word.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_PROCESS", os.urandom(8).hex())
        claimed = []
        for shard in shards:
            with suppress(JournalLockedError, JournalHeldError):
                claimed.append(journals["spring"]._rows.claim(shard))
        dies = any(one._shard.shard == poison for one in claimed)
        for one in claimed:
            one._database.close() if dies else one.close()


async def test_a_healthy_shard_beside_a_poison_one_is_not_set_aside(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(60), shards=3, **SMALL)
        for turn in range(20):
            # A worker that takes two at a time: shard 1 kills it, shard 0 is healthy.
            _die_with(journals, *((0, 1) if turn % 2 else (1, 0)), poison=1)
        assert await worker.waiting() == [("spring", 0), ("spring", 2)]


async def test_a_process_that_loses_its_connection_has_not_died(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(60), shards=2, **SMALL)
        for _ in range(7):
            claimed = journals["spring"]._rows.claim(1)
            claimed._database.close()
        assert ("spring", 1) in await worker.waiting()
        assert await worker.run_shard("spring", 1) == "complete"


async def test_a_standby_that_took_over_is_used_only_when_somebody_says_so(
    simulator: Simulator, journals: PostgresJournals, server: PostgresServer
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(100), shards=2, **SMALL)
        _fail_over(journals)
        assert await worker.waiting() == []
        with pytest.raises(JournalError, match="standby has taken over"):
            await worker.run_shard("spring", 0)
        with pytest.raises(JournalError, match="standby has taken over"):
            await worker.go_on("spring")
        await worker.go_on("spring", after_failover=True)
        for shard in (0, 1):
            assert await worker.run_shard("spring", shard) == "complete"
        assert simulator.ledger == dict.fromkeys(numbers(100), 1)
        # Careful: each message is one POST and one close.
        assert _appends(simulator) == 0


async def test_a_careful_campaign_of_one_journal_after_a_failover(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(100), **SMALL)
        _fail_over(journals)
        await worker.go_on("spring", after_failover=True)
        assert await worker.run_shard("spring", 0) == "complete"
        assert _appends(simulator) == 0


def _appends(simulator: Simulator) -> int:
    """Return how many requests added recipients to an open message without closing it."""
    return sum(one.operation == "append" for one in simulator.requests)


def _fail_over(journals: PostgresJournals) -> None:
    settings = journals._settings
    with psycopg.connect(settings.conninfo) as connection:
        statement = sql.SQL("UPDATE {}.campaign SET timeline = timeline - 1")
        connection.execute(statement.format(sql.Identifier(settings.schema)))


async def test_after_failover_is_refused_for_a_folder(simulator: Simulator, tmp_path: Path) -> None:
    async with process(simulator, lambda: tmp_path) as campaigns:
        with pytest.raises(ValueError, match="database"):
            await campaigns.go_on("spring", after_failover=True)


async def test_a_double_elsewhere_makes_a_shard_careful_while_it_runs(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    simulator.latency = 0.1
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(1_200), shards=2, **SMALL)
        running = asyncio.create_task(worker.run_shard("spring", 0))
        async with asyncio.timeout(15):
            while not _appends(simulator):
                await asyncio.sleep(0.01)
        elsewhere = journals["spring"].read_shards()
        assert elsewhere is not None
        known = await asyncio.to_thread(elsewhere.exchange, Shared(careful=True, closures=0))
        assert known == Shared(careful=True, closures=0)
        await asyncio.sleep(2)
        appended = _appends(simulator)
        assert await running == "complete"
        # Those that had begun are filled; the others are one POST and one close.
        assert _appends(simulator) - appended < 20
        assert sum(one.operation == "open" for one in simulator.requests) > 15
        await asyncio.to_thread(elsewhere.close)
        simulator.latency = 0.0
        before = _appends(simulator)
        assert await worker.run_shard("spring", 1) == "complete"
        assert _appends(simulator) == before
    assert simulator.ledger == dict.fromkeys(numbers(1_200), 1)


async def test_a_plain_resume_of_a_held_campaign_says_who_lets_it_go_on(
    simulator: Simulator, gateway: GatewayClient, journals: PostgresJournals
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    for shards in (1, 3):
        journal = journals[f"spring {shards}"]
        with pytest.raises(BulkSendError):
            await gateway.send_bulk(numbers(90), journal=journal, shards=shards, **SMALL)
        await journal.hold()
        with pytest.raises(JournalError, match="stopped on request"):
            await gateway.resume_bulk(journal)
        assert not (await read_journal(journal)).complete
    simulator.faults.clear()
    for shards in (1, 3):
        journal = journals[f"spring {shards}"]
        await journal.go_on()
        assert (await gateway.resume_bulk(journal)).complete


# --- what an attack has found --------------------------------------------------------------------


async def test_a_slow_purge_does_not_delete_the_next_campaign_of_the_name(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(40), shards=2, **SMALL)
        for shard in (0, 1):
            assert await worker.run_shard("spring", shard) == "complete"
        slow = journals["spring"].open_shards()
        assert slow is not None
        await purge_journal(journals["spring"])
        assert await worker.start("spring", numbers(60), shards=2, **SMALL)
        with pytest.raises(JournalLockedError):
            await asyncio.to_thread(slow.remove)
        await asyncio.to_thread(slow.close)
        assert await worker.waiting() == [("spring", 0), ("spring", 1)]
        unfinished = journals["spring"].open_shards()
        assert unfinished is not None
        with pytest.raises(JournalLockedError, match="not finished"):
            await asyncio.to_thread(unfinished.remove)
        await asyncio.to_thread(unfinished.close)


async def test_a_worker_of_a_purged_campaign_takes_no_shard_of_the_next_one(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(40), shards=2, **SMALL)
        old = journals["spring"].open_shards()
        assert old is not None
        for shard in (0, 1):
            assert await worker.run_shard("spring", shard) == "complete"
        await purge_journal(journals["spring"])
        assert await worker.start("spring", numbers(60), shards=2, **SMALL)
        with pytest.raises(JournalError, match="was deleted"):
            await asyncio.to_thread(old.journal(0).open)
        snapshot = old.journal(0).snapshot()
        with pytest.raises(JournalError, match="no journal here any more"):
            await asyncio.to_thread(snapshot.meta)
        snapshot.close()
        await asyncio.to_thread(old.close)


async def test_a_campaign_that_ends_and_is_purged_unseen_frees_its_name(
    simulator: Simulator, where: Where
) -> None:
    async with (
        process(simulator, where, run=False) as web,
        process(simulator, where, run=False) as worker,
    ):
        assert await web.start("spring", numbers(20), **SMALL)
        assert await worker.run_shard("spring", 0) == "complete"
        place = where()
        await purge_journal(
            place["spring"] if isinstance(place, PostgresJournals) else place / "spring.db"
        )
        assert await web.start("spring", numbers(30), **SMALL)
        assert await worker.waiting() == [("spring", 0)]
        assert await worker.run_shard("spring", 0) == "complete"
        assert (await until(web, "complete")).progress.accepted == 30


async def test_a_stopped_campaign_is_not_sent_by_a_worker(
    simulator: Simulator, where: Where
) -> None:
    simulator.latency = 0.4
    async with (
        process(simulator, where, run=False) as web,
        process(simulator, where, run=False) as worker,
    ):
        assert await web.start("spring", numbers(900), shards=2, **SMALL)
        await web.stop("spring")
        assert await worker.run_shard("spring", 0) == "stopped"
        assert simulator.requests == []
        await web.go_on("spring")
        running = asyncio.create_task(worker.run_shard("spring", 0))
        async with asyncio.timeout(15):
            while not sent(simulator):
                await asyncio.sleep(0.01)
        await web.stop("spring")
        assert await asyncio.wait_for(running, 10) == "stopped"
        assert 0 < sent(simulator) < 450


async def test_a_limit_that_is_reached_stops_the_campaign_for_all(
    simulator: Simulator, journals: PostgresJournals, gateway: GatewayClient
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(90), shards=3, max_recipients=40, **SMALL)
        while waiting := await worker.waiting():
            await worker.run_shard(*waiting[0])
        status = await until(worker, "stopped")
        assert status.reason is not None
        assert "max_recipients" in status.reason
        # A higher limit lets it go on.
        assert (await gateway.resume_bulk(journals["spring"], max_recipients=100)).complete
    assert simulator.ledger == dict.fromkeys(numbers(90), 1)


async def test_a_campaign_with_any_name_of_a_journal_is_sent_by_workers(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring sale.2026", numbers(9), **SMALL)
        assert await worker.run_shard("spring sale.2026", 0) == "complete"


async def test_a_session_that_was_idle_for_too_long_changes_nothing(
    simulator: Simulator, journals: PostgresJournals, gateway: GatewayClient
) -> None:
    simulator.latency = 0.05
    sending = asyncio.create_task(
        gateway.send_bulk(numbers(400), journal=journals["spring"], shards=3, **SMALL)
    )
    async with asyncio.timeout(15):
        while len(simulator.ledger) < 40:
            await asyncio.sleep(0.01)
    # What has been idle for a while is ended by the server.
    with psycopg.connect(journals._settings.conninfo) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle' "
            "AND state_change < now() - interval '0.5 seconds' AND pid <> pg_backend_pid()"
        )
    with suppress(BulkSendError):
        assert (await sending).complete
    receipt = await gateway.resume_bulk(journals["spring"])
    assert receipt.complete
    assert simulator.ledger == dict.fromkeys(numbers(400), 1)


@pytest.mark.timeout(90)
async def test_a_database_that_does_not_answer_keeps_nobody_from_leaving(
    simulator: Simulator,
) -> None:
    simulator.latency = 0.1
    with started("postgres") as paused:
        assert isinstance(paused, PostgresServer)
        journals = PostgresJournals(paused.url)
        await journals.install()
        async with process(simulator, lambda: journals, run=False) as worker:
            assert await worker.start("spring", numbers(900), shards=2, **SMALL)
            running = asyncio.create_task(worker.run_shard("spring", 0))
            async with asyncio.timeout(15):
                while not sent(simulator):
                    await asyncio.sleep(0.01)
            paused.pause()
        with suppress(JournalError):
            assert await asyncio.wait_for(running, 60) in {"stopped", "lost"}
        paused.go_on()
        simulator.latency = 0.0
        async with process(simulator, lambda: journals) as campaigns:
            assert (await until(campaigns, "complete")).progress.accepted == 900
    assert simulator.ledger == dict.fromkeys(numbers(900), 1)


async def test_a_damaged_shard_shows_in_the_status(
    simulator: Simulator, journals: PostgresJournals
) -> None:
    async with process(simulator, lambda: journals, run=False) as web:
        assert await web.start("spring", numbers(30), shards=2, **SMALL)
        with psycopg.connect(journals._settings.conninfo) as connection:
            statement = sql.SQL("UPDATE {}.meta SET value = 'damaged' WHERE shard = 1")
            connection.execute(statement.format(sql.Identifier(journals._settings.schema)))
        async with asyncio.timeout(15):
            while "damaged" not in str((status := web.status("spring")) and status.reason):
                await asyncio.sleep(0.05)
        with pytest.raises(JournalError, match="damaged"):
            await web.run_shard("spring", 0)


# --- what reading it once more has found ---------------------------------------------------------


async def test_a_stop_right_after_the_list_was_written(
    simulator: Simulator, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call that writes it has not returned yet, and others see the campaign already."""
    publish = campaigns.publish
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(*args: Any, **more: Any) -> None:
        await publish(*args, **more)
        written.set()
        await go_on.wait()

    monkeypatch.setattr(campaigns, "publish", slowly)
    async with process(simulator, where, run=False) as web:
        starting = asyncio.create_task(web.start("spring", numbers(9), **SMALL))
        await written.wait()
        await web.stop("spring")
        await asyncio.sleep(1.2)  # a look at the shelf
        go_on.set()
        assert await starting
        assert (await until(web, "stopped")).reason == "stopped on request"
        await web.go_on("spring")
        assert await web.run_shard("spring", 0) == "complete"
        assert (await until(web, "complete")).progress.accepted == 9


@pytest.mark.parametrize("cancelled", [True, False])
async def test_a_worker_that_cannot_note_a_doubt_says_so_but_is_cancelled_all_the_same(
    simulator: Simulator,
    journals: PostgresJournals,
    monkeypatch: pytest.MonkeyPatch,
    cancelled: bool,
) -> None:
    async def fails(self: ShardRunner) -> JournalError:
        return JournalError("the doubt could not be noted")

    monkeypatch.setattr(ShardRunner, "_end", fails)
    simulator.latency = 0.05
    async with process(simulator, lambda: journals, run=False) as worker:
        assert await worker.start("spring", numbers(90), shards=2, **SMALL)
        running = asyncio.create_task(worker.run_shard("spring", 0))
        if cancelled:
            async with asyncio.timeout(15):
                while not simulator.requests:
                    await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        else:
            with pytest.raises(JournalError, match="could not be noted"):
                await running
