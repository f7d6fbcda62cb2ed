"""Journals that are damaged or made up: one line that names the file, and nothing is sent."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import gc
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from gateway_sms_async import (
    GatewayClient,
    GatewayError,
    JournalCorruptError,
    JournalError,
    purge_journal,
    read_journal,
)
from gateway_sms_async._journal import records
from gateway_sms_async._journal.schema import StoredRow, StoredSource, encode_value
from gateway_sms_async.testing import Simulator

from ..support.cli import invoke
from ..support.journals import SETTINGS, TABLES, make_journal, row_of
from ..support.paths import DATA
from ..support.policy import QUICK

ID = "a" * 24
WHOLE = (DATA / "journal_format_1.db").read_bytes()

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """Return a folder, in memory if that can be had, for what is written many times."""
    memory = "/dev/shm"
    house = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="journal-", dir=house) as folder:
        yield Path(folder)


def is_one_line(error: JournalError, path: Path) -> bool:
    text = str(error)
    return text.startswith(f"{path}: ") and text.isprintable() and len(text) < 500


async def refused(gateway: GatewayClient, path: Path) -> None:
    """Every use of the journal reports it as damaged, and leaves the file as it is."""
    before = path.read_bytes()
    for use in (read_journal, purge_journal, gateway.resume_bulk):
        with pytest.raises(JournalCorruptError) as caught:
            await use(path)
        assert is_one_line(caught.value, path), str(caught.value)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


# --- directed: the log -------------------------------------------------------------------------

OPENED: list[Any] = [records.OpenIntent(0, [(0, 2)]), records.Opened(0, ID, 2)]
SUMMARY = records.RunSummary(3, 0, 1.5, 500, 20_000, False, None, None, "0")
ENDED = records.Ended(0, "closed", ID, None, [], [], [], [])


@pytest.mark.parametrize(
    "record",
    [
        records.AppendIntent(0, 1, [(2, 4), (3, 5)]),
        records.AppendIntent(0, 1, [(2, 4)] * 1_000),
        records.AppendIntent(0, -1, [(2, 4)]),
        records.OpenIntent(-1, [(2, 4)]),
        records.OpenIntent(2**63, [(2, 4)]),
        records.OpenIntent(1, [(4, 6), (3, 5)]),
        records.Opened(0, "../../account", 2),
        records.Opened(0, "a\nb", 2),
        records.Opened(0, ID, 2, True, -1),
        records.CloseIntent(0, [], 2, 0, True, "free"),
        records.CloseIntent(0, [], 2, 0, True, "nan"),
        msgspec.structs.replace(ENDED, state="sent"),
        msgspec.structs.replace(ENDED, price="one euro"),
        msgspec.structs.replace(ENDED, price="-Infinity"),
        msgspec.structs.replace(ENDED, accepted=-1),
        msgspec.structs.replace(ENDED, accepted=2**60),
        msgspec.structs.replace(ENDED, message_id="a b"),
        msgspec.structs.replace(ENDED, unsent=[(0, 2)], unknown=[(0, 2)]),
        msgspec.structs.replace(SUMMARY, wasted="much"),
        msgspec.structs.replace(SUMMARY, wasted="nan"),
        msgspec.structs.replace(SUMMARY, batch_size=0),
        msgspec.structs.replace(SUMMARY, per_message=-5),
        msgspec.structs.replace(SUMMARY, elapsed=float("nan")),
        msgspec.structs.replace(SUMMARY, elapsed=float("-inf")),
        msgspec.structs.replace(SUMMARY, requests=-1),
        records.Finished(True, ["../x"], [], 1, 0, 1.0, None),
        records.Finished(True, [], [], 1, 0, 1.0, "a lot"),
        records.Finished(True, [], [], 1, 0, float("inf"), None),
    ],
    ids=repr,
)
async def test_a_record_that_no_campaign_writes(
    gateway: GatewayClient, tmp_path: Path, record: records.Record
) -> None:
    log = [*OPENED, record]
    await refused(gateway, make_journal(tmp_path / "made.db", map_encoded(log)))


@pytest.mark.parametrize(
    "log",
    [
        [msgspec.structs.replace(ENDED, accepted=9)],
        [records.AppendIntent(0, 1, [(1, 4)])],
        [records.AppendIntent(0, 1, [(1, 4)]), ENDED],
        [ENDED, records.OpenIntent(1, [(0, 3)]), msgspec.structs.replace(OPENED[1], message=1)],
    ],
    ids=repr,
)
async def test_a_log_that_counts_some_twice(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path, log: list[Any]
) -> None:
    path = make_journal(
        tmp_path / "made.db", map_encoded([*OPENED, *log]), settings=settings_at(simulator.url)
    )
    for use in (read_journal, gateway.resume_bulk):
        with pytest.raises(JournalCorruptError, match="the journal is damaged") as caught:
            await use(path)
        assert is_one_line(caught.value, path)
    assert not simulator.requests


def settings_at(url: str, **changes: Any) -> bytes:
    return encode_value(msgspec.structs.replace(SETTINGS, base_url=url, **changes))


def map_encoded(log: list[Any]) -> list[bytes]:
    return [records.encode(one) for one in log]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xc1",
        b"\x93\xa7opening\x00",
        b"\x93\xa7nothing\x00\x90",
        b"\x91" * 100_000,
        b"\xdd\xff\xff\xff\xff",
        b"\x93\xa7opening\x00\x91\x92\xcf" + b"\xff" * 8 + b"\x01",
        b"\x93\xa7opening\x00\x91\x92\xa1\xff\x01",
    ],
    ids=lambda one: one[:20].hex(),
)
async def test_a_record_that_is_none(gateway: GatewayClient, tmp_path: Path, value: bytes) -> None:
    await refused(gateway, make_journal(tmp_path / "made.db", [value]))


# --- directed: settings and recipients ---------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 0},
        {"batch_size": -(2**40)},
        {"concurrency": 0},
        {"recipients_per_message": 0},
        {"recipients_per_message": 2**50},
        {"max_cost": "cheap"},
        {"max_cost": "nan"},
        {"max_cost": "-1"},
        {"max_recipients": -3},
        {"priority": float("nan")},
        {"priority": -2.0},
        {"options": {"callback": {"url": 5}}},
        {"options": {"no such option": True}},
    ],
    ids=str,
)
async def test_settings_that_no_campaign_has(
    gateway: GatewayClient, simulator: Simulator, tmp_path: Path, change: dict[str, Any]
) -> None:
    path = make_journal(tmp_path / "made.db", settings=settings_at(simulator.url, **change))
    with pytest.raises(JournalCorruptError) as caught:
        await gateway.resume_bulk(path)
    assert is_one_line(caught.value, path)
    assert not simulator.requests


async def test_options_that_are_nested_too_deep(gateway: GatewayClient, tmp_path: Path) -> None:
    deep = msgspec.msgpack.encode(msgspec.structs.asdict(SETTINGS))
    deep = deep.replace(b"\xa7options\x80", b"\xa7options\x81\xa1x" + b"\x91" * 50_000 + b"\xc0")
    await refused(gateway, make_journal(tmp_path / "made.db", settings=deep))


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        # The last row is where it should be, and all others are missing.
        (StoredSource(10**12, 0, 10**12, []), [(10**12 - 2, row_of(2))]),
        (StoredSource(2**61, 0, 2**61, []), [(2**61 - 2, row_of(2))]),
        # Many more were left out than any list holds.
        (StoredSource(10**15, 10**15 - 2, 2, []), [(0, row_of(2))]),
        (StoredSource(10**15, 0, 2, [], [(2, 10**15)]), [(0, row_of(2))]),
        (StoredSource(4, 0, 2, [], [(2, 4), (2, 4)]), [(0, row_of(2))]),
        # The counts do not add up.
        (StoredSource(9, 1, 2, []), [(0, row_of(2))]),
        # Rows that hold a recipient twice, or leave one out.
        (StoredSource(3, 0, 3, []), [(0, row_of(2)), (1, row_of(2))]),
        (StoredSource(5, 0, 5, []), [(0, row_of(2)), (3, row_of(2))]),
        # Positions beyond the source.
        (StoredSource(2, 0, 2, []), [(0, row_of(2, first=7))]),
        (StoredSource(2, 0, 2, []), [(0, StoredRow(["1", "2"], {}, [(0, 1), (0, 1)], {}))]),
        (StoredSource(2, 0, 2, []), [(0, StoredRow([], {}, [], {}))]),
    ],
    ids=str,
)
async def test_recipients_that_no_source_has(
    gateway: GatewayClient,
    simulator: Simulator,
    tmp_path: Path,
    source: StoredSource,
    rows: list[tuple[int, StoredRow]],
) -> None:
    path = make_journal(
        tmp_path / "made.db",
        settings=settings_at(simulator.url),
        source=encode_value(source),
        rows=[(first, encode_value(row)) for first, row in rows],
    )
    for use in (read_journal, gateway.resume_bulk):
        with pytest.raises(JournalCorruptError) as caught:
            await use(path)
        assert is_one_line(caught.value, path)
    assert not simulator.requests


# --- directed: tables --------------------------------------------------------------------------

ENDLESS = (
    "WITH RECURSIVE n(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM n) "
    "SELECT number, zeroblob(4) AS value FROM n"
)


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE log", f"CREATE VIEW log AS {ENDLESS}"],
        ["DROP TABLE people", "CREATE VIEW people AS SELECT number AS first, value FROM log"],
        ["CREATE VIEW other AS SELECT 1"],
        ["CREATE TRIGGER t AFTER INSERT ON log BEGIN DELETE FROM log; END"],
        ["CREATE TABLE other (a)"],
        ["CREATE VIRTUAL TABLE other USING fts5(a)"],
        ["CREATE INDEX i ON log (value) WHERE number > 1"],
        ["DROP TABLE log"],
        ["DROP TABLE log", "CREATE TABLE log (number, value)"],
        ["DROP TABLE meta", "CREATE TABLE meta (name, value)"],
        ["DROP TABLE people", "CREATE TABLE people (first, value, more)"],
        [
            "DROP TABLE log",
            "CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB, more AS (randomblob(9)))",
        ],
        [
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET sql = 'CREATE TABLE log (\x1b[31m' WHERE name = 'log'",
        ],
        [
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET rootpage = 1 WHERE name = 'log'",
        ],
        [
            "PRAGMA writable_schema = ON",
            "UPDATE sqlite_master SET rootpage = 99999 WHERE name = 'people'",
        ],
        ["PRAGMA writable_schema = ON", "UPDATE sqlite_master SET name = 'a\nb'"],
    ],
    ids=lambda one: one[-1][:60].replace("\n", " ").replace("\x1b", ""),
)
async def test_tables_that_are_not_those_of_a_journal(
    gateway: GatewayClient, tmp_path: Path, statements: list[str]
) -> None:
    path = tmp_path / "made.db"
    try:
        make_journal(path, statements=statements)
    except sqlite3.OperationalError as error:
        pytest.skip(str(error))
    await refused(gateway, path)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO log VALUES (1, 'text')",
        "INSERT INTO log VALUES (1, 5)",
        "INSERT INTO log VALUES (1, 2.5)",
        "INSERT INTO log VALUES (0, x'0000000000')",
        "INSERT INTO log VALUES (-5, x'0000000000')",
        "INSERT INTO log VALUES (1, x'')",
        "UPDATE meta SET value = 'text'",
        "UPDATE meta SET value = 7",
        "UPDATE meta SET name = x'ff' WHERE name = 'taken'",
        "UPDATE meta SET name = CAST(x'ff' AS TEXT) WHERE name = 'taken'",
        "DELETE FROM meta",
        "UPDATE people SET value = 'text'",
        "UPDATE people SET value = 1",
        "DELETE FROM people",
    ],
)
async def test_values_that_are_not_those_of_a_journal(
    gateway: GatewayClient, tmp_path: Path, statement: str
) -> None:
    await refused(gateway, make_journal(tmp_path / "made.db", statements=[statement]))


async def test_tables_without_a_content(gateway: GatewayClient, tmp_path: Path) -> None:
    await refused(gateway, make_journal(tmp_path / "made.db", tables=TABLES[:2]))


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    path = make_journal(tmp_path / "made.db", statements=["CREATE VIEW other AS SELECT 1"])
    for command in (["journal", "show"], ["journal", "purge"], ["resume"]):
        done = invoke(*command, str(path), env={"OPENAPI_TOKEN": "token"})
        assert done.exit_code == 1
        [line] = done.stderr.splitlines()
        assert line.startswith(f"gateway-sms: {path}: ")
        assert not done.stdout


# --- drawn at random ---------------------------------------------------------------------------

NUMBER = st.integers(-2, 12) | st.sampled_from([-(2**63), 2**31, 2**53, 2**63 - 1, 2**64 - 1])
SMALL = st.integers(0, 3)
MAYBE_TEXT = st.none() | st.sampled_from(["0", "1.20", "-1", "nan", "inf", "x", "", "1e999999"])
IDS = st.sampled_from([ID, "b" * 24, "", "../x", "\x1b"])
RANGE = st.tuples(st.integers(0, 9), st.integers(1, 3)).map(lambda one: (one[0], sum(one)))
WILD = st.tuples(NUMBER, NUMBER)
RANGES = st.lists(RANGE, max_size=3) | st.lists(WILD, max_size=3)
FLOATS = st.floats(0, 100) | st.floats()


def strategy_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Draw records of one kind, with values that fit and values that do not."""
    by_name: dict[str, st.SearchStrategy[Any]] = {
        "message": SMALL | NUMBER,
        "batch": SMALL | NUMBER,
        "message_id": IDS if kind is records.Opened else st.none() | IDS,
        "recipients": RANGES,
        "state": st.sampled_from(["closed", "left_open", "unknown", "abandoned", "x"]),
        "elapsed": FLOATS,
        "message_ids": st.lists(IDS, max_size=2),
        "open_message_ids": st.lists(IDS, max_size=2),
        "accepted": st.none() | NUMBER,
        "reference": st.none() | st.text(max_size=5),
    }
    by_type: dict[Any, st.SearchStrategy[Any]] = {
        "int": NUMBER,
        "bool": st.booleans(),
        "str | None": MAYBE_TEXT,
        "bool | None": st.none() | st.booleans(),
        "Ranges": RANGES,
        "int | None": st.none() | NUMBER,
    }
    fields = [
        by_name[name] if name in by_name else by_type[kind.__annotations__[name]]
        for name in kind.__struct_fields__
    ]
    return st.tuples(*fields).map(lambda values: kind(*values))


