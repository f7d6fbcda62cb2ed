"""A campaign in shards: each recipient once, one receipt, and a folder that can be resumed."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    InsufficientCreditError,
    JournalCorruptError,
    JournalError,
    JournalExistsError,
    JournalLockedError,
    LimitReachedError,
    Progress,
    Receipt,
    purge_journal,
    read_journal,
)
from gateway_sms_async._journal.lock import JournalLock
from gateway_sms_async._shards import splitting
from gateway_sms_async._shards.reading import journal_numbers, read_state
from gateway_sms_async._shards.spool import shard_of
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, check_outcomes, number, numbers, parts

SIZES: dict[str, Any] = {"batch_size": 7, "recipients_per_message": 20, "sender": "ACME"}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "campaign.db"


async def send(
    gateway: GatewayClient, journal: Path, recipients: Any, *, shards: int = 4, **more: Any
) -> Receipt:
    more = {"body": "Ciao", **more}
    return await gateway.send_bulk(recipients, journal=journal, shards=shards, **SIZES, **more)


async def stopped(
    gateway: GatewayClient, journal: Path, recipients: Any, **more: Any
) -> BulkSendError:
    with pytest.raises(BulkSendError) as raised:
        await send(gateway, journal, recipients, **more)
    return raised.value


def stop_after(accepted: int) -> tuple[asyncio.Event, Any]:
    """Return an event, and a callback that sets it once so many are accepted."""
    stop = asyncio.Event()

    def report(progress: Progress) -> None:
        if progress.accepted >= accepted:
            stop.set()

    return stop, report


# --- one list, several journals ----------------------------------------------------------------


async def test_the_receipt_is_that_of_one_campaign(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
) -> None:
    people: list[Any] = [
        *numbers(200),
        "x",
        None,
        "\ud800",
        "0039 340 000 0007",
        (number(8), {"name": "Ada"}),
        (number(300), {"name": "\ud800"}),
        (number(301), {1: "a"}),
        "+39 340 0000009",
    ]
    exclude = ["0039 340 0000003", "+39-3409999999"]
    receipt = await send(gateway, tmp_path / "shards.db", iter(people), exclude=exclude)
    check(receipt, simulator)
    one = await send(gateway, tmp_path / "one.db", people, exclude=exclude, shards=1)
    assert receipt.complete
    assert (receipt.total, receipt.accepted) == (one.total, one.accepted) == (208, 199)
    assert (receipt.duplicates, receipt.excluded) == (one.duplicates, one.excluded) == (3, 1)
    assert [(each.position, each.reason, each.number) for each in receipt.invalid] == [
        (each.position, each.reason, each.number.encode(errors="backslashreplace").decode())
        for each in one.invalid
    ]
    assert [each.name for each in receipt.outcomes] == [each.name for each in one.outcomes]
    assert {each.message_id for each in receipt.outcomes if each.name == "accepted"} == set(
        receipt.message_ids
    )
    assert receipt.cost == one.cost
    assert repr(number(8)) not in repr(receipt.unsent) + repr(receipt.outcomes)


async def test_what_is_stored_is_the_receipt(gateway: GatewayClient, journal: Path) -> None:
    receipt = await send(gateway, journal, [*numbers(100), "x"])
    assert await read_journal(journal) == receipt
    before = gateway.stats
    assert await gateway.resume_bulk(journal) == receipt
    assert gateway.stats.requests == before.requests
    kept = [one async for one in journal_numbers(journal)]
    assert kept == [*enumerate(numbers(100)), (100, "x")]
    assert ((await read_state(journal)).progress).accepted == 100
    # A journal of one shard is a journal.
    shards = [await read_journal(one) for one in sorted(journal.glob("*.db"))]
    assert sum(one.total for one in shards) == 101
    await purge_journal(journal)
    assert not list(journal.parent.iterdir())


async def test_fields_and_progress(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    people = [(one, {"name": f"n{at}"}) for at, one in enumerate(numbers(60))]
    seen: list[Progress] = []
    receipt = await send(
        gateway, journal, people, body="Ciao {{name}}", shards=3, on_progress=seen.append
    )
    assert receipt.accepted == 60
    simulator.assert_sent({one: f"Ciao n{at}" for at, one in enumerate(numbers(60))})
    assert (seen[-1].accepted, seen[-1].read, seen[-1].total) == (60, 60, 60)


async def test_an_async_source(gateway: GatewayClient, simulator: Simulator, journal: Path) -> None:
    async def people() -> AsyncIterator[str]:
        for one in numbers(50):
            await asyncio.sleep(0)
            yield one

    receipt = await send(gateway, journal, people())
    check(receipt, simulator, set(numbers(50)))
    assert receipt.complete


@pytest.mark.parametrize("count", [0, 1])
async def test_more_shards_than_recipients(
    gateway: GatewayClient, simulator: Simulator, journal: Path, count: int
) -> None:
    receipt = await send(gateway, journal, numbers(count), shards=50)
    check(receipt, simulator, set(numbers(count)))
    assert receipt.complete


@given(st.integers(10**6, 10**15 - 1), st.integers(1, 1_000))
def test_a_number_has_one_shard(key: int, shards: int) -> None:
    assert 0 <= shard_of(key, shards) < shards


def test_shards_are_about_the_same_size() -> None:
    counts = [0] * 64
    for key in range(393_400_000_000, 393_400_200_000):
        counts[shard_of(key, 64)] += 1
    assert max(counts) - min(counts) < 0.05 * 200_000 / 64


def test_the_shard_of_a_number_never_changes() -> None:
    """Else a start that is repeated by another version would place a number elsewhere."""
    assert [shard_of(393_401_234_567 + n, 10) for n in range(6)] == SHARDS


SHARDS = [shard_of(393_401_234_567 + n, 10) for n in range(6)]


# --- before anything is sent -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shards", "error"), [(0, ValueError), (1_001, ValueError), ("4", TypeError)]
)
async def test_shards_is_a_number(
    gateway: GatewayClient, journal: Path, shards: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="shards"):
        await send(gateway, journal, numbers(3), shards=shards)
    assert not list(journal.parent.iterdir())


async def test_shards_need_a_journal(gateway: GatewayClient) -> None:
    with pytest.raises(ValueError, match="journal"):
        await gateway.send_bulk(numbers(3), sender="ACME", body="Ciao", shards=2)


async def test_a_source_that_raises_sends_nothing(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    def people() -> Iterator[str]:
        yield from numbers(5_000)
        raise OSError("gone")

    error = await stopped(gateway, journal, people())
    assert "OSError" in error.reason
    assert isinstance(error.__cause__, OSError)
    assert not error.resumable
    assert not error.receipt.source_exhausted
    assert not simulator.requests
    assert not list(journal.parent.iterdir())


async def test_what_cannot_be_sent_at_all_is_raised(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    with pytest.raises(TypeError, match="position 0"):
        await send(gateway, journal, [{"number": number(1)}])
    with pytest.raises(ValueError, match="exclude, position 1"):
        await send(gateway, journal, numbers(3), exclude=[number(1), "x"])
    with pytest.raises(ValueError, match="XX"):
        await send(gateway, journal, numbers(3), default_region="XX")
    assert not simulator.requests
    assert not list(journal.parent.iterdir())


async def test_stopped_while_it_reads(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    stop = asyncio.Event()

    async def people() -> AsyncIterator[str]:
        yield number(0)
        stop.set()
        await asyncio.sleep(3_600)

    error = await stopped(gateway, journal, people(), stop=stop)
    assert error.reason == "stopped on request"
    assert not error.receipt.source_exhausted
    assert not simulator.requests
    assert not list(journal.parent.iterdir())


@pytest.mark.parametrize("shards", [1, 4])
async def test_what_a_killed_start_has_left_is_no_obstacle(
    gateway: GatewayClient, simulator: Simulator, journal: Path, shards: int
) -> None:
    left = journal.with_name(journal.name + ".partial")
    left.mkdir()
    for name in ("0001.spool", "0001.places", "0002.db", "0002.db.partial", "campaign.json"):
        (left / name).touch()
    receipt = await send(gateway, journal, numbers(30), shards=shards)
    assert receipt.accepted == 30
    assert [one.name for one in journal.parent.iterdir()] == [journal.name]


async def test_nothing_of_somebody_else_is_deleted(gateway: GatewayClient, journal: Path) -> None:
    left = journal.with_name(journal.name + ".partial")
    left.mkdir()
    (left / "thesis.tex").touch()
    with pytest.raises(JournalError, match=r"thesis\.tex"):
        await send(gateway, journal, numbers(3))
    assert (left / "thesis.tex").exists()


@pytest.mark.parametrize("first", [1, 4])
@pytest.mark.parametrize("second", [1, 4])
async def test_a_name_is_used_once(
    gateway: GatewayClient, simulator: Simulator, journal: Path, first: int, second: int
) -> None:
    both = [
        send(gateway, journal, numbers(30), shards=first),
        send(gateway, journal, numbers(30), shards=second),
    ]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(one, Receipt) for one in ended) == 1
    assert sum(isinstance(one, JournalError) for one in ended) == 1
    with pytest.raises(JournalExistsError):
        await send(gateway, journal, numbers(30), shards=second)
    assert set(simulator.ledger.values()) == {1}


# --- stopped and resumed -----------------------------------------------------------------------


@pytest.mark.parametrize("accepted", [1, 60, 200])
async def test_stopped_and_resumed(
    gateway: GatewayClient, simulator: Simulator, journal: Path, accepted: int
) -> None:
    simulator.latency = 0.02
    stop, report = stop_after(accepted)
    error = await stopped(gateway, journal, numbers(400), shards=5, stop=stop, on_progress=report)
    assert (error.reason, error.resumable) == ("stopped on request", True)
    assert error.journal == journal
    check(error.receipt, simulator, set(numbers(400)))
    assert len(error.receipt.unsent) > 0
    assert error.receipt.unsent[-1] in numbers(400)
    assert list(error.receipt.unsent[:3]) == [error.receipt.unsent[at] for at in range(3)]
    simulator.latency = 0
    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    check(receipt, simulator, set(numbers(400)))


async def test_cancelled_and_resumed(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.latency = 0.02
    seen = asyncio.Event()
    sending = asyncio.create_task(
        send(
            gateway,
            journal,
            numbers(400),
            on_progress=lambda one: seen.set() if one.accepted else None,
        )
    )
    await asyncio.wait_for(seen.wait(), 20)
    sending.cancel()
    with suppress(asyncio.CancelledError):
        await sending
    simulator.latency = 0
    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    check(receipt, simulator, set(numbers(400)))


async def test_one_process_at_a_time(gateway: GatewayClient, journal: Path) -> None:
    await send(gateway, journal, numbers(30))
    lock = JournalLock(journal)
    try:
        with pytest.raises(JournalLockedError):
            await gateway.resume_bulk(journal)
        with pytest.raises(JournalLockedError):
            await purge_journal(journal)
        assert (await read_journal(journal)).accepted == 30
    finally:
        lock.release()


async def test_it_waits_for_a_shard_that_somebody_else_resumes(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    await stopped(gateway, journal, numbers(400))
    simulator.faults.clear()
    lock = JournalLock(journal / "0002.db")
    resuming = asyncio.create_task(gateway.resume_bulk(journal))
    await asyncio.sleep(0.3)
    assert not resuming.done()
    lock.release()
    assert (await resuming).complete
    assert simulator.ledger == dict.fromkeys(numbers(400), 1)


async def test_running_is_said(gateway: GatewayClient, simulator: Simulator, journal: Path) -> None:
    simulator.latency = 0.02
    sending = asyncio.create_task(send(gateway, journal, numbers(300)))
    while not journal.exists():
        await asyncio.sleep(0.005)
    receipt = await read_journal(journal)
    assert receipt.running
    assert receipt.total == 300
    simulator.latency = 0
    assert (await sending).complete
    assert not (await read_journal(journal)).running


# --- what stops all, and what does not ---------------------------------------------------------


async def test_no_credit_stops_all(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=4, times=None)
    error = await stopped(gateway, journal, numbers(300), shards=6)
    assert isinstance(error.__cause__, InsufficientCreditError)
    simulator.faults.clear()
    check(error.receipt, simulator, set(numbers(300)))
    # Two shards noticed, the others did not begin.
    assert sum(not one.message_ids for one in await _shards(journal)) >= 3
    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    check(receipt, simulator, set(numbers(300)))


async def _shards(journal: Path) -> list[Receipt]:
    return [await read_journal(one) for one in sorted(journal.glob("*.db"))]


async def test_max_recipients_is_of_all_shards(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    error = await stopped(gateway, journal, numbers(200), shards=8, max_recipients=77)
    assert isinstance(error.__cause__, LimitReachedError)
    assert "77" in error.reason
    check(error.receipt, simulator, set(numbers(200)))
    assert error.receipt.accepted == 77
    with pytest.raises(BulkSendError) as raised:
        await gateway.resume_bulk(journal)
    assert raised.value.receipt.accepted == 77
    with pytest.raises(BulkSendError) as raised:
        await gateway.resume_bulk(journal, max_recipients=150)
    assert raised.value.receipt.accepted == 150
    assert (await gateway.resume_bulk(journal, max_recipients=200)).complete
    assert simulator.ledger == dict.fromkeys(numbers(200), 1)


async def test_max_cost_is_of_all_shards(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    each = (await send(gateway, journal.with_name("one.db"), [number(999)], shards=1)).cost
    assert each is not None
    limit = each * 60
    error = await stopped(gateway, journal, numbers(200), shards=8, max_cost=limit)
    assert isinstance(error.__cause__, LimitReachedError)
    assert error.receipt.cost is not None
    assert limit - each < error.receipt.cost <= limit
    assert (await gateway.resume_bulk(journal, max_cost="inf")).complete
    assert simulator.ledger == dict.fromkeys([*numbers(200), number(999)], 1)


async def test_a_double_makes_the_shards_after_it_careful(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.repeat(), on="append")
    receipt = await send(gateway, journal, numbers(800), shards=16)
    assert receipt.complete
    # A few had begun before the double was seen; those after them had no appends.
    appended = {
        request.path.split("/")[2]
        for request in simulator.requests
        if request.operation == "append"
    }
    with_appends = [one for one in await _shards(journal) if appended.intersection(one.message_ids)]
    assert 1 <= len(with_appends) <= 5


async def test_a_listener_that_fails_a_test_stops_all_and_is_raised(
    simulator: Simulator, journal: Path
) -> None:
    def listener(event: object) -> None:
        pytest.fail("no more")

    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, on_event=listener
    ) as gateway:
        with pytest.raises(pytest.fail.Exception):
            await send(gateway, journal, numbers(100))
    async with GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway:
        assert (await gateway.resume_bulk(journal)).complete
    assert simulator.ledger == dict.fromkeys(numbers(100), 1)


# --- what a first attack found ------------------------------------------------------------------


async def test_an_old_receipt_is_of_its_moment_and_never_of_another_campaign(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="append", skip=9, times=None)
    error = await stopped(gateway, journal, numbers(2_000), shards=3)
    simulator.faults.clear()
    old = error.receipt
    check_outcomes(old)
    unsent = list(old.unsent)
    await gateway.resume_bulk(journal)
    check_outcomes(old)
    assert list(old.unsent) == unsent
    await purge_journal(journal)
    await send(gateway, journal, numbers(2_000, start=5_000), shards=3)
    with pytest.raises(JournalError, match="another campaign"):
        list(old.unsent)
    with pytest.raises(JournalError, match="another campaign"):
        old.unsent[0]


@pytest.mark.parametrize("kind", ["copied", "swapped", "foreign", "manifest", "places"])
async def test_files_of_another_shard_or_campaign_are_refused(
    gateway: GatewayClient, simulator: Simulator, journal: Path, kind: str
) -> None:
    other = journal.with_name("other.db")
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    await stopped(gateway, journal, numbers(400))
    await stopped(gateway, other, numbers(400, start=1_000))
    simulator.faults.clear()
    match kind:
        case "copied":
            shutil.copy(journal / "0003.db", journal / "0004.db")
        case "swapped":
            (journal / "0001.db").rename(journal / "x")
            (journal / "0002.db").rename(journal / "0001.db")
            (journal / "x").rename(journal / "0002.db")
        case "foreign":
            shutil.copy(other / "0004.db", journal / "0004.db")
        case "manifest":
            shutil.copy(other / "campaign.json", journal / "campaign.json")
        case _:
            shutil.copy(other / "0001.places", journal / "0001.places")
    before = len(simulator.requests)
    with pytest.raises(JournalCorruptError):
        await gateway.resume_bulk(journal)
    assert len(simulator.requests) == before


@pytest.mark.parametrize("total", [0, 39, 41, -5, 10**11])
async def test_a_manifest_with_another_total_is_refused(
    gateway: GatewayClient, journal: Path, total: int
) -> None:
    await send(gateway, journal, numbers(40))
    manifest = journal / "campaign.json"
    manifest.write_text(manifest.read_text().replace('"total":40', f'"total":{total}'))
    with pytest.raises(JournalCorruptError):
        await read_journal(journal)


async def test_one_shard_is_neither_resumed_nor_purged(
    gateway: GatewayClient, journal: Path
) -> None:
    await send(gateway, journal, numbers(40))
    with pytest.raises(JournalError, match="resume the whole campaign"):
        await gateway.resume_bulk(journal / "0001.db")
    with pytest.raises(JournalError, match="purge the whole campaign"):
        await purge_journal(journal / "0001.db")
    assert (await read_journal(journal)).accepted == 40


async def test_every_file_is_its_owners_only(gateway: GatewayClient, journal: Path) -> None:
    umask = os.umask(0o002)
    try:
        await send(gateway, journal, numbers(40))
    finally:
        os.umask(umask)
    modes = {file.name: file.stat().st_mode & 0o777 for file in journal.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert journal.stat().st_mode & 0o777 == 0o700


async def test_recipients_that_vanish_while_they_are_read_are_no_end_of_the_list(
    gateway: GatewayClient, simulator: Simulator, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splitting, "_AT_MOST", 200)

    def people() -> Iterator[str]:
        yield from numbers(3_000)
        for file in journal.with_name("campaign.db.partial").glob("*.spool"):
            file.unlink()
        yield from numbers(10, start=3_000)

    with pytest.raises(JournalError, match="not all there"):
        await send(gateway, journal, people())
    assert not simulator.requests
    assert not list(journal.parent.iterdir())


@pytest.mark.parametrize("name", ["report.csv", "customers.json", "x.db"])
async def test_a_purge_deletes_no_foreign_file_and_changes_nothing_then(
    gateway: GatewayClient, journal: Path, name: str
) -> None:
    receipt = await send(gateway, journal, numbers(40))
    (journal / name).write_text("mine")
    with pytest.raises(JournalError, match=name):
        await purge_journal(journal)
    assert await read_journal(journal) == receipt
    assert (journal / name).read_text() == "mine"
    (journal / name).unlink()
    await purge_journal(journal)


async def test_a_finished_campaign_is_told_as_one_journal_tells_it(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.faults.add(Fault.status(404, 203), on="get", times=None)
    ends: list[BulkSendError] = []
    receipts: list[Receipt] = []
    for shards in (1, 3):
        path = tmp_path / f"{shards}.db"
        ends.append(await stopped(gateway, path, numbers(30), shards=shards))
        simulator.faults.clear()
        receipts.append(await gateway.resume_bulk(path))
        simulator.faults.add(Fault.status(404, 203), on="get", times=None)
    one, several = ends
    assert one.resumable == several.resumable
    assert one.reason.split("message ")[0] == several.reason.split("message ")[0]
    assert type(one.__cause__) is type(several.__cause__)
    assert len(receipts[0].unsent) == len(receipts[1].unsent) == len(several.receipt.unsent)


async def test_what_is_checked_before_anything_is_written(
    simulator: Simulator, gateway: GatewayClient, journal: Path
) -> None:
    client = GatewayClient(simulator.token, base_url=simulator.url)
    with pytest.raises(RuntimeError, match="not open"):
        await send(client, journal, numbers(3))
    with pytest.raises(ValueError, match="total"):
        await send(gateway, journal, numbers(3), total=-5)
    assert not list(journal.parent.iterdir())
    await send(gateway, journal, numbers(3))
    with pytest.raises(ValueError, match="max_recipients"):
        await gateway.resume_bulk(journal, max_recipients=0)
    async with Simulator() as elsewhere, GatewayClient("x", base_url=elsewhere.url) as other:
        with pytest.raises(JournalError, match="of that address"):
            await other.resume_bulk(journal)


@pytest.mark.parametrize("shards", [1, 3])
async def test_a_client_that_is_closed_while_a_journal_is_opened(
    simulator: Simulator, gateway: GatewayClient, journal: Path, shards: int
) -> None:
    simulator.faults.add(Fault.status(402, 201), on="*", times=None)
    await stopped(gateway, journal, numbers(60), shards=shards)
    simulator.faults.clear()
    client = await GatewayClient(simulator.token, base_url=simulator.url).open()
    resuming = asyncio.create_task(client.resume_bulk(journal))
    await asyncio.sleep(0)
    await client.aclose()
    with pytest.raises(BulkSendError, match="the client was closed"):
        await resuming
    assert (await gateway.resume_bulk(journal)).complete


async def test_a_journal_that_is_gone_at_the_end_leaves_its_recipients_unknown(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    def report(progress: Progress) -> None:
        if progress.accepted:
            (journal / "0001.db").unlink(missing_ok=True)

    simulator.latency = 0.02
    error = await stopped(gateway, journal, numbers(1_000), shards=4, on_progress=report)
    receipt = error.receipt
    assert isinstance(error.__cause__, JournalError)
    assert parts(receipt) == receipt.total == 1_000
    assert len(receipt.unknown) > 100
    assert receipt.accepted + len(receipt.unknown) >= len(simulator.ledger)


async def test_concurrency_is_that_of_all_shards(
    simulator: Simulator, gateway: GatewayClient, journal: Path
) -> None:
    simulator.latency = 0.01
    most = 0

    def report(progress: Progress) -> None:
        nonlocal most
        most = max(most, gateway.stats.in_flight)

    await send(gateway, journal, numbers(600), shards=6, concurrency=3, on_progress=report)
    assert 0 < most <= 3


async def test_open_messages_of_a_shard_that_did_not_begin_are_in_doubt(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    """Somebody closes all open messages, and only those of one shard are looked at."""
    simulator.faults.add(Fault.status(402, 201), on="append", times=None)
    await stopped(gateway, journal, numbers(400))
    simulator.faults.clear()
    for message in simulator.gateway.messages.values():
        if message.is_open:
            message.close(time.time())
    # With a limit, one shard runs at a time.
    with pytest.raises(BulkSendError, match="did not close it") as raised:
        await gateway.resume_bulk(journal, max_recipients=1_000)
    check(raised.value.receipt, simulator)
    receipt = None
    for _ in range(10):
        try:
            receipt = await gateway.resume_bulk(journal)
        except BulkSendError as error:
            check(error.receipt, simulator)
            continue
        break
    assert receipt is not None
    check(receipt, simulator, set(numbers(400)))
    assert receipt.complete


# --- damaged folders ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["missing", "manifest", "newer", "empty", "no manifest"])
async def test_a_damaged_folder_is_refused(
    gateway: GatewayClient, simulator: Simulator, journal: Path, damage: str
) -> None:
    await send(gateway, journal, numbers(30))
    before = len(simulator.requests)
    manifest = journal / "campaign.json"
    match damage:
        case "missing":
            (journal / "0003.db").unlink()
        case "manifest":
            manifest.write_bytes(manifest.read_bytes()[:-3])
        case "newer":
            manifest.write_text(manifest.read_text().replace('"format":1', '"format":2'))
        case "empty":
            manifest.write_text('{"format":1,"total":0,"places":[]}')
        case _:
            manifest.unlink()
    for attempt in (gateway.resume_bulk(journal), read_journal(journal), purge_journal(journal)):
        with pytest.raises(JournalError):
            await attempt
    assert len(simulator.requests) == before


async def test_damaged_places_are_not_used(gateway: GatewayClient, journal: Path) -> None:
    await send(gateway, journal, [*numbers(30), "x"])
    for places in journal.glob("*.places"):
        data = bytearray(places.read_bytes())
        data[0] ^= 1
        places.write_bytes(data)
    with pytest.raises(JournalCorruptError):
        await read_journal(journal)
