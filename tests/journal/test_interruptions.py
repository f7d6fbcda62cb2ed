"""A journal whose code is interrupted at each of its lines: what it leaves is whole, and not locked.

An interruption is any exception that the code did not expect: no memory, a signal handler that
raises. Each line is one run. Lines that only begin or end a block do nothing that can fail, and the
first line of a function is part of the call for its caller.
"""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

from __future__ import annotations

import asyncio
import contextlib
import linecache
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, Self

import pytest

from gateway_sms_async._journal import journal as _journal, lock as _lock, store as _store
from gateway_sms_async._journal.journal import Journal
from gateway_sms_async._journal.records import (
    Appended,
    AppendIntent,
    CloseIntent,
    Finished,
    Opened,
    OpenIntent,
    Record,
    decode,
)
from gateway_sms_async._journal.schema import Settings
from gateway_sms_async._journal.store import Store
from gateway_sms_async._recipients.batches import Batch, Batcher
from gateway_sms_async.errors import JournalError

from ..support.accounting import numbers

pytestmark = pytest.mark.timeout(120)


_EDGE = re.compile(r"(try|else|finally):|except .*|with .*|return( \w+)?")


class Interruption(BaseException):
    """What no code expects."""


RAISED: type[BaseException] = Interruption


class Interrupting:
    """Raises at the `nth` line that this thread runs in some modules."""

    def __init__(self, nth: int, *modules: Any) -> None:
        self._left = nth
        self._files = {module.__file__ for module in modules}
        self.where: str | None = None

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in self._files or frame.f_code.co_name == "<module>":
            return None
        return self._entered

    def _entered(self, frame: FrameType, event: str, _: object) -> Any:
        # The first line of the function.
        return self._line if event == "line" else self._entered

    def _line(self, frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and self.where is None:
            text = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
            if not _EDGE.fullmatch(text):
                self._left -= 1
                if not self._left:
                    self.where = f"{frame.f_code.co_name}, line {frame.f_lineno}: {text}"
                    raise RAISED
        return self._line


def lines(*modules: Any) -> Iterator[Interrupting]:
    """Yield one interruption for each line, until one run had no such line."""
    for nth in range(1, 2_000):
        interrupting = Interrupting(nth, *modules)
        yield interrupting
        if interrupting.where is None:
            assert nth > 20
            return
    raise AssertionError("no end")


LEFT = {"campaign.db", "campaign.db.partial", "campaign.db.partial-journal", "campaign.db.lock"}
"""What the next use deletes. A lock file locks nothing unless a process holds it."""


META = {"settings": b"s", "taken": b"t"}


def content(path: Path) -> list[bytes]:
    """Return the log of a journal, which must be whole."""
    store = Store.open(path)
    try:
        assert store.meta() == META
        assert store.recipients(0) == (0, b"people")
        return list(store.log())
    finally:
        store.close()


def close(store: Store | None) -> None:
    """Close a store; if that is interrupted, close it again."""
    if store is not None:
        for _ in range(2):
            with contextlib.suppress(Interruption):
                store.close()


def test_a_store_interrupted_while_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    for interrupting in lines(_store, _lock):
        store: Store | None = None
        with interrupting, contextlib.suppress(Interruption):
            store = Store.create(path)
            store.add_recipients(0, b"people")
            store.publish(META)
        close(store)
        left = {file.name for file in tmp_path.iterdir()}
        assert left <= LEFT, interrupting.where
        if path.exists():
            assert content(path) == [], interrupting.where
            path.unlink()
        # Nothing is locked, and what was left does not matter.
        Store.create(path).close()
        assert not list(tmp_path.iterdir()), interrupting.where


def test_a_store_interrupted_while_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "campaign.db"
    for interrupting in lines(_store, _lock):
        path.unlink(missing_ok=True)
        store: Store | None = Store.create(path)
        assert store is not None
        store.add_recipients(0, b"people")
        store.publish(META)
        store.close()
        store = None
        durable: list[bytes] = []
        attempted: list[bytes] = []
        with interrupting:
            with contextlib.suppress(Interruption):
                store = Store.open(path)
                list(store.log())
            # Those who record do not know that another one was interrupted.
            for value in (b"1", b"2", b"3") if store is not None else ():
                attempted.append(value)
                with contextlib.suppress(Interruption, JournalError):
                    store.commit([value])
                    durable.append(value)
            close(store)
        try:
            log = content(path)
        except JournalError as error:
            raise AssertionError(interrupting.where) from error
        assert log == attempted[: len(log)], interrupting.where
        assert durable == log[: len(durable)], interrupting.where
        assert {file.name for file in tmp_path.iterdir()} == {"campaign.db"}, interrupting.where


# --- on the loop ------------------------------------------------------------------------------

SETTINGS = Settings(
    base_url="http://localhost",
    sender="ACME",
    body="Ciao",
    priority=None,
    options={},
    test=False,
    batch_size=2,
    concurrency=2,
    recipients_per_message=10,
    careful=False,
    verify_always=False,
    max_cost=None,
    max_recipients=None,
)
FIRST: list[tuple[Record, bool]] = [
    (OpenIntent(0, [(0, 2)]), True),
    (Opened(0, "a" * 24, 2), False),
    (AppendIntent(0, 1, [(2, 4)]), True),
    (Appended(0, 1, 4), False),
    (CloseIntent(0, [(4, 6)], 4, 0, True), True),
]
SECOND: list[tuple[Record, bool]] = [
    (OpenIntent(1, [(6, 8)]), True),
    (Opened(1, "b" * 24, 2), False),
    (AppendIntent(1, 1, [(8, 9)]), True),
]
LAST: list[tuple[Record, bool]] = [
    (Finished(True, [], [], 1, 0, 1.0, None), True),
    (Appended(1, 1, 3), False),
]


class Recorder:
    """Records as a campaign does, and goes on after an error as its other tasks do."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.attempted: list[Record] = []
        self.durable: list[Record] = []

    async def record(self, records: list[tuple[Record, bool]]) -> None:
        for record, is_intent in records:
            with contextlib.suppress(Interruption, JournalError, MemoryError):
                self.attempted.append(record)
                if is_intent:
                    await self._journal.intend(record)
                    self.durable.append(record)
                else:
                    self._journal.note(record)


def source() -> tuple[Batch, Batcher]:
    batch = Batch()
    batch.numbers = batch.written = numbers(9)
    batch.positions = range(9)
    batcher = Batcher((), allow_missing_fields=True)
    batcher.total = 9
    return batch, batcher


async def close_journal(journal: Journal | None) -> None:
    if journal is not None:
        for _ in range(2):
            with contextlib.suppress(Interruption, MemoryError):
                await journal.close()


async def write(path: Path) -> None:
    """Write a journal whose campaign has not begun."""
    batch, batcher = source()
    journal = await Journal.create(path)
    await journal.add_recipients(batch)
    await journal.publish(SETTINGS, batcher)
    await journal.close()


async def log_of(path: Path) -> list[Record]:
    store = Store.open(path)
    try:
        return [decode(value) for value in store.log()]
    finally:
        store.close()


def quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Log no exception of a callback: the interruption is one."""
    loop.set_exception_handler(lambda *_: None)


async def test_a_journal_interrupted_while_the_source_is_read(tmp_path: Path) -> None:
    quiet(asyncio.get_running_loop())
    path = tmp_path / "campaign.db"
    for interrupting in lines(_journal):
        journal: Journal | None = None
        batch, batcher = source()
        async with asyncio.timeout(20):
            with interrupting:
                with contextlib.suppress(Interruption, JournalError):
                    journal = await Journal.create(path)
                    await journal.add_recipients(batch)
                    await journal.publish(SETTINGS, batcher)
                await close_journal(journal)
        await settled(path, interrupting)
        if path.exists():
            reopened, saved = await Journal.open(path)
            await reopened.close()
            assert saved.recipients == 9
            path.unlink()
        assert not list(tmp_path.iterdir()), interrupting.where


async def settled(path: Path, interrupting: Interrupting) -> None:
    """Wait until the thread of an interrupted journal has ended, as it does by itself."""
    for _ in range(1_000):
        if not any(one.name.startswith("gateway-sms-journal") for one in threading.enumerate()):
            assert not path.with_name(path.name + ".lock").exists(), interrupting.where
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"its thread never ends: {interrupting.where}")


