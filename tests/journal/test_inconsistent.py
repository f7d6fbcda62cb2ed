"""Journals that are whole and that no campaign can have written: reported as damaged."""

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gateway_sms_async import JournalCorruptError, purge_journal, read_journal
from gateway_sms_async._journal.records import (
    AbandonIntent,
    Appended,
    AppendIntent,
    BatchReleased,
    CloseIntent,
    CloseRefused,
    Ended,
    Opened,
    OpenIntent,
    Ranges,
    Record,
    encode,
)
from gateway_sms_async._journal.schema import StoredRow, StoredSource, decode_source, encode_value
from gateway_sms_async._journal.store import Store

from ..support.paths import DATA

ID = "a" * 24
BEYOND: list[Ranges] = [
    [(0, 19)],
    [(18, 19)],
    [(-1, 3)],
    [(5, 5)],
    [(5, 2)],
    [(0, 2), (0, 10**15)],
    [(10**15, 2**62)],
]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return an unfinished campaign of 18 recipients."""
    path = tmp_path / "campaign.db"
    shutil.copy(DATA / "journal_format_1.db", path)
    return path


def add(path: Path, *records: Record) -> None:
    """Add records to the log, with right checksums."""
    store = Store.open(path)
    try:
        list(store.log())
        store.commit([encode(record) for record in records])
    finally:
        store.close()


async def refused(path: Path) -> None:
    for use in (read_journal, purge_journal):
        with pytest.raises(JournalCorruptError, match="its content is not consistent") as caught:
            await use(path)
        assert str(path) in str(caught.value)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def on_ended(ranges: Ranges) -> list[Record]:
    return [Ended(0, "closed", ID, None, [], [], [], ranges)]


@pytest.mark.parametrize("ranges", BEYOND, ids=str)
@pytest.mark.parametrize(
    "make",
    [
        lambda ranges: [OpenIntent(7, ranges)],
        lambda ranges: [AppendIntent(0, 9, ranges)],
        lambda ranges: [CloseIntent(0, ranges, 1, 0, True)],
        on_ended,
    ],
    ids=["opening", "adding", "closing", "ended"],
)
async def test_a_range_that_is_not_one_of_the_source(
    journal: Path, ranges: Ranges, make: Callable[[Ranges], list[Record]]
) -> None:
    add(journal, *make(ranges))
    await refused(journal)


@pytest.mark.parametrize(
    "record",
    [
        Opened(7, ID, 2),
        AppendIntent(7, 1, [(0, 2)]),
        Appended(0, 99, 2),
        BatchReleased(0, 99),
        CloseIntent(7, [], 1, 0, True),
        CloseRefused(7),
        AbandonIntent(-1),
        Ended(2**40, "closed", ID, None, [], [], [], []),
    ],
    ids=lambda one: f"{type(one).__name__} {one.message}",
)
async def test_a_message_or_a_batch_that_was_never_opened(journal: Path, record: Record) -> None:
    add(journal, record)
    await refused(journal)


def write(path: Path, source: StoredSource, *rows: StoredRow) -> None:
    """Write a journal that has not begun, with this source."""
    other = path.with_name("other.db")
    store = Store.open(path)
    settings = store.meta()["settings"]
    store.close()
    store = Store.create(other)
    first = 0
    for row in rows:
        store.add_recipients(first, encode_value(row))
        first += len(row.numbers)
    store.publish({"settings": settings, "taken": encode_value(source)})
    store.close()
    other.replace(path)


ROW = StoredRow(["+39-3400000000", "+39-3400000001"], {}, [(0, 2)], {})


@pytest.mark.parametrize(
    "change",
    [
        {"people": 3},
        {"people": 1},
        {"people": 10**12, "total": 10**12},
        {"people": 2**63, "total": 2**63},
        {"people": -1},
        {"total": 1},
        {"duplicates": 4},
        {"excluded": [(0, 10**15)]},
        {"invalid": [("nobody", "no number", 3)]},
    ],
    ids=str,
)
async def test_a_source_that_cannot_be(journal: Path, change: dict[str, object]) -> None:
    source = StoredSource(3, 1, 2, [])
    write(journal, source, ROW)
    assert (await read_journal(journal)).total == 3
    write(journal, msgspec.structs.replace(source, **change), ROW)
    await refused(journal)


@pytest.mark.parametrize(
    "change",
    [
        {"positions": [(0, 10**15)]},
        {"positions": []},
        {"positions": [(0, 3), (3, 2)]},
        {"written": {2: "x"}},
        {"fields": {2**40: {"name": "x"}}},
    ],
    ids=str,
)
async def test_a_row_that_cannot_be(journal: Path, change: dict[str, object]) -> None:
    row = msgspec.structs.replace(ROW, **change)
    write(journal, StoredSource(3, 1, 2, []), row)
    with pytest.raises(JournalCorruptError, match="its content is not consistent"):
        await read_journal(journal)


def test_the_source_of_the_fixture(journal: Path) -> None:
    """The records above are out of range for it."""
    store = Store.open(journal)
    try:
        assert decode_source(store.meta()["taken"]).people == 18
    finally:
        store.close()
