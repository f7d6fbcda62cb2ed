"""The lock of a journal: one process at a time, whatever else a process does with its files."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import asyncio
import errno
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    JournalError,
    JournalExistsError,
    JournalLockedError,
    purge_journal,
    read_journal,
)
from gateway_sms_async._journal.lock import JournalLock
from gateway_sms_async._journal.store import Store
from gateway_sms_async.testing import Simulator

from ..support.accounting import check_ledger, numbers
from ..support.paths import DATA, ROOT

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
ALL_NUMBERS = numbers(40)

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "campaign.db"


class Running:
    """A campaign in another process, which waits for a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def said(self) -> str:
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 30)).decode().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")


@asynccontextmanager
async def running(
    simulator: Simulator, journal: Path, when: str, what: str
) -> AsyncIterator[Running]:
    """Start a campaign in another process, and wait until it has come to `when`."""
    child = "tests.support.children.journal_child"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", child, simulator.url, str(journal), when, what),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        one = Running(process)
        assert await one.said() == "ready"
        yield one
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        # A process that it forked may hold the other ends, so the pipes do not close by themselves.
        process._transport.close()  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)


# --- another process -------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["nothing", "read", "copy", "fork"])
async def test_no_other_process_resumes_it_whatever_its_own_process_reads(
    gateway: GatewayClient, simulator: Simulator, journal: Path, what: str
) -> None:
    async with running(simulator, journal, "sending", what) as campaign:
        before = len(simulator.requests)
        for use in (gateway.resume_bulk, purge_journal):
            with pytest.raises(JournalLockedError):
                await use(journal)
        now = await read_journal(journal)
        assert now.running
        # The end of the first message is written with the next commit.
        assert now.accepted + len(now.unknown) == 10
        assert len(now.unsent) == 30
        with pytest.raises(JournalExistsError):
            await gateway.send_bulk(ALL_NUMBERS, **ACME, journal=journal)
        assert len(simulator.requests) == before
        campaign.go_on()
        assert await campaign.said() == "complete"
        # Its process still runs, and so does a process that it forked.
        assert (await gateway.resume_bulk(journal)).complete
    assert simulator.ledger == Counter(ALL_NUMBERS)


@pytest.mark.parametrize("what", ["nothing", "read", "copy", "fork"])
async def test_no_other_process_takes_a_journal_whose_source_is_being_read(
    gateway: GatewayClient, simulator: Simulator, journal: Path, what: str
) -> None:
    async with running(simulator, journal, "intake", what) as campaign:
        with pytest.raises(JournalLockedError):
            await gateway.send_bulk(numbers(5, 50), **ACME, journal=journal)
        with pytest.raises(JournalError, match="there is no journal here"):
            await gateway.resume_bulk(journal)
        assert not simulator.requests
        campaign.go_on()
        assert await campaign.said() == "complete"
    assert simulator.ledger == Counter(ALL_NUMBERS)
    assert [file.name for file in journal.parent.iterdir()] == ["campaign.db"]


async def test_a_killed_process_leaves_a_lock_file_that_locks_nothing(
    gateway: GatewayClient, simulator: Simulator, journal: Path, tmp_path: Path
) -> None:
    async with running(simulator, journal, "sending", "nothing") as campaign:
        campaign.process.kill()
        await campaign.process.wait()
    assert (tmp_path / "campaign.db.lock").exists()
    copied = shutil.copytree(tmp_path, tmp_path / "copy") / "campaign.db"
    assert not (await read_journal(copied)).complete
    receipt = await gateway.resume_bulk(journal)
    check_ledger(receipt, simulator.ledger, set(ALL_NUMBERS))
    assert receipt.complete
    assert not list(tmp_path.rglob("*.lock"))


# --- files that disappear ---------------------------------------------------------------------


def delete(file: Path) -> None:
    file.unlink()


def replace(file: Path) -> None:
    """Put a copy in its place, as some editors and synchronising programs do."""
    shutil.copy(file, file.with_name("other"))
    file.with_name("other").replace(file)


def move(file: Path) -> None:
    file.rename(file.with_name("other"))


@pytest.mark.parametrize("which", ["campaign.db", "campaign.db.lock"])
@pytest.mark.parametrize("how", [delete, replace, move], ids=lambda one: one.__name__)
async def test_a_campaign_whose_lock_may_be_gone_stops_before_its_next_request(
    gateway: GatewayClient,
    simulator: Simulator,
    tmp_path: Path,
    how: Callable[[Path], None],
    which: str,
) -> None:
    journal = tmp_path / "campaign.db"
    kept = tmp_path / "kept.db"
    at_that_time = 0

    def lose_it(request: Any) -> float:
        nonlocal at_that_time
        if request.operation == "close" and not at_that_time:
            at_that_time = len(simulator.requests)
            kept.hardlink_to(journal)
            how(tmp_path / which)
        return 0.0

    simulator.delay = lose_it
    with pytest.raises(BulkSendError, match="was deleted or replaced") as caught:
        await gateway.send_bulk(
            ALL_NUMBERS,
            **ACME,
            batch_size=5,
            recipients_per_message=10,
            concurrency=1,
            journal=journal,
        )
    assert isinstance(caught.value.__cause__, JournalError)
    assert which in str(caught.value)
    receipt = caught.value.receipt
    # The close that was under way, and looks at what it did; nothing that sends.
    later = [one.operation for one in simulator.requests[at_that_time:]]
    assert not {"open", "append", "close"} & set(later[1:]), later
    check_ledger(receipt, simulator.ledger, set(ALL_NUMBERS))
    assert 0 < receipt.accepted < 40

    # Resumed from the file that the campaign wrote, nobody is texted twice.
    other = tmp_path / "again" / "campaign.db"
    other.parent.mkdir()
    shutil.copy(kept, other)
    receipt = await gateway.resume_bulk(other)
    assert receipt.complete
    assert simulator.ledger == Counter(ALL_NUMBERS)


