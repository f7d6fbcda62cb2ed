"""Journals in PostgreSQL: kept, claimed, taken over, refused, and never two processes at once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import psycopg
import pytest
from psycopg import sql

from gateway_sms_async import (
    BulkSendError,
    Campaigns,
    CampaignStatus,
    GatewayClient,
    JournalCorruptError,
    JournalError,
    JournalExistsError,
    JournalHeldError,
    JournalLockedError,
    JournalLostError,
    Receipt,
    purge_journal,
    read_journal,
)
from gateway_sms_async._background.database import CampaignDatabase
from gateway_sms_async._postgres.connection import Database
from gateway_sms_async._shards.reading import journal_numbers, read_state
from gateway_sms_async.postgres import PostgresJournal, PostgresJournals
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, numbers
from ..support.cli import invoke, run
from ..support.servers import PostgresServer, started

SIZES: dict[str, Any] = {"batch_size": 7, "recipients_per_message": 20, "sender": "ACME"}

SHARDS = pytest.mark.parametrize("shards", [1, 4])


async def send(
    gateway: GatewayClient, journal: PostgresJournal, recipients: Any, **more: Any
) -> Receipt:
    return await gateway.send_bulk(recipients, journal=journal, body="Ciao", **SIZES, **more)


@asynccontextmanager
async def another(simulator: Simulator) -> AsyncIterator[GatewayClient]:
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
        yield gateway


def with_lease(journals: PostgresJournals, lease: float) -> PostgresJournals:
    """Return the same journals with another lease."""
    old = journals._settings
    return PostgresJournals(old.conninfo, schema=old.schema, account=old.account, lease=lease)


def change(journals: PostgresJournals, statement: Any, *values: object) -> None:
    """Change the tables behind everybody's back."""
    settings = journals._settings
    with psycopg.connect(settings.conninfo) as connection:
        query = sql.SQL(statement).format(schema=sql.Identifier(settings.schema))
        connection.execute(query, values or None)


# --- kept --------------------------------------------------------------------------------------


