"""Campaigns in several worker processes that share a folder: one runs each, and all know of it."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import asyncio
import json
import os
import stat
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway_sms_async import Campaigns, CampaignStatus, GatewayClient, JournalError
from gateway_sms_async._private_folder import foreign_access
from gateway_sms_async.testing import Simulator

from .support.accounting import numbers
from .support.cli import env
from .support.journals import make_journal
from .support.paths import ROOT

COUNT = 600

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "campaigns"


class Worker:
    """A worker process, which answers lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    def tell(self, *words: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(" ".join(map(str, words)).encode() + b"\n")

    async def said(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 60))

    async def asked(self, *words: object) -> Any:
        self.tell(*words)
        return await self.said()

    async def until(self, name: str, is_so: Callable[[Any], bool]) -> Any:
        """Ask for the status of a campaign until it is as it should be."""
        while not is_so(status := await self.asked("status", name)):
            await asyncio.sleep(0.05)
        return status

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def worker(simulator: Simulator, folder: Path) -> AsyncIterator[Worker]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.children.worker_child", simulator.url, str(folder)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        one = Worker(process)
        assert await one.said() == "ready"
        yield one
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["leaves", "is killed"])
async def test_a_campaign_of_another_worker_is_known_and_taken_over(
    simulator: Simulator, folder: Path, how: str
) -> None:
    # A message of three waits: two are sent, and the worker is in the middle of it.
    simulator.delay = lambda request: 0.0 if sum(simulator.ledger.values()) < 200 else 5.0
    async with worker(simulator, folder) as other, worker(simulator, folder) as first:
        assert await first.asked("start", "spring", COUNT) is True
        assert await other.asked("start", "spring", COUNT) is False

        status = await other.until("spring", lambda one: one["progress"]["accepted"] >= 200)
        assert status["state"] == "running"
        assert "another process is using this journal" in status["reason"]
        assert status["progress"]["total"] == COUNT
        assert status["progress"]["accepted"] + status["progress"]["unsent"] == COUNT
        assert await other.asked("status", "summer") is None

        simulator.delay = None
        if how == "leaves":
            assert await first.asked("leave") == "left"
        else:
            await first.kill()
        status = await other.until("spring", lambda one: one["state"] != "running")
        assert status["state"] == "complete"
        assert status["progress"]["accepted"] == COUNT
    assert simulator.ledger == Counter(numbers(COUNT))


async def test_a_campaign_begun_later_is_taken_over_though_nobody_asked(
    simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 5.0 if request.operation == "append" else 0.0
    async with worker(simulator, folder), worker(simulator, folder) as first:
        assert await first.asked("start", "spring", COUNT) is True
        await first.kill()
        simulator.delay = None
        while sum(simulator.ledger.values()) < COUNT:
            await asyncio.sleep(0.05)
    assert simulator.ledger == Counter(numbers(COUNT))


async def test_of_many_that_wait_one_takes_it_over(simulator: Simulator, folder: Path) -> None:
    simulator.delay = lambda request: 5.0 if request.operation == "append" else 0.0
    async with (
        worker(simulator, folder) as first,
        worker(simulator, folder) as second,
        worker(simulator, folder) as third,
    ):
        assert await first.asked("start", "spring", COUNT) is True
        for one in (second, third):
            assert await one.asked("start", "spring", COUNT) is False
            assert (await one.asked("status", "spring"))["state"] == "running"
        await first.kill()
        simulator.delay = None
        for one in (second, third):
            status = await one.until("spring", lambda now: now["state"] != "running")
            assert status["state"] == "complete"
    assert simulator.ledger == Counter(numbers(COUNT))


async def test_a_start_waits_while_another_worker_reads_the_list(
    simulator: Simulator, folder: Path
) -> None:
    async with worker(simulator, folder) as first, worker(simulator, folder) as second:
        first.tell("slow", "spring", COUNT)
        while not (folder / "spring.db.partial").exists():
            await asyncio.sleep(0.02)
        second.tell("start", "spring", COUNT)
        # It has no answer before the other one has.
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await second.said()
        assert not simulator.requests
        first.tell("end")
        assert await first.said() is True
        assert await second.said() is False
        await second.until("spring", lambda one: one["state"] == "complete")
    assert simulator.ledger == Counter(numbers(COUNT))


async def test_a_start_says_that_nothing_was_sent_if_the_other_worker_is_killed_before(
    simulator: Simulator, folder: Path
) -> None:
    async with worker(simulator, folder) as first, worker(simulator, folder) as second:
        first.tell("slow", "spring", COUNT)
        while not (folder / "spring.db.partial").exists():
            await asyncio.sleep(0.02)
        second.tell("start", "spring", COUNT)
        await first.kill()
        answer = await second.said()
        # Killed before the second one asked, it leaves the name free.
        if answer is not True:
            assert answer.startswith("JournalLockedError")
            assert not simulator.requests
            assert await second.asked("status", "spring") is None
            assert await second.asked("start", "spring", COUNT) is True
        await second.until("spring", lambda one: one["state"] == "complete")
    assert simulator.ledger == Counter(numbers(COUNT))


async def test_the_command_line_shows_a_campaign_that_runs(
    simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 0.0 if sum(simulator.ledger.values()) < 200 else 5.0
    report = folder.with_name("report.csv")
    async with worker(simulator, folder) as first:
        assert await first.asked("start", "spring", COUNT) is True
        await first.until("spring", lambda one: one["progress"]["accepted"] >= 200)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway_sms_async", "journal", "show"),
            *(str(folder / "spring.db"), "--report", str(report)),
            env={**os.environ, **env(simulator)},
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        receipt = json.loads(out)
        assert receipt["running"] is True
        assert receipt["accepted"] >= 200
        assert receipt["accepted"] + receipt["unsent"] == COUNT
        assert "Another process is running this campaign" in err.decode()
        assert len(report.read_text(encoding="utf-8").splitlines()) == COUNT + 1
        simulator.delay = None
        await first.until("spring", lambda one: one["state"] == "complete")
    assert simulator.ledger == Counter(numbers(COUNT))


# --- folders and journals of others ------------------------------------------------------------

NOBODY = 65_534
is_root = os.name == "posix" and os.geteuid() == 0
needs_root = pytest.mark.skipif(not is_root, reason="only root can give files away")


async def ended(campaigns: Campaigns, name: str) -> CampaignStatus:
    while (status := campaigns.status(name)) is None or status.state == "running":
        await asyncio.sleep(0.005)
    return status


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o720])
async def test_a_folder_that_others_can_write_to_is_refused(
    gateway: GatewayClient, folder: Path, mode: int
) -> None:
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(JournalError, match="other users can write to it") as caught:
        await Campaigns(gateway, folder).__aenter__()
    assert str(caught.value).startswith(f"{folder}: ")
    assert str(caught.value).isprintable()
    folder.chmod(0o755)
    async with Campaigns(gateway, folder):
        pass