async def test_another_process_that_took_over_keeps_its_files(
    gateway: GatewayClient, simulator: Simulator, journal: Path
) -> None:
    """The loser of a lock deletes nothing of the one that has it now."""
    store = Store.open(_unfinished(journal))
    lock = journal.with_name("campaign.db.lock")
    lock.unlink()
    winner = JournalLock(journal)
    with pytest.raises(JournalError, match="lock file of this campaign was deleted or replaced"):
        store.commit([])
    with pytest.raises(JournalError, match="earlier write has failed"):
        store.commit([])
    store.close()
    assert winner.is_held
    with pytest.raises(JournalLockedError):
        await purge_journal(journal)
    winner.release()
    assert not lock.exists()
    assert (await read_journal(journal)).total == 18


# --- two names, foreign files, folders that cannot be written ---------------------------------


def _unfinished(journal: Path) -> Path:
    shutil.copy(DATA / "journal_format_1.db", journal)
    return journal


async def test_a_symbolic_link_has_the_lock_of_its_file(journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "other.db"
    link.parent.mkdir()
    link.symlink_to(_unfinished(journal))
    lock = JournalLock(link)
    assert lock.path == journal.with_name("campaign.db.lock")
    for name in (link, journal):
        with pytest.raises(JournalLockedError):
            await purge_journal(name)
        assert (await read_journal(name)).running
    lock.release()
    assert (await read_journal(link)).total == 18
    assert not list(tmp_path.rglob("*.lock"))


async def test_a_journal_with_a_second_name_is_refused(journal: Path) -> None:
    second = journal.with_name("second.db")
    second.hardlink_to(_unfinished(journal))
    for name in (journal, second):
        with pytest.raises(JournalError, match="second name"):
            await read_journal(name)
    second.unlink()
    assert (await read_journal(journal)).total == 18


@pytest.mark.parametrize("kind", ["a link", "a folder", "a pipe"])
async def test_a_lock_file_that_is_none_is_refused(journal: Path, kind: str) -> None:
    lock = journal.with_name("campaign.db.lock")
    target = journal.with_name("target")
    match kind:
        case "a link":
            lock.symlink_to(target)
        case "a folder":
            lock.mkdir()
        case _:
            os.mkfifo(lock)
    with pytest.raises(JournalError, match=r"cannot be used|not a plain file"):
        await read_journal(_unfinished(journal))
    assert os.path.lexists(lock)
    assert not target.exists()


async def test_a_file_of_another_program_is_not_deleted(journal: Path) -> None:
    lock = journal.with_name("campaign.db.lock")
    lock.write_text("mine", encoding="utf-8")
    assert (await read_journal(_unfinished(journal))).total == 18
    assert lock.read_text(encoding="utf-8") == "mine"


async def test_a_journal_in_a_folder_that_cannot_be_written_is_read_and_not_resumed(
    gateway: GatewayClient,
    simulator: Simulator,
    journal: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opening = os.open

    def refused(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opening(path, flags, *args, **kwargs)

    monkeypatch.setattr(os, "open", refused)
    assert (await read_journal(_unfinished(journal))).total == 18
    store = Store.open(journal)
    for write in (lambda: store.commit([b""]), store.remove):
        with pytest.raises(JournalError, match=r"can only be read|earlier write has failed"):
            write()
    store.close()
    assert journal.exists()
    # A lock file that cannot be opened may be held by its owner.
    journal.with_name("campaign.db.lock").write_bytes(b"")
    with pytest.raises(JournalError, match="Permission denied"):
        await read_journal(journal)


def test_two_that_open_and_close_by_turns_never_hold_it_both(journal: Path) -> None:
    """Each deletes the file when it lets go, and the other one may have opened it before."""
    held = 0
    most = 0
    taken: Counter[int] = Counter()
    counting = threading.Lock()
    until = time.monotonic() + 1.0

    def take(nth: int) -> None:
        nonlocal held, most
        while time.monotonic() < until:
            try:
                lock = JournalLock(journal)
            except JournalLockedError:
                continue
            with counting:
                held += 1
                most = max(most, held)
            assert lock.is_held
            with counting:
                held -= 1
            lock.release()
            taken[nth] += 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(take, range(4)))
    assert most == 1
    assert sum(taken.values()) > 0
    assert not list(journal.parent.iterdir())


def test_a_forked_process_neither_unlocks_nor_deletes(journal: Path) -> None:
    lock = JournalLock(journal)
    child = os.fork()
    if not child:
        status = 1
        try:
            status = int(lock.is_held)
            lock.release()
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert lock.is_held
    with pytest.raises(JournalLockedError):
        JournalLock(journal)
    lock.release()
    JournalLock(journal).release()