KINDS: list[type[Any]] = list(records.Record.__args__)
RECORDS = st.one_of([strategy_of(kind) for kind in KINDS])
VALUES = RECORDS.map(records.encode) | st.binary(max_size=20)
LOGS = st.lists(VALUES, max_size=8) | st.lists(RECORDS.map(records.encode), max_size=8).map(
    lambda log: [records.encode(one) for one in OPENED] + log
)


async def told(path: Path, gateway: GatewayClient | None = None) -> bool:
    """Return whether it can be read; if not, the error must be one line that names the file."""
    try:
        receipt = await read_journal(path)
    except JournalError as error:
        assert is_one_line(error, path), str(error)
        return False
    parts = receipt.accepted + len(receipt.invalid) + receipt.duplicates + receipt.excluded
    parts += len(receipt.doubled) + len(receipt.unknown) + len(receipt.unsent)
    assert parts == receipt.total
    assert len(receipt.outcomes) == receipt.total
    list(receipt.outcomes)
    return True


@settings(max_examples=150, deadline=None)
@given(log=LOGS)
async def test_any_log(room: Path, log: list[bytes]) -> None:
    await told(make_journal(room / "log.db", log))


@settings(max_examples=30, deadline=None)
@given(log=LOGS)
async def test_any_log_is_resumed_or_refused(room: Path, log: list[bytes]) -> None:
    """What a made-up journal says is sent; what cannot be read sends nothing."""
    async with (
        Simulator() as simulator,
        GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway,
    ):
        path = make_journal(room / "resumed.db", log, settings=settings_at(simulator.url))
        if await told(path):
            with suppress(GatewayError):
                await gateway.resume_bulk(path)
            return
        with pytest.raises(JournalError) as caught:
            await gateway.resume_bulk(path)
        assert is_one_line(caught.value, path)
        assert not simulator.requests


