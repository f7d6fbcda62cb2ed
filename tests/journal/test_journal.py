"""The journal's file: refused with a clear error, damaged, failing in every write, of old formats.

`data/journal_format_1.db` was written by format 1 and must go on resuming. It is an unfinished
campaign of three messages: one closed, one whose close was under way, one that a batch was being
added to. It was made by

    python -c "import asyncio; from tests.journal import test_journal as t; asyncio.run(t.make_fixture())"

which plays `FIXTURE` against a simulator whose ids are the same each time, and copies the journal
at the moment when nothing but lost answers is left. A new format gets a fixture of its own.

GATEWAY_SMS_PROOF=all damages every single byte and bit.
"""

# ruff: noqa: ASYNC240 - small files, and nobody else in the loop to wait for them

import asyncio
import contextlib
import functools
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    JournalCorruptError,
    JournalError,
    JournalExistsError,
    JournalLockedError,
    Options,
    Receipt,
    Recipient,
    purge_journal,
    read_journal,
)
from gateway_sms_async._campaign import backlog
from gateway_sms_async._journal import (
    connection as _connection,
    reading as _reading,
    store as _store,
)
from gateway_sms_async._journal.store import Store
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, check_ledger, number, numbers, tasks_of_ours
from ..support.paths import DATA, ROOT
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
ALL = os.environ.get("GATEWAY_SMS_PROOF") == "all"
pytestmark = pytest.mark.timeout(3_600 if ALL else 60)

FIXTURE = DATA / "journal_format_1.db"


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "campaign.db"


@pytest.fixture
def room() -> Iterator[Path]:
    """Return a folder, in memory if that can be had, for what is written a thousand times."""
    memory = "/dev/shm"
    house = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="journal-", dir=house) as folder:
        yield Path(folder)


async def start_unfinished(gateway: GatewayClient, simulator: Simulator, journal: Path) -> None:
    """Leave a campaign that has closed one message of two."""
    simulator.faults.add(Fault.status(402, 201), on="close", skip=1)
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(
            numbers(8),
            **ACME,
            journal=journal,
            batch_size=2,
            recipients_per_message=4,
            concurrency=1,
        )
    simulator.faults.clear()
    assert caught.value.resumable
    assert caught.value.journal == journal
    check(caught.value.receipt, simulator, set(numbers(8)))
    assert caught.value.receipt.accepted == 4


async def every_use(
    gateway: GatewayClient, path: Path, *, reading: bool = True
) -> list[JournalError]:
    """Return the error of each call that opens a journal; all of them must fail."""
    errors: list[JournalError] = []
    uses = [gateway.resume_bulk, purge_journal, *([read_journal] if reading else [])]
    for use in uses:
        with pytest.raises(JournalError) as caught:
            await use(path)
        errors.append(caught.value)
    return errors


# --- resuming --------------------------------------------------------------------------------


