"""Builds journals from any records and any tables, valid or not."""

from __future__ import annotations

import contextlib
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from gateway_sms_async._journal.connection import APPLICATION_ID
from gateway_sms_async._journal.schema import Settings, StoredRow, StoredSource, encode_value

TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE people (first INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE log (number INTEGER PRIMARY KEY, value BLOB NOT NULL)",
)

SETTINGS = Settings(
    base_url="http://127.0.0.1:9",
    sender="ACME",
    body="Ciao",
    priority=None,
    options={},
    test=False,
    batch_size=500,
    concurrency=2,
    recipients_per_message=20_000,
    careful=False,
    verify_always=False,
    max_cost=None,
    max_recipients=None,
)


def row_of(count: int, first: int = 0) -> StoredRow:
    """Return a row of recipients that a campaign can have written."""
    numbers = [f"+39-340{n:07}" for n in range(first, first + count)]
    return StoredRow(numbers, {}, [(first, first + count)], {})


def sealed(value: bytes, salt: int = 0) -> bytes:
    """Return a value with its checksum."""
    return zlib.crc32(value, salt & 0xFFFFFFFF).to_bytes(4) + value


def chained(values: Sequence[bytes]) -> list[bytes]:
    """Return the values of a log with their checksums."""
    chain = 0
    found: list[bytes] = []
    for value in values:
        chain = zlib.crc32(value, chain)
        found.append(chain.to_bytes(4) + value)
    return found


def make_journal(
    path: Path,
    log: Sequence[bytes] = (),
    *,
    url: str | None = None,
    settings: bytes | None = None,
    source: bytes | None = None,
    rows: Sequence[tuple[int, bytes]] | None = None,
    recipients: int = 10,
    statements: Sequence[str] = (),
    tables: Sequence[str] = TABLES,
) -> Path:
    """Write a journal: whole, with right checksums, and with any content.

    Its campaign was sent to `url`. `statements` are executed at the end. Without the standard tables
    nothing else is written.
    """
    path.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in tables:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
        if tables is TABLES:
            if settings is None:
                base_url = SETTINGS.base_url if url is None else url
                settings = encode_value(replace(SETTINGS, base_url=base_url))
            if source is None:
                source = encode_value(StoredSource(recipients, 0, recipients, []))
            if rows is None:
                rows = [(0, encode_value(row_of(recipients)))] if recipients else []
            connection.executemany(
                "INSERT INTO meta VALUES (?, ?)",
                [("settings", sealed(settings)), ("taken", sealed(source))],
            )
            connection.executemany(
                "INSERT INTO people VALUES (?, ?)",
                [(first, sealed(value, first)) for first, value in rows],
            )
            connection.executemany(
                "INSERT INTO log VALUES (?, ?)", enumerate(chained(log), start=1)
            )
        for statement in statements:
            connection.execute(statement)
    path.chmod(0o600)
    return path