SOURCES = st.builds(
    StoredSource,
    total=NUMBER.filter(lambda n: n != 2**31),
    duplicates=NUMBER,
    people=NUMBER,
    invalid=st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3), NUMBER), max_size=2),
    excluded=RANGES,
)
ROWS = st.lists(
    st.tuples(
        st.integers(-1, 9),
        st.builds(
            StoredRow,
            numbers=st.lists(st.text(max_size=4), max_size=4),
            written=st.dictionaries(NUMBER, st.text(max_size=3), max_size=2),
            positions=RANGES,
            fields=st.dictionaries(
                NUMBER, st.dictionaries(st.text(max_size=3), st.text(max_size=3)), max_size=2
            ),
        )
        | st.integers(0, 4).map(row_of),
    ),
    max_size=3,
    unique_by=lambda one: one[0],
)


@settings(max_examples=100, deadline=None)
@given(source=SOURCES, rows=ROWS)
@example(source=StoredSource(3, 0, 3, []), rows=[(0, row_of(3))])
async def test_any_source(
    room: Path, source: StoredSource, rows: list[tuple[int, StoredRow]]
) -> None:
    encoded = [(first, encode_value(row)) for first, row in rows]
    await told(make_journal(room / "source.db", source=encode_value(source), rows=encoded))