@needs_root
async def test_a_folder_of_another_user_is_refused(gateway: GatewayClient, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, -1)
    with pytest.raises(JournalError, match="another user owns it"):
        await Campaigns(gateway, folder).__aenter__()


def others_can_write(journal: Path) -> None:
    journal.chmod(0o662)


def another_user_owns(journal: Path) -> None:
    os.chown(journal, NOBODY, -1)


def is_a_link(journal: Path) -> None:
    journal.rename(journal.with_name("kept"))
    journal.symlink_to(journal.with_name("kept"))


def is_a_hard_link(journal: Path) -> None:
    journal.with_name("kept").hardlink_to(journal)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (others_can_write, "other users can write to it"),
        pytest.param(another_user_owns, "another user owns it", marks=needs_root),
        (is_a_link, "it is a link"),
        (is_a_hard_link, "a second name"),
    ],
)
async def test_a_journal_of_another_user_is_not_resumed(
    gateway: GatewayClient,
    simulator: Simulator,
    folder: Path,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    folder.mkdir()
    journal = make_journal(folder / "spring.db", url=simulator.url)
    change(journal)
    async with Campaigns(gateway, folder) as campaigns:
        status = await ended(campaigns, "spring")
    assert status.state == "stopped"
    assert status.reason
    assert reason in status.reason
    assert str(journal) in status.reason
    assert not simulator.requests


async def test_what_the_user_or_root_owns_is_resumed(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    folder.mkdir()
    make_journal(folder / "spring.db", url=simulator.url)
    async with Campaigns(gateway, folder) as campaigns:
        assert (await ended(campaigns, "spring")).state == "complete"
    assert sum(simulator.ledger.values()) == 10


@pytest.mark.parametrize(
    ("user", "owner", "mode", "expected"),
    [
        (1000, 1000, 0o600, None),
        (1000, 0, 0o644, None),
        (0, 0, 0o600, None),
        (1000, 1001, 0o600, "another user owns it"),
        (0, 1000, 0o600, "another user owns it"),
        (1000, 1000, 0o620, "other users can write to it"),
        (1000, 1000, 0o602, "other users can write to it"),
        (0, 0, 0o666, "other users can write to it"),
    ],
)
def test_whose_a_file_is(
    monkeypatch: pytest.MonkeyPatch, user: int, owner: int, mode: int, expected: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    status = os.stat_result((stat.S_IFREG | mode, 1, 1, 1, owner, 0, 0, 0, 0, 0))
    assert foreign_access(status) == expected