@SHARDS
async def test_the_receipt_is_kept_and_deleted(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    journal = journals["spring"]
    people = [*numbers(90), "x", "0039 340 0000007"]
    receipt = await send(gateway, journal, people, shards=shards, exclude=numbers(3))
    check(receipt, simulator, set(numbers(90)[3:]))
    assert (receipt.accepted, receipt.duplicates, receipt.excluded) == (87, 1, 3)
    assert await read_journal(journal) == receipt
    assert ((await read_state(journal)).progress).accepted == 87
    kept = [one async for one in journal_numbers(journal)]
    assert kept == [*[*enumerate(numbers(90))][3:], (90, "x")]
    before = len(simulator.requests)
    assert await gateway.resume_bulk(journal) == receipt
    assert len(simulator.requests) == before
    with pytest.raises(JournalExistsError):
        await send(gateway, journal, people, shards=shards)
    await purge_journal(journal)
    with pytest.raises(JournalError, match="no journal"):
        await read_journal(journal)


@SHARDS
async def test_stopped_and_resumed_elsewhere(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=4, times=None)
    with pytest.raises(BulkSendError) as raised:
        await send(gateway, journals["spring"], numbers(300), shards=shards)
    assert raised.value.resumable
    assert raised.value.journal == raised.value.journal
    check(raised.value.receipt, simulator, set(numbers(300)))
    simulator.faults.clear()
    with pytest.raises(JournalError, match="not finished"):
        await purge_journal(journals["spring"])
    async with another(simulator) as other:
        receipt = await other.resume_bulk(with_lease(journals, 5)["spring"])
    assert receipt.complete
    check(receipt, simulator, set(numbers(300)))


@SHARDS
async def test_it_can_be_read_while_it_runs(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    simulator.latency = 0.05
    sending = asyncio.create_task(send(gateway, journals["spring"], numbers(200), shards=shards))
    while not await journals["spring"].exists():
        await asyncio.sleep(0.01)
    seen: list[Receipt] = []
    while not sending.done():
        seen.append(await read_journal(journals["spring"]))
    assert any(one.running for one in seen)
    assert [one.total for one in seen] == [200] * len(seen)
    accepted = [one.accepted for one in seen]
    assert accepted == sorted(accepted)
    assert (await sending).complete
    assert not (await read_journal(journals["spring"])).running


@SHARDS
async def test_what_a_start_has_not_published_is_not_there(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    async def people() -> AsyncIterator[str]:
        for one in numbers(20):
            yield one
        with pytest.raises(JournalLockedError):
            await send(gateway, journals["spring"], numbers(3), shards=shards)
        raise OSError("gone")

    with pytest.raises(BulkSendError, match="OSError"):
        await send(gateway, journals["spring"], people(), shards=shards)
    assert not simulator.requests
    assert await journals.names() == []
    assert (await send(gateway, journals["spring"], numbers(20), shards=shards)).complete


async def test_limits_hold_for_all_shards_and_all_workers(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    with pytest.raises(BulkSendError, match="max_recipients"):
        await send(gateway, journals["spring"], numbers(200), shards=8, max_recipients=77)
    assert len(simulator.ledger) == 77
    async with another(simulator) as other:
        both = [
            one.resume_bulk(with_lease(journals, 5)["spring"], max_recipients=150)
            for one in (gateway, other)
        ]
        ended = await asyncio.gather(*both, return_exceptions=True)
    assert all(isinstance(one, BulkSendError) for one in ended)
    assert len(simulator.ledger) == 150
    assert (await gateway.resume_bulk(journals["spring"], max_recipients=200)).complete
    check(await read_journal(journals["spring"]), simulator, set(numbers(200)))


# --- claimed -----------------------------------------------------------------------------------


async def test_workers_run_shards_side_by_side(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="open", times=None)
    with suppress(BulkSendError):
        await send(gateway, journals["spring"], numbers(600), shards=6)
    simulator.faults.clear()
    simulator.latency = 0.01
    async with another(simulator) as second, another(simulator) as third:
        workers = (gateway, second, third)
        before = [one.stats.requests for one in workers]
        receipts = await asyncio.gather(*(one.resume_bulk(journals["spring"]) for one in workers))
        sent = [one.stats.requests - was for one, was in zip(workers, before, strict=True)]
    assert all(one.complete for one in receipts)
    assert all(sent), sent
    check(receipts[0], simulator, set(numbers(600)))
    assert simulator.ledger == dict.fromkeys(numbers(600), 1)


async def test_a_lease_is_renewed_while_nothing_is_written(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    journal = with_lease(journals, 0.3)["spring"]
    simulator.latency = 1.0
    sending = asyncio.create_task(send(gateway, journal, numbers(5)))
    while not simulator.requests:
        await asyncio.sleep(0.01)
    async with another(simulator) as other:
        for _ in range(6):
            await asyncio.sleep(0.1)
            with pytest.raises(JournalLockedError):
                await other.resume_bulk(journal)
    simulator.latency = 0
    assert (await sending).complete


@SHARDS
async def test_what_was_taken_over_is_left_to_the_other(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    simulator.latency = 0.05
    journal = journals["spring"]
    sending = asyncio.create_task(send(gateway, journal, numbers(200), shards=shards))
    while len(simulator.requests) < 5:
        await asyncio.sleep(0.005)
    # As if this process had been paused for the time of its lease.
    change(journals, "UPDATE {schema}.shard SET lease_until = now() - interval '1 second'")
    async with another(simulator) as other:
        receipt = await other.resume_bulk(journal)
        assert receipt.complete
    ended = (await asyncio.gather(sending, return_exceptions=True))[0]
    if shards == 1:
        assert isinstance(ended, BulkSendError)
        assert isinstance(ended.__cause__, JournalLostError)
    else:
        assert isinstance(ended, Receipt)
        assert ended.complete
    check(await read_journal(journal), simulator, set(numbers(200)))
    assert simulator.ledger == dict.fromkeys(numbers(200), 1)


async def test_a_purged_campaign_sends_nothing_more(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    simulator.latency = 0.05
    sending = asyncio.create_task(send(gateway, journals["spring"], numbers(200)))
    while len(simulator.requests) < 3:
        await asyncio.sleep(0.005)
    change(journals, "DELETE FROM {schema}.campaign")
    with pytest.raises(BulkSendError) as raised:
        await sending
    assert isinstance(raised.value.__cause__, JournalLostError)


# --- refused -----------------------------------------------------------------------------------


async def test_tables_that_are_not_there(
    gateway: GatewayClient, simulator: Simulator, postgres: PostgresServer
) -> None:
    journals = PostgresJournals(postgres.url, schema="elsewhere")
    for attempt in (
        send(gateway, journals["spring"], numbers(3)),
        gateway.resume_bulk(journals["spring"]),
        read_journal(journals["spring"]),
        purge_journal(journals["spring"]),
        journals.names(),
    ):
        with pytest.raises(JournalError, match="gateway-sms postgres install"):
            await attempt
    assert not simulator.requests


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE {schema}.format SET format = 2", "newer version"),
        ("UPDATE {schema}.campaign SET account = 'other'", "account 'other'"),
        ("UPDATE {schema}.campaign SET server = '1'", "this is a copy"),
        ("UPDATE {schema}.campaign SET timeline = 7", "standby has taken over"),
    ],
)
@SHARDS
async def test_what_is_not_resumed(  # noqa: PLR0917
    gateway: GatewayClient,
    simulator: Simulator,
    journals: PostgresJournals,
    shards: int,
    statement: str,
    words: str,
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=2, times=None)
    with suppress(BulkSendError):
        await send(gateway, journals["spring"], numbers(100), shards=shards)
    simulator.faults.clear()
    change(journals, statement)
    before = len(simulator.requests)
    with pytest.raises(JournalError, match=words):
        await gateway.resume_bulk(journals["spring"])
    assert len(simulator.requests) == before


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM {schema}.log WHERE number = 2",
        "DELETE FROM {schema}.log WHERE number = (SELECT max(number) FROM {schema}.log)",
        "UPDATE {schema}.log SET value = value || '\\x00' WHERE number = 1",
        "DELETE FROM {schema}.people",
        "UPDATE {schema}.people SET value = value || '\\x00'",
        "UPDATE {schema}.meta SET value = '\\x00'",
    ],
)
async def test_damaged_tables(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, damage: str
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=2, times=None)
    with suppress(BulkSendError):
        await send(gateway, journals["spring"], numbers(100))
    simulator.faults.clear()
    change(journals, damage)
    before = len(simulator.requests)
    with pytest.raises(JournalCorruptError):
        await gateway.resume_bulk(journals["spring"])
    assert len(simulator.requests) == before


async def test_a_server_that_is_not_there(gateway: GatewayClient, simulator: Simulator) -> None:
    secret = "postgresql://somebody:hunter2@localhost:1/sms"
    journals = PostgresJournals(secret)
    with pytest.raises(JournalError) as raised:
        await send(gateway, journals["spring"], numbers(3))
    said = f"{raised.value} {raised.value!r} {journals!r} {journals['spring']!r}"
    assert "hunter2" not in said
    assert "somebody" not in said
    assert not simulator.requests


async def test_a_server_that_goes_and_comes_back(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    with started("postgres") as server:
        journals = PostgresJournals(server.url)
        await journals.install()
        simulator.latency = 0.05
        sending = asyncio.create_task(send(gateway, journals["spring"], numbers(200)))
        while len(simulator.requests) < 5:
            await asyncio.sleep(0.005)
        await anyio.to_thread.run_sync(server.stop)
        with pytest.raises(BulkSendError) as raised:
            await sending
        assert isinstance(raised.value.__cause__, JournalError)
        with pytest.raises(JournalError):
            await gateway.resume_bulk(journals["spring"])
        await anyio.to_thread.run_sync(server.start)
        receipt = await gateway.resume_bulk(journals["spring"])
        assert receipt.complete
        check(receipt, simulator, set(numbers(200)))


async def test_a_standby_is_refused(
    journals: PostgresJournals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server says of itself is changed: a standby needs two servers and minutes."""
    from gateway_sms_async._postgres import connection

    said = connection.SERVER.replace("pg_is_in_recovery()", "true")
    monkeypatch.setattr(connection, "SERVER", said)
    with pytest.raises(JournalError, match="target_session_attrs"):
        await journals.names()


async def test_a_pooler_is_refused(
    journals: PostgresJournals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a pooler, the session is not the one that the client was told of."""
    from gateway_sms_async._postgres import connection

    said = connection.SERVER.replace("pg_backend_pid()", "pg_backend_pid() + 1")
    monkeypatch.setattr(connection, "SERVER", said)
    with pytest.raises(JournalError, match="pooler"):
        await journals.names()


@pytest.mark.parametrize(
    "arguments",
    [
        {"conninfo": ""},
        {"conninfo": 5},
        {"schema": ""},
        {"schema": "a\0b"},
        {"account": None},
        {"lease": 0},
        {"lease": float("nan")},
        {"lease": "30"},
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        PostgresJournals(**{"conninfo": "postgresql://localhost/sms", **arguments})


@pytest.mark.parametrize("name", ["", "x" * 201, "a\nb", "a\0b", 5])
def test_names_are_checked(name: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        PostgresJournals("postgresql://localhost/sms")[name]


async def test_an_odd_schema_is_quoted(postgres: PostgresServer) -> None:
    journals = PostgresJournals(postgres.url, schema='O\'dd "schema"; --')
    await journals.install()
    await journals.install()
    assert await journals.names() == []


def test_a_connection_is_closed_after_an_error(postgres: PostgresServer) -> None:
    database = Database(postgres.url, "elsewhere", "a test")
    database.close()
    database.close()
    with pytest.raises(JournalError, match="closed"):
        database.check_version()


# --- in the background -------------------------------------------------------------------------


async def ended(campaigns: Campaigns, name: str) -> CampaignStatus:
    while (status := campaigns.status(name)) is None or status.state == "running":
        await asyncio.sleep(0.01)
    return status


@SHARDS
async def test_campaigns_in_the_background_of_two_workers(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals, shards: int
) -> None:
    async with another(simulator) as other:
        async with Campaigns(gateway, journals) as first, Campaigns(other, journals) as second:
            starting = [
                one.start("spring", numbers(300), sender="ACME", body="Ciao", shards=shards)
                for one in (first, second)
            ]
            assert sorted(await asyncio.gather(*starting)) == [False, True]
            assert (await ended(first, "spring")).state == "complete"
            assert (await ended(second, "spring")).progress.accepted == 300
            assert not await first.start("spring", numbers(9), sender="ACME", body="Ciao")
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)
    await purge_journal(journals["spring"])


async def test_a_campaign_that_one_worker_leaves_is_continued_by_the_other(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    simulator.latency = 0.05
    async with another(simulator) as other:
        async with Campaigns(other, journals) as second:
            async with Campaigns(gateway, journals) as first:
                assert await first.start(
                    "spring", numbers(300), sender="ACME", body="Ciao", batch_size=10
                )
                while second.status("spring") is None:
                    await asyncio.sleep(0.01)
            simulator.latency = 0
            assert (await ended(second, "spring")).progress.accepted == 300
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)


async def test_two_starts_of_one_process_begin_one_campaign(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    async with Campaigns(gateway, journals) as campaigns:
        begun: list[str] = []
        run_here = campaigns._run

        def run_once(name: str, sending: Any) -> Any:
            begun.append(name)
            return run_here(name, sending)

        campaigns._run = run_once  # type: ignore[method-assign]
        both = [
            campaigns.start("spring", numbers(100), sender="ACME", body="Ciao") for _ in range(2)
        ]
        assert sorted(await asyncio.gather(*both)) == [False, True]
        assert (await ended(campaigns, "spring")).state == "complete"
        assert begun == ["spring"], "a campaign of this process was lost from sight"
    assert simulator.ledger == dict.fromkeys(numbers(100), 1)


async def test_a_start_whose_database_goes_after_it_is_not_told_as_one_that_sent_nothing(
    gateway: GatewayClient, simulator: Simulator
) -> None:
    with started("postgres") as server:
        journals = PostgresJournals(server.url)
        await journals.install()
        # The database goes right after the list is in it, before the start has looked.
        database = CampaignDatabase(journals)
        database.check_every = 5.0
        simulator.latency = 0.05
        campaigns = Campaigns(gateway, journals)
        campaigns._shelf = database
        async with campaigns:
            starting = asyncio.create_task(
                campaigns.start("spring", numbers(300), sender="ACME", body="Ciao", batch_size=9)
            )
            while len(simulator.requests) < 3:
                await asyncio.sleep(0.005)
            await anyio.to_thread.run_sync(server.stop)
            assert await starting
            status = campaigns.status("spring")
            assert status is not None
            assert status.state == "stopped"


async def test_what_cannot_be_sent_leaves_the_name_free(
    gateway: GatewayClient, simulator: Simulator, journals: PostgresJournals
) -> None:
    async with Campaigns(gateway, journals) as campaigns:
        with pytest.raises(ValueError, match="batch_size"):
            await campaigns.start("spring", numbers(3), sender="ACME", body="Ciao", batch_size=0)
        assert campaigns.status("spring") is None
        assert await campaigns.start("spring", numbers(3), sender="ACME", body="Ciao")
        assert (await ended(campaigns, "spring")).state == "complete"


# --- on the command line -----------------------------------------------------------------------


async def offline(*args: str) -> Any:
    return await anyio.to_thread.run_sync(lambda: invoke(*args))


@SHARDS
async def test_the_command_line(
    simulator: Simulator, postgres: PostgresServer, tmp_path: Any, shards: int
) -> None:
    name = f"on the command line {shards}"
    people = tmp_path / "people.txt"
    people.write_text("\n".join(numbers(40)) + "\n")
    address = f"{postgres.url}#{name}"
    installed = await offline("postgres", "install", postgres.url)
    assert installed.exit_code == 0, installed.output
    bulk = ("bulk", str(people), "--sender", "ACME", "--body", "Ciao", "--journal", address)
    done = await run(simulator, *bulk, "--shards", str(shards))
    assert done.exit_code == 0, done.output
    shown = await offline("journal", "show", address)
    assert json.loads(shown.stdout) == json.loads(done.stdout)
    assert json.loads((await run(simulator, "resume", address)).stdout)["accepted"] == 40
    listed = await offline("postgres", "list", postgres.url)
    mine = {
        "name": name,
        "held": None,
        "shards": shards,
        "finished": shards,
        "running": 0,
        "set_aside": 0,
    }
    assert mine in json.loads(listed.stdout)
    purged = await offline("journal", "purge", address)
    assert purged.exit_code == 0, purged.output
    assert postgres.url not in purged.stderr
    assert (await offline("journal", "show", address)).exit_code == 1
    assert (await offline("journal", "show", postgres.url)).exit_code == 2
    assert (await offline("postgres", "install", "people.txt")).exit_code == 2


@SHARDS
async def test_stopped_and_continued_on_the_command_line(
    simulator: Simulator,
    gateway: GatewayClient,
    postgres: PostgresServer,
    journals: PostgresJournals,
    shards: int,
) -> None:
    schema = ("--schema", journals._settings.schema)
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    with pytest.raises(BulkSendError):
        await send(gateway, journals["spring"], numbers(90), shards=shards)
    simulator.faults.clear()
    address = f"{postgres.url}#spring"
    stopped = await offline("postgres", "stop", address, *schema)
    assert stopped.exit_code == 0, stopped.output
    assert postgres.url not in stopped.stderr
    [listed] = json.loads((await offline("postgres", "list", postgres.url, *schema)).stdout)
    assert (listed["held"], listed["finished"]) == ("stopped on request", 0)
    with pytest.raises(JournalHeldError) as raised:
        await gateway.resume_bulk(journals["spring"])
    assert raised.value.reason == "stopped on request"
    went_on = await offline("postgres", "go-on", address, *schema, "--after-failover")
    assert went_on.exit_code == 0, went_on.output
    assert (await gateway.resume_bulk(journals["spring"])).complete
    for command, where, code in (
        ("stop", f"{postgres.url}#winter", 1),
        ("go-on", f"{postgres.url}#winter", 1),
        ("stop", postgres.url, 2),
        ("go-on", "people.txt", 2),
    ):
        assert (await offline("postgres", command, where, *schema)).exit_code == code