async def test_everything_comes_back(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    """Fields, duplicates, refusals, options, Unicode: sent as they would be without a crash."""
    source: list[Any] = [
        Recipient("+39 340 000 0000", {"name": "Zoë 🎉"}),
        (number(1), {"name": "a\u0000b"}),
        Recipient(number(0), {"name": "again"}),
        "nobody",
        (number(2), {"name": "Ἀθήνα", "left": "over"}),
        number(3),
        ("0039340.0000004", {"name": ""}),
    ]
    when = date(2031, 2, 3)
    options = Options(
        custom={"k": ["ü", 7, None]}, timestamp_send=when, callback_url="https://example.com/cb"
    )
    simulator.faults.add(Fault.status(402, 201), on="open")
    with pytest.raises(BulkSendError) as caught:
        await gateway.send_bulk(
            source,
            sender="ACME",
            body="Ciao {{name}} €",
            priority=1.01,
            options=options,
            test=True,
            batch_size=2,
            journal=journal,
        )
    stopped = caught.value.receipt
    assert (stopped.total, stopped.duplicates, len(stopped.unsent)) == (7, 1, 4)
    assert [(one.number, one.position) for one in stopped.invalid] == [
        ("nobody", 3),
        (number(3), 5),
    ]
    simulator.faults.clear()
    simulator.requests.clear()
    shown = await read_journal(journal)
    assert (shown.total, shown.duplicates, shown.invalid) == (7, 1, stopped.invalid)
    assert shown.unsent == stopped.unsent

    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    assert (receipt.total, receipt.accepted, receipt.duplicates) == (7, 4, 1)
    assert receipt.invalid == stopped.invalid
    bodies = [request.body for request in simulator.requests if request.body]
    opened, sent = bodies[0], []
    for body in bodies:
        recipients = body["recipients"]
        sent += recipients if isinstance(recipients, list) else [recipients]
    assert opened["body"] == "Ciao {{name}} €"
    assert (opened["priority"], opened["test"]) == (1.01, True)
    assert opened["options"] == options.to_wire()
    assert sent == [
        {"number": number(0), "fields": {"name": "Zoë 🎉"}},
        {"number": number(1), "fields": {"name": "a\u0000b"}},
        {"number": number(2), "fields": {"name": "Ἀθήνα", "left": "over"}},
        {"number": number(4), "fields": {"name": ""}},
    ]


async def test_a_refusal_by_the_gateway_is_named_as_written_after_a_resume(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    simulator.gateway.unroutable = {number(1), number(7)}
    source = ["+39 340 0000000", "+39 340 0000001", *numbers(6, 2)]
    simulator.faults.add(Fault.status(402, 201), on="close", skip=1)
    with pytest.raises(BulkSendError):
        await gateway.send_bulk(
            source, **ACME, batch_size=2, recipients_per_message=4, journal=journal, concurrency=1
        )
    simulator.faults.clear()
    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    assert [(one.number, one.position) for one in receipt.invalid] == [
        ("+39 340 0000001", 1),
        (number(7), 7),
    ]
    check(receipt, simulator, set(numbers(8)))


async def test_a_finished_one_returns_its_receipt_and_asks_nothing(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    receipt = await gateway.send_bulk(
        [*numbers(5), number(0), "nobody"], **ACME, batch_size=2, journal=journal
    )
    before = len(simulator.requests)
    assert await gateway.resume_bulk(journal) == receipt
    assert await read_journal(journal) == receipt
    assert await read_journal(str(journal)) == receipt
    assert len(simulator.requests) == before


async def test_it_is_readable_by_its_owner_only(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    modes: set[tuple[str, int]] = set()

    def look(_: Any) -> None:
        modes.update(
            (file.name, stat.S_IMODE(file.stat().st_mode)) for file in journal.parent.iterdir()
        )

    def source() -> Iterator[str]:
        look(None)
        yield from numbers(3)

    simulator.delay = lambda request: look(request) or 0.0
    old = os.umask(0)
    try:
        await gateway.send_bulk(source(), **ACME, batch_size=2, journal=journal)
    finally:
        os.umask(old)
    look(None)
    assert {name for name, _ in modes} >= {"campaign.db", "campaign.db.partial"}
    assert {mode for _, mode in modes} == {0o600}
    assert [file.name for file in journal.parent.iterdir()] == ["campaign.db"]


async def test_a_finished_one_is_purged_and_an_unfinished_one_is_not(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    await start_unfinished(gateway, simulator, journal)
    with pytest.raises(JournalError, match="not finished; resume it first"):
        await purge_journal(journal)
    assert (await gateway.resume_bulk(journal)).complete
    await purge_journal(journal)
    assert not list(journal.parent.iterdir())
    with pytest.raises(JournalError, match="no journal here"):
        await purge_journal(journal)
    assert (await gateway.send_bulk(numbers(2, 8), **ACME, journal=journal)).complete


# --- refused, with nothing sent ---------------------------------------------------------------


class Held:
    """A source of tokens that gives none for a while."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.asked = asyncio.Event()
        self.given = asyncio.Event()

    async def token(self) -> str:
        self.asked.set()
        await self.given.wait()
        return self._token

    async def renew(self, rejected: str) -> str:
        raise AssertionError(rejected)


async def test_another_campaign_of_this_process_is_refused_at_any_time(
    simulator: Simulator, journal: Path
) -> None:
    seen: Counter[str] = Counter()
    held = Held(simulator.token)
    async with GatewayClient(held, base_url=simulator.url, rate=None) as gateway:

        async def others() -> None:
            if journal.exists():
                assert (await read_journal(journal)).running
            for error in await every_use(gateway, journal, reading=False):
                seen[type(error).__name__] += 1
            with pytest.raises(JournalError) as caught:
                await gateway.send_bulk(numbers(1, 50), **ACME, journal=journal)
            seen[type(caught.value).__name__] += 1

        async def source() -> AsyncIterator[str]:
            for one in numbers(3):
                await others()
                yield one

        running = asyncio.create_task(
            gateway.send_bulk(source(), **ACME, batch_size=1, journal=journal)
        )
        await asyncio.wait_for(held.asked.wait(), 10)
        # While the source is read there is no journal yet, but creating it fails: it is locked.
        assert seen == {"JournalError": 6, "JournalLockedError": 3}
        await others()
        assert seen == {"JournalError": 6, "JournalLockedError": 5, "JournalExistsError": 1}
        assert not simulator.requests
        held.given.set()
        receipt = await running
    assert receipt.complete
    check(receipt, simulator, set(numbers(3)))


ANOTHER = """
    import asyncio, sys
    from gateway_sms_async import GatewayClient, GatewayError

    async def main(url, journal, how):
        async with GatewayClient("simulator-token", base_url=url) as gateway:
            try:
                if how == "resume":
                    await gateway.resume_bulk(journal)
                else:
                    await gateway.send_bulk(["+39-3400000099"], sender="ACME", body="Ciao", journal=journal)
            except GatewayError as error:
                print(type(error).__name__)
            else:
                print("sent")

    asyncio.run(main(*sys.argv[1:]))
"""


async def in_another_process(simulator: Simulator, journal: Path, how: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(ANOTHER), simulator.url, str(journal), how]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    out, _ = await process.communicate()
    return out.decode().strip()


async def test_another_process_is_refused_while_a_campaign_runs(
    simulator: Simulator, journal: Path
) -> None:
    held = Held(simulator.token)

    async def source() -> AsyncIterator[str]:
        yield number(0)
        assert await in_another_process(simulator, journal, "send") == "JournalLockedError"
        yield number(1)

    async with GatewayClient(held, base_url=simulator.url, rate=None) as gateway:
        running = asyncio.create_task(gateway.send_bulk(source(), **ACME, journal=journal))
        await asyncio.wait_for(held.asked.wait(), 10)
        assert await in_another_process(simulator, journal, "resume") == "JournalLockedError"
        assert await in_another_process(simulator, journal, "send") == "JournalExistsError"
        assert not simulator.requests
        held.given.set()
        receipt = await running
    check(receipt, simulator, set(numbers(2)))
    assert receipt.requests == len(simulator.requests)


async def test_the_lock_holds_though_this_process_tries_again(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    """POSIX drops a process's locks on a file when it closes any handle of it."""

    async def source() -> AsyncIterator[str]:
        yield number(0)
        with pytest.raises(JournalLockedError):
            await gateway.send_bulk(numbers(1, 50), **ACME, journal=journal)
        assert await in_another_process(simulator, journal, "send") == "JournalLockedError"
        yield number(1)

    receipt = await gateway.send_bulk(source(), **ACME, journal=journal)
    check(receipt, simulator, set(numbers(2)))


async def test_sending_again_with_the_journal_of_another_campaign_is_refused(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    await start_unfinished(gateway, simulator, journal)
    before = len(simulator.requests)
    kept = journal.read_bytes()
    with pytest.raises(JournalExistsError, match="unfinished, resume it"):
        await gateway.send_bulk(numbers(8), **ACME, journal=journal)
    assert len(simulator.requests) == before
    assert journal.read_bytes() == kept
    await gateway.resume_bulk(journal)
    before = len(simulator.requests)
    with pytest.raises(JournalExistsError, match="purge it, or name another file"):
        await gateway.send_bulk(numbers(8), **ACME, journal=journal)
    assert len(simulator.requests) == before
    assert [file.name for file in journal.parent.iterdir()] == ["campaign.db"]


def make_text(path: Path) -> None:
    path.write_text("number\n+39-3400000001\n" * 100, encoding="utf-8")


def make_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB)")
        connection.commit()


def make_database_with_wal(path: Path) -> None:
    make_database(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO log VALUES (1, x'00')")
        connection.commit()


@pytest.mark.parametrize(
    "make",
    [make_text, make_database, make_database_with_wal, Path.touch],
    ids=lambda one: one.__name__,
)
async def test_a_file_that_is_no_journal(
    gateway: GatewayClient, simulator: Simulator, journal: Path, make: Callable[[Path], None]
) -> None:
    make(journal)
    before = journal.read_bytes()
    for error in await every_use(gateway, journal):
        assert type(error) is JournalCorruptError
        assert "this is not a journal of gateway_sms_async" in str(error)
        assert str(journal) in str(error)
    with pytest.raises(JournalExistsError):
        await gateway.send_bulk(numbers(2), **ACME, journal=journal)
    assert journal.read_bytes() == before, "somebody else's file was changed"
    assert [file.name for file in journal.parent.iterdir()] == ["campaign.db"]
    assert not simulator.requests


@pytest.mark.parametrize("where", ["a folder", "no folder", "below a file", "nothing", "/proc"])
async def test_a_place_where_no_journal_can_be(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path, where: str
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    path = {
        "a folder": tmp_path,
        "no folder": tmp_path / "no" / "campaign.db",
        "below a file": tmp_path / "file" / "campaign.db",
        "nothing": tmp_path / "campaign.db",
        # Not even root may make files here.
        "/proc": Path("/proc/self/campaign.db"),
    }[where]
    for error in await every_use(gateway, path):
        assert "there is no journal here" in str(error)
    if where != "nothing":
        with pytest.raises(JournalError, match=r"already|cannot be used") as caught:
            await gateway.send_bulk(numbers(2), **ACME, journal=path)
        assert str(path) in str(caught.value)
    assert not simulator.requests
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


async def test_a_link_to_nowhere_is_not_followed(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    journal.symlink_to(journal.with_name("elsewhere.db"))
    with pytest.raises(JournalExistsError):
        await gateway.send_bulk(numbers(2), **ACME, journal=journal)
    assert not simulator.requests


async def test_a_newer_format_is_refused(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    await start_unfinished(gateway, simulator, journal)
    with contextlib.closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"PRAGMA user_version = {_reading.FORMAT + 1}")
    before = len(simulator.requests)
    for error in await every_use(gateway, journal):
        assert f"newer version of gateway_sms_async (format {_reading.FORMAT + 1}" in str(error)
        assert not isinstance(error, JournalCorruptError)
    assert len(simulator.requests) == before


async def test_another_address_is_refused(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    await start_unfinished(gateway, simulator, journal)
    async with Simulator() as other:
        async with GatewayClient(other.token, base_url=other.url) as elsewhere:
            with pytest.raises(JournalError, match=f"was sent to {simulator.url}; resume it with"):
                await elsewhere.resume_bulk(journal)
        assert not other.requests
    assert (await gateway.resume_bulk(journal)).complete


# --- before there is a journal ----------------------------------------------------------------


async def test_a_source_that_raises_leaves_nothing(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    def source() -> Iterator[str]:
        yield from numbers(7)
        raise OSError("a disk was pulled out")

    with pytest.raises(BulkSendError, match="source of recipients raised OSError") as caught:
        await gateway.send_bulk(source(), **ACME, batch_size=2, journal=journal)
    error = caught.value
    assert isinstance(error.__cause__, OSError)
    assert (error.resumable, error.journal) == (False, None)
    assert sorted(error.receipt.unsent) == numbers(7)
    assert not simulator.requests
    assert not list(journal.parent.iterdir())
    receipt = await gateway.send_bulk(numbers(9), **ACME, batch_size=2, journal=journal)
    check(receipt, simulator, set(numbers(9)))


async def test_a_campaign_cancelled_during_the_intake_leaves_nothing(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    taken = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        yield number(0)
        yield number(1)
        taken.set()
        await asyncio.sleep(10)

    sending = asyncio.create_task(
        gateway.send_bulk(source(), **ACME, batch_size=1, journal=journal)
    )
    await taken.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert not list(journal.parent.iterdir())
    assert not simulator.requests
    assert not tasks_of_ours()


async def test_a_campaign_without_recipients_has_a_journal_too(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    receipt = await gateway.send_bulk(["nobody"], **ACME, journal=journal)
    assert receipt.complete
    assert await gateway.resume_bulk(journal) == receipt
    assert not simulator.requests


def leave_garbage(partial: Path) -> None:
    partial.write_bytes(os.urandom(20_000))


def leave_text(partial: Path) -> None:
    partial.write_text("SQLite format 3\0 not quite", encoding="utf-8")


def leave_half(partial: Path) -> None:
    partial.write_bytes(FIXTURE.read_bytes()[:9_000])


def leave_finished_intake(partial: Path) -> None:
    shutil.copy(FIXTURE, partial)


def leave_rollback(partial: Path) -> None:
    shutil.copy(FIXTURE, partial)
    partial.with_name(partial.name + "-journal").write_bytes(os.urandom(5_000))


def leave_hot(partial: Path) -> None:
    """Die in the middle of a transaction that had reached the file."""
    code = """
        import os, sqlite3, sys
        connection = sqlite3.connect(sys.argv[1], isolation_level=None)
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("PRAGMA application_id = 0x47534D53")
        connection.execute("CREATE TABLE people (first INTEGER PRIMARY KEY, value BLOB)")
        connection.execute("BEGIN")
        for n in range(200):
            connection.execute("INSERT INTO people VALUES (?, zeroblob(3000))", (n,))
        os.kill(os.getpid(), 9)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(partial)], check=False)
    assert partial.with_name(partial.name + "-journal").stat().st_size


@pytest.mark.parametrize(
    "leave",
    [
        Path.touch,
        leave_garbage,
        leave_text,
        leave_half,
        leave_finished_intake,
        leave_rollback,
        leave_hot,
    ],
    ids=lambda one: one.__name__,
)
async def test_what_a_crash_while_the_source_is_read_has_left_stops_no_other_campaign(
    gateway: GatewayClient, simulator: Simulator, journal: Path, leave: Callable[[Path], None]
) -> None:
    partial = journal.with_name(journal.name + ".partial")
    leave(partial)
    partial.chmod(0o600)
    receipt = await gateway.send_bulk(numbers(7), **ACME, batch_size=2, journal=journal)
    check(receipt, simulator, set(numbers(7)))
    assert await gateway.resume_bulk(journal) == receipt
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600
    assert [file.name for file in journal.parent.iterdir()] == ["campaign.db"]


async def test_a_file_left_behind_for_all_to_read_becomes_its_owners(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    partial = journal.with_name(journal.name + ".partial")
    partial.touch()
    partial.chmod(0o666)
    await gateway.send_bulk(numbers(3), **ACME, journal=journal)
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


# --- writes that fail -------------------------------------------------------------------------


class Failing:
    """Lets the n-th statement on any connection fail, before or after it is carried out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.nth = 0
        self.after = False
        self.passed = 0
        connect = sqlite3.connect
        watch = self

        class Connection(sqlite3.Connection):
            def execute(self, *args: Any) -> sqlite3.Cursor:  # type: ignore[override]
                return watch.pass_by(super().execute, *args)

            def executemany(self, *args: Any) -> sqlite3.Cursor:  # type: ignore[override]
                return watch.pass_by(super().executemany, *args)

        def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            return connect(*args, **kwargs, factory=Connection)

        monkeypatch.setattr(sqlite3, "connect", connecting)

    def pass_by(self, execute: Callable[..., sqlite3.Cursor], *args: Any) -> sqlite3.Cursor:
        self.passed += 1
        fails = self.passed == self.nth
        if fails and not self.after:
            raise sqlite3.OperationalError("disk I/O error")
        if fails:
            execute(*args).close()
            raise sqlite3.OperationalError("disk I/O error")
        return execute(*args)

    def at(self, nth: int) -> None:
        self.nth, self.passed = nth, 0

    @property
    def failed(self) -> bool:
        return 0 < self.nth <= self.passed


def sender(gateway: GatewayClient, people: list[str], journal: Path) -> Callable[[], Any]:
    return functools.partial(
        gateway.send_bulk,
        people,
        **ACME,
        batch_size=2,
        recipients_per_message=6,
        journal=journal,
    )


async def attempt(
    simulator: Simulator, campaign: Callable[[], Any], all_numbers: set[str]
) -> tuple[Receipt | None, JournalError | None]:
    """Run a campaign; return its receipt, or the error that says that nothing was sent."""
    before = len(simulator.requests)
    try:
        receipt = await campaign()
    except BulkSendError as error:
        assert isinstance(error.__cause__, JournalError), error
        assert error.resumable
        receipt = error.receipt
        assert not receipt.complete
    except JournalError as error:
        assert len(simulator.requests) == before
        return None, error
    check_ledger(receipt, simulator.ledger, all_numbers)
    return receipt, None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("which", ["the campaign", "the resume"])
async def test_every_statement_failing(
    which: str, after: bool, monkeypatch: pytest.MonkeyPatch, room: Path
) -> None:
    failing = Failing(monkeypatch)
    failing.after = after
    all_numbers = set(numbers(8))
    shapes: Counter[str] = Counter()
    for nth in range(1, 1_000):
        journal = room / f"{nth}.db"
        async with (
            Simulator() as simulator,
            GatewayClient(
                simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
            ) as gateway,
        ):
            send = sender(gateway, numbers(8), journal)
            resume = functools.partial(gateway.resume_bulk, journal)
            campaign: Callable[[], Any] = send
            if which == "the resume":
                failing.at(0)
                await start_unfinished(gateway, simulator, journal)
                campaign = resume
            failing.at(nth)
            receipt, error = await attempt(simulator, campaign, all_numbers)
            failed = failing.failed
            failing.at(0)
            if receipt is None:
                assert error is not None
                shapes[type(error).__name__] += 1
                assert type(error) is JournalError
            elif not receipt.complete:
                shapes["BulkSendError"] += 1
            if journal.exists():
                receipt = await resume()
            else:
                assert not simulator.requests
                receipt = await send()
            assert receipt.complete
            check_ledger(receipt, simulator.ledger, all_numbers)
            assert simulator.ledger == Counter(numbers(8))
            await purge_journal(journal)
            assert not list(room.iterdir())
        if not failed:
            break
    assert shapes["JournalError"] > 5
    assert shapes["BulkSendError"] > 2


@pytest.mark.parametrize("name", ["add_recipients", "publish", "commit"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_every_write_failing(
    name: str, after: bool, monkeypatch: pytest.MonkeyPatch, room: Path
) -> None:
    """The error is raised where SQLite would raise it, so that it is explained."""
    original = getattr(Store, name)
    passed = 0
    nth = 0

    def failing(store: Store, *args: Any, **more: Any) -> Any:
        nonlocal passed
        passed += 1
        with _connection.explained(store.path):
            if passed == nth and not after:
                raise sqlite3.OperationalError("disk I/O error")
            done = original(store, *args, **more)
            if passed == nth:
                raise sqlite3.OperationalError("disk I/O error")
            return done

    monkeypatch.setattr(Store, name, failing)
    all_numbers = set(numbers(9))
    for turn in range(1, 100):
        journal = room / f"{turn}.db"
        async with (
            Simulator() as simulator,
            GatewayClient(
                simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
            ) as gateway,
        ):
            send = sender(gateway, numbers(9), journal)
            passed, nth = 0, turn
            await attempt(simulator, send, all_numbers)
            failed = passed >= nth
            nth = 0
            receipt = await (gateway.resume_bulk(journal) if journal.exists() else send())
            assert receipt.complete
            check_ledger(receipt, simulator.ledger, all_numbers)
        if not failed:
            break
    assert turn > 1


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size; Python ignores the signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_during_the_intake(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    with files_up_to(100_000):
        with pytest.raises(JournalError, match="cannot be used") as caught:
            await gateway.send_bulk(numbers(50_000), **ACME, journal=journal)
    assert str(journal) in str(caught.value)
    assert not simulator.requests
    assert not list(journal.parent.iterdir())
    receipt = await gateway.send_bulk(numbers(10), **ACME, journal=journal)
    check(receipt, simulator, set(numbers(10)))


@pytest.mark.parametrize("pages", [8, 9, 10])
async def test_a_full_disk_on_the_way(
    gateway: GatewayClient,
    simulator: Simulator,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
    pages: int,
) -> None:
    monkeypatch.setattr(backlog, "_TOGETHER", 2)
    connect = _store.connect
    limit = pages

    def connecting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.execute(f"PRAGMA max_page_count = {limit}")
        return connection

    for module in (_store, _connection):
        monkeypatch.setattr(module, "connect", connecting)
    with pytest.raises(BulkSendError, match="database or disk is full") as caught:
        await gateway.send_bulk(
            numbers(400), **ACME, batch_size=2, recipients_per_message=10, journal=journal
        )
    error = caught.value
    assert error.resumable
    assert error.receipt.unsent
    check(error.receipt, simulator, set(numbers(400)))
    with pytest.raises(BulkSendError, match="full") as caught:
        await gateway.resume_bulk(journal)
    check(caught.value.receipt, simulator, set(numbers(400)))
    limit = 1_000_000
    receipt = await gateway.resume_bulk(journal)
    assert receipt.complete
    check(receipt, simulator, set(numbers(400)))


# --- damage -----------------------------------------------------------------------------------


async def told(path: Path, content: bytes) -> Receipt | None:
    """Return the receipt of a journal with this content, None if it is reported as damaged."""
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    try:
        return await read_journal(path)
    except JournalError as error:
        assert str(path) in str(error)
        assert not isinstance(error, JournalLockedError | JournalExistsError)
        return None


@pytest.fixture
async def finished(room: Path) -> bytes:
    async with (
        Simulator() as simulator,
        GatewayClient(simulator.token, base_url=simulator.url, rate=None) as gateway,
    ):
        await gateway.send_bulk(
            numbers(60), **ACME, batch_size=2, recipients_per_message=10, journal=room / "whole.db"
        )
    return (room / "whole.db").read_bytes()


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["unfinished", "finished"])
async def test_cut_off_at_every_byte(kind: str, finished: bytes, room: Path) -> None:
    whole = FIXTURE.read_bytes() if kind == "unfinished" else finished
    step = 1 if ALL else 7
    last = len(whole) - 2 * 4096
    lengths = [*range(0, last, step), *range(last, len(whole), 1 if ALL else 3)]
    lengths += [page + off for page in range(0, len(whole), 4096) for off in (-1, 0, 1)]
    path = room / "cut.db"
    for length in filter(lambda one: 0 <= one < len(whole), lengths):
        assert await told(path, whole[:length]) is None, f"cut off at {length}"
    assert await told(path, whole) is not None


async def test_grown_files_are_damaged(room: Path) -> None:
    path = room / "grown.db"
    for more in (1, 100, 4096):
        assert await told(path, FIXTURE.read_bytes() + bytes(more)) is None


def record(path: Path, at: int) -> bytes:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        values = connection.execute("SELECT value FROM log ORDER BY number").fetchall()
    return bytes(values[at][0])


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["unfinished", "finished"])
async def test_every_bit_of_the_last_record(kind: str, finished: bytes, room: Path) -> None:
    whole = FIXTURE.read_bytes() if kind == "unfinished" else finished
    path = room / "flipped.db"
    path.write_bytes(whole)
    last = record(path, -1)
    assert whole.count(last) == 1
    start = whole.index(last)
    for at in range(start, start + len(last)):
        for bit in range(8):
            assert await told(path, flipped(whole, at, bit)) is None, f"bit {bit} of byte {at}"


def flipped(whole: bytes, at: int, bit: int) -> bytes:
    return whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["unfinished", "finished"])
async def test_a_bit_anywhere(kind: str, finished: bytes, room: Path) -> None:
    """Reported as damaged, or in an unused place; never another receipt."""
    whole = FIXTURE.read_bytes() if kind == "unfinished" else finished
    path = room / "flipped.db"
    truth = await told(path, whole)
    heads = [at for page in range(0, len(whole), 4096) for at in range(page, page + 12)]
    places = range(len(whole)) if ALL else [*range(108), *heads, *range(0, len(whole), 31)]
    for at in places:
        for bit in range(8) if ALL or at < 108 or at in heads else {at % 8, 7}:
            said = await told(path, flipped(whole, at, bit))
            assert said is None or said == truth, f"bit {bit} of byte {at}"


async def test_a_damaged_journal_is_not_resumed(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    await start_unfinished(gateway, simulator, journal)
    whole = journal.read_bytes()
    at = whole.index(record(journal, -1)) + 2
    before = len(simulator.requests)
    journal.write_bytes(flipped(whole, at, 0))
    for error in await every_use(gateway, journal):
        assert type(error) is JournalCorruptError
        assert "do not send its list again before you have looked" in str(error)
    assert len(simulator.requests) == before
    journal.write_bytes(whole)
    assert (await gateway.resume_bulk(journal)).complete


async def test_a_damaged_journal_is_let_go_of(journal: Path) -> None:
    whole = FIXTURE.read_bytes()
    shutil.copy(FIXTURE, journal)
    at = whole.index(record(journal, 0))
    journal.write_bytes(flipped(whole, at, 0))
    errors: list[JournalError] = []
    for _ in range(3):
        with pytest.raises(JournalCorruptError) as caught:
            await read_journal(journal)
        # A kept error keeps the frames where it was raised, and all their objects.
        errors.append(caught.value)
    journal.write_bytes(whole)
    assert (await read_journal(journal)).total == 18


# --- old formats ------------------------------------------------------------------------------

PEOPLE = numbers(18)


def same_each_time(path: Path) -> Simulator:
    """Return a simulator whose ids are always the same."""
    simulator = Simulator(path=path, clock=lambda: 1_900_000_000.0)
    simulator.gateway._origin = "0000"
    return simulator


def client_at(path: Path, simulator: Simulator) -> GatewayClient:
    return GatewayClient(
        simulator.token,
        base_url=simulator.url,
        rate=None,
        timeout=5,
        retry=QUICK,
        connector=lambda: aiohttp.UnixConnector(str(path)),
    )


async def make_fixture() -> None:
    """Write `data/journal_format_1.db`."""
    with tempfile.TemporaryDirectory() as folder:
        journal, path = Path(folder, "journal.db"), Path(folder, "socket")
        async with same_each_time(path) as simulator, client_at(path, simulator) as gateway:
            simulator.faults.add(Fault.hang(), on="close", skip=1)
            simulator.faults.add(Fault.hang(), on="append", skip=2)
            sending = asyncio.create_task(
                gateway.send_bulk(
                    [(one, {"name": f"N{n}"}) for n, one in enumerate(PEOPLE)],
                    sender="ACME",
                    body="Ciao {{name}}",
                    journal=journal,
                    batch_size=2,
                    recipients_per_message=6,
                    concurrency=2,
                )
            )
            while [one.operation for one in simulator.requests[-2:]] != ["close", "append"]:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.5)
            shutil.copy(journal, FIXTURE)
            sending.cancel()
            await asyncio.wait([sending])


@pytest.mark.parametrize("closed", [False, True], ids=["close lost", "close landed"])
@pytest.mark.parametrize("added", [False, True], ids=["batch lost", "batch landed"])
async def test_a_journal_of_format_1_resumes(closed: bool, added: bool, tmp_path: Path) -> None:
    journal, path = tmp_path / "journal.db", tmp_path / "socket"
    shutil.copy(FIXTURE, journal)

    def people(first: int) -> list[Any]:
        return [{"number": PEOPLE[n], "fields": {"name": f"N{n}"}} for n in range(first, first + 2)]

    async with same_each_time(path) as simulator, client_at(path, simulator) as gateway:
        server = simulator.gateway
        ids: list[str] = []
        for first in (0, 6, 12):
            text = {"sender": "ACME", "body": "Ciao {{name}}"}
            server.post(text | {"recipients": people(first), "transaction": True})
            ids.append(list(server.messages)[-1])
        server.put(ids[0], {"recipients": people(2), "transaction": True})
        server.put(ids[0], {"recipients": people(4), "transaction": False})
        server.put(ids[1], {"recipients": people(8), "transaction": True})
        if closed:
            server.put(ids[1], {"recipients": people(10), "transaction": False})
        if added:
            server.put(ids[2], {"recipients": people(14), "transaction": True})

        shown = await read_journal(journal)
        assert shown.message_ids == (ids[0],)
        assert shown.accepted == 6
        assert list(shown.unknown) == PEOPLE[6:12]
        assert list(shown.unsent) == PEOPLE[12:]
        assert not simulator.requests

        receipt = await gateway.resume_bulk(journal)
        assert receipt.complete
        check(receipt, simulator, set(PEOPLE))
        assert simulator.ledger == Counter(PEOPLE)
        for message_id in receipt.message_ids:
            for report in await gateway.messages.recipients(message_id):
                assert report.body == f"Ciao N{PEOPLE.index(report.number)}"
        assert await gateway.resume_bulk(journal) == receipt


def test_there_is_a_journal_of_every_format() -> None:
    names = {file.name for file in FIXTURE.parent.glob("journal_format_*.db")}
    assert names == {f"journal_format_{one}.db" for one in range(1, _reading.FORMAT + 1)}