OBJECTS = st.sampled_from(
    [
        *TABLES,
        "CREATE TABLE log (number, value)",
        "CREATE TABLE meta (name, value)",
        "CREATE TABLE people (first, value)",
        "CREATE TABLE other (a PRIMARY KEY, b)",
        f"CREATE VIEW log AS {ENDLESS}",
        "CREATE VIEW people AS SELECT 0 AS first, x'00' AS value",
        "CREATE VIEW meta AS SELECT name, sql AS value FROM sqlite_master",
        "CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB NOT NULL CHECK (value > 1))",
    ]
)
BYTES = st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=40))


@settings(max_examples=80, deadline=None)
@given(
    objects=st.lists(OBJECTS, max_size=4, unique_by=lambda one: one.split(" ")[2]),
    damage=st.lists(BYTES, max_size=3),
)
async def test_any_sqlite_file(
    room: Path, objects: list[str], damage: list[tuple[float, bytes]]
) -> None:
    path = make_journal(room / "any.db", tables=objects)
    write_over(path, path.read_bytes(), damage)
    await told(path)


@settings(max_examples=100, deadline=None)
@given(damage=st.lists(BYTES, min_size=1, max_size=4))
async def test_any_damage_to_a_whole_one(room: Path, damage: list[tuple[float, bytes]]) -> None:
    path = room / "damaged.db"
    write_over(path, WHOLE, damage)
    await told(path)


def test_nothing_of_them_is_left_to_be_closed_on_another_thread() -> None:
    gc.collect()  # what is closed there is a warning, and so an error


def write_over(path: Path, whole: bytes, damage: list[tuple[float, bytes]]) -> None:
    content = bytearray(whole)
    for where, new in damage:
        at = int(where * len(content))
        content[at : at + len(new)] = new
    path.write_bytes(content)


@settings(max_examples=100, deadline=None)
@given(content=st.binary(max_size=200), header=st.booleans())
async def test_any_bytes(room: Path, content: bytes, header: bool) -> None:
    path = room / "bytes.db"
    path.write_bytes((WHOLE[:100] if header else b"") + content)
    assert not await told(path)


async def test_a_journal_that_the_builder_makes_is_read(tmp_path: Path) -> None:
    path = make_journal(tmp_path / "made.db", map_encoded(OPENED))
    assert (await read_journal(path)).total == 10