@pytest.mark.parametrize("kind", [Interruption, MemoryError], ids=lambda one: one.__name__)
async def test_a_journal_interrupted_while_a_campaign_records(
    tmp_path: Path, kind: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in the file is the beginning of what was recorded, with all that is called durable."""
    monkeypatch.setattr(sys.modules[__name__], "RAISED", kind)
    quiet(asyncio.get_running_loop())
    path = tmp_path / "campaign.db"
    for interrupting in lines(_journal):
        path.unlink(missing_ok=True)
        await write(path)
        recorder: Recorder | None = None
        journal: Journal | None = None
        async with asyncio.timeout(20):
            with interrupting:
                with contextlib.suppress(Interruption, JournalError, MemoryError):
                    journal, _ = await Journal.open(path)
                if journal is not None:
                    recorder = Recorder(journal)
                    await asyncio.gather(recorder.record(FIRST), recorder.record(SECOND))
                    await recorder.record(LAST)
                await close_journal(journal)
        await settled(path, interrupting)
        log = await log_of(path)
        if recorder is not None:
            assert log == recorder.attempted[: len(log)], (
                interrupting.where,
                log,
                recorder.attempted,
            )
        reopened, _ = await Journal.open(path)
        await reopened.close()
        if recorder is not None:
            assert log == recorder.attempted[: len(log)], interrupting.where
            assert all(record in log for record in recorder.durable), interrupting.where
        assert {file.name for file in tmp_path.iterdir()} == {"campaign.db"}, interrupting.where
