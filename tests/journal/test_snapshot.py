"""A journal is read at any time, also while it is written: what is read was true at some moment."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway_sms_async import JournalCorruptError, JournalError, JournalLockedError, read_journal
from gateway_sms_async._journal import snapshot as _snapshot
from gateway_sms_async._journal.lock import JournalLock
from gateway_sms_async._journal.snapshot import Snapshot
from gateway_sms_async._journal.store import Store

from ..support.journals import make_journal

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def journal() -> Iterator[Path]:
    """Return a journal in a folder in memory, if that can be had."""
    memory = "/dev/shm"
    house = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="journal-", dir=house) as folder:
        yield make_journal(Path(folder, "campaign.db"))


def log_of(journal: Path) -> list[bytes]:
    with closing(Snapshot.open(journal)) as snapshot:
        return list(snapshot.log())


@pytest.mark.parametrize("size", [20, 900, 6_000])
def test_what_is_read_while_it_is_written_is_the_beginning_of_the_log(
    journal: Path, size: int
) -> None:
    """Pages of several moments are mixed, and never give a log that there was not."""
    values = [n.to_bytes(4) + bytes(size) for n in range(1_000)]
    written = 0
    opened = threading.Event()
    stop = threading.Event()

    def write() -> None:
        nonlocal written
        store = Store.open(journal)
        try:
            list(store.log())
            opened.set()
            while written < len(values) and not stop.is_set():
                store.commit(values[written : written + 3])
                written += 3
        finally:
            opened.set()
            store.close()

    writer = threading.Thread(target=write)
    writer.start()
    reads = 0
    try:
        assert opened.wait(30)
        while writer.is_alive() and reads < 300:
            before = written
            found = log_of(journal)
            assert before <= len(found), "it is older than when it was asked for"
            assert found == values[: len(found)]
            reads += 1
    finally:
        stop.set()
        writer.join()
    assert reads
    assert log_of(journal) == values[: len(log_of(journal))]


async def test_reading_leaves_all_files_as_they_are(journal: Path) -> None:
    store = Store.open(journal)
    try:
        list(store.log())
        files = {one.name: one.stat().st_mtime_ns for one in journal.parent.iterdir()}
        assert (await read_journal(journal)).running
        assert files == {one.name: one.stat().st_mtime_ns for one in journal.parent.iterdir()}
        # The writer goes on.
        store.commit([])
    finally:
        store.close()
    assert not (await read_journal(journal)).running
    assert [one.name for one in journal.parent.iterdir()] == [journal.name]


async def test_a_damaged_one_is_damaged_while_it_is_locked_too(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_snapshot, "_WAIT", 0.0)
    make_journal(journal, statements=["UPDATE people SET value = x'00'"])
    lock = JournalLock(journal)
    try:
        with pytest.raises(JournalCorruptError, match="a checksum is wrong"):
            await read_journal(journal)
        journal.write_bytes(b"no journal" * 500)
        with pytest.raises(JournalCorruptError, match="not a journal"):
            await read_journal(journal)
        journal.unlink()
        with pytest.raises(JournalError, match="there is no journal here"):
            await read_journal(journal)
    finally:
        lock.release()


def test_a_snapshot_is_not_written(journal: Path) -> None:
    """It has no way to write, and takes no lock from others."""
    with closing(Snapshot.open(journal)) as snapshot:
        assert not hasattr(snapshot, "commit")
        store = Store.open(journal)
        with pytest.raises(JournalLockedError):
            Store.open(journal)
        store.close()
