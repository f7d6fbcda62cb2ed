"""Names that lead to other files: a journal is neither written nor deleted through them."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import (
    GatewayClient,
    JournalCorruptError,
    JournalError,
    purge_journal,
    read_journal,
)
from gateway_sms_async._journal.connection import connect_new
from gateway_sms_async._journal.records import Finished, encode
from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers
from ..support.cli import invoke
from ..support.journals import make_journal

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "campaign.db"


@pytest.fixture(autouse=True)
def _folder(journal: Path) -> None:
    journal.parent.mkdir()


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Return a database of another program, with tables of the names that a journal has."""
    path = tmp_path / "victim.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("meta", "people", "log"):
            connection.execute(f"CREATE TABLE {table} (a)")
            connection.execute(f"INSERT INTO {table} VALUES ('kept')")
        connection.commit()
    return path


def finished(path: Path) -> Path:
    """Make a journal of a campaign without recipients that has finished."""
    record = Finished(True, [], [], 0, 0, 1.0, None)
    return make_journal(path, [encode(record)], recipients=0)


def symbolic(name: Path, target: Path) -> None:
    name.symlink_to(target)


def hard(name: Path, target: Path) -> None:
    name.hardlink_to(target)


@pytest.mark.parametrize("link", [symbolic, hard], ids=lambda one: one.__name__)
@pytest.mark.parametrize("name", ["campaign.db.partial", "campaign.db.partial-journal"])
async def test_a_link_in_the_place_of_a_new_file_is_refused(
    gateway: GatewayClient,
    journal: Path,
    victim: Path,
    link: Callable[[Path, Path], None],
    name: str,
) -> None:
    planted = journal.with_name(name)
    link(planted, victim)
    before = victim.read_bytes()
    mode = victim.stat().st_mode
    with pytest.raises(
        JournalError, match="it is a link, or not a plain file; delete it"
    ) as caught:
        await gateway.send_bulk(numbers(3), **ACME, journal=journal)
    assert str(caught.value).startswith(f"{planted}: ")
    assert victim.read_bytes() == before
    assert victim.stat().st_mode == mode
    assert [one.name for one in journal.parent.iterdir()] == [planted.name]
    planted.unlink()
    assert (await gateway.send_bulk(numbers(3), **ACME, journal=journal)).complete


async def test_a_link_to_nothing_in_the_place_of_a_new_file_creates_nothing(
    gateway: GatewayClient, journal: Path, tmp_path: Path
) -> None:
    journal.with_name("campaign.db.partial").symlink_to(tmp_path / "new.db")
    with pytest.raises(JournalError, match="it is a link"):
        await gateway.send_bulk(numbers(3), **ACME, journal=journal)
    assert not (tmp_path / "new.db").exists()


async def test_a_pipe_in_the_place_of_a_new_file_is_refused(
    gateway: GatewayClient, journal: Path
) -> None:
    os.mkfifo(journal.with_name("campaign.db.partial"))
    with pytest.raises(JournalError, match="not a plain file"):
        await gateway.send_bulk(numbers(3), **ACME, journal=journal)


async def test_a_database_of_another_program_is_not_emptied(
    gateway: GatewayClient, simulator: Simulator, journal: Path, victim: Path
) -> None:
    planted = victim.rename(journal.with_name("campaign.db.partial"))
    before = planted.read_bytes()
    with pytest.raises(JournalError, match="it is the database of another program; move it"):
        await gateway.send_bulk(numbers(3), **ACME, journal=journal)
    assert planted.read_bytes() == before
    assert not simulator.requests


async def test_a_new_journal_of_a_killed_process_is_replaced(
    gateway: GatewayClient, journal: Path
) -> None:
    """It was killed while it wrote its recipients, so that nothing is in the file yet."""
    with contextlib.closing(connect_new(journal.with_name("campaign.db.partial"))):
        pass
    assert journal.with_name("campaign.db.partial").stat().st_size > 0
    assert (await gateway.send_bulk(numbers(3), **ACME, journal=journal)).complete


async def test_a_file_of_a_killed_process_that_became_a_journal_elsewhere_is_kept(
    gateway: GatewayClient, journal: Path, tmp_path: Path
) -> None:
    """It was killed between the two names of a journal, and then the journal was moved."""
    moved = finished(tmp_path / "moved.db")
    journal.with_name("campaign.db.partial").hardlink_to(moved)
    before = moved.read_bytes()
    with pytest.raises(JournalError, match="it is a link"):
        await gateway.send_bulk(numbers(3), **ACME, journal=journal)
    assert moved.read_bytes() == before


@pytest.mark.parametrize("link", [symbolic, hard], ids=lambda one: one.__name__)
async def test_a_link_in_the_place_of_the_rollback_journal_is_refused(
    gateway: GatewayClient, journal: Path, victim: Path, link: Callable[[Path, Path], None]
) -> None:
    finished(journal)
    link(journal.with_name("campaign.db-journal"), victim)
    before = victim.read_bytes()
    for use in (read_journal, purge_journal, gateway.resume_bulk):
        with pytest.raises(JournalError, match="it is a link"):
            await use(journal)
    assert victim.read_bytes() == before
    assert journal.exists()


async def test_a_purge_of_a_link_names_the_journal(journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(finished(journal))
    assert (await read_journal(link)).complete
    with pytest.raises(JournalError, match="only the link would be deleted") as caught:
        await purge_journal(link)
    assert str(journal.resolve()) in str(caught.value)
    assert link.is_symlink()
    assert journal.exists()
    await purge_journal(journal)
    assert not journal.exists()


async def test_a_purge_of_one_of_two_names_is_refused(journal: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.db"
    second.hardlink_to(finished(journal))
    for name in (journal, second):
        with pytest.raises(JournalError, match="second name"):
            await purge_journal(name)
    assert journal.exists()
    assert second.exists()


@pytest.mark.parametrize("link", [symbolic, hard], ids=lambda one: one.__name__)
async def test_a_link_to_another_file_is_not_purged(
    journal: Path, victim: Path, link: Callable[[Path, Path], None]
) -> None:
    link(journal, victim)
    before = victim.read_bytes()
    with pytest.raises(JournalCorruptError, match="this is not a journal of gateway_sms_async"):
        await purge_journal(journal)
    assert victim.read_bytes() == before
    assert os.path.lexists(journal)


def test_the_command_line_says_it_in_one_line(journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(finished(journal))
    done = invoke("journal", "purge", str(link))
    assert done.exit_code == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"gateway-sms: {link}: this is a symbolic link")
    assert journal.exists()
