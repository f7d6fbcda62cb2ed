"""A rate in a file: shared by all that open it, on one machine, since its last boot."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from gateway_sms_async import SharedRate, SharedRateError
from gateway_sms_async._rate import file as rate_file
from gateway_sms_async._rate.file import RateFile
from gateway_sms_async._rate.pace import Pace

pytestmark = pytest.mark.anyio

SLOW = Pace(per_second=0.001, burst=3)


async def stores(path: Path, count: int = 2, pace: Pace = SLOW) -> list[RateFile]:
    opened = [RateFile(str(path), pace) for _ in range(count)]
    for one in opened:
        await one.open()
    return opened


# What may be wrong with a file


@pytest.mark.parametrize("is_renamed", [False, True])
async def test_a_file_that_was_deleted_or_renamed_is_made_anew(
    tmp_path: Path, *, is_renamed: bool
) -> None:
    first, second = await stores(tmp_path / "rate")
    for one in (first, second):
        assert not await one.ask()
    assert not await first.ask_realtime("a")
    (tmp_path / "rate").rename(tmp_path / "old")
    if not is_renamed:
        (tmp_path / "old").unlink()
    # A process that comes now knows nothing, and makes the file.
    [third] = await stores(tmp_path / "rate", 1)
    assert not await third.ask_realtime("c")
    # The others tell what they know, and share the new one.
    assert not await second.ask()
    assert await third.ask() > 0
    assert await first.ask() > 0
    assert await second.ask_realtime("b") > 50


async def test_a_hold_outlives_its_file(tmp_path: Path) -> None:
    [store] = await stores(tmp_path / "rate", 1)
    await store.hold(250)
    (tmp_path / "rate").unlink()
    assert await store.ask() > 200


async def test_moments_that_are_no_numbers_are_waited_for(tmp_path: Path) -> None:
    [store] = await stores(tmp_path / "rate", 1)
    content = bytearray((tmp_path / "rate").read_bytes())
    content[-16:] = struct.pack("<dd", math.nan, math.inf)
    (tmp_path / "rate").write_bytes(content)
    assert await store.ask() > 900
    assert await store.ask_realtime("a") > 50


async def test_a_working_directory_that_is_gone_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(SharedRateError, match="the working directory does not exist"):
        RateFile("rate", SLOW)


@pytest.mark.parametrize("content", [b"", b"number,name\n", b"GSRATE1\n", b"\0" * 200])
async def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rate"
    path.write_bytes(content)
    if not content:
        await stores(path)
        return
    with pytest.raises(SharedRateError, match="no file of a SharedRate"):
        await stores(path)
    assert path.read_bytes() == content


async def test_a_place_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "there")
    for path in (tmp_path, link, tmp_path / "link" / "rate", Path("/dev/null")):
        with pytest.raises(SharedRateError, match=str(path)):
            await stores(path)


async def test_another_machines_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stores(tmp_path / "rate")
    monkeypatch.setattr(rate_file, "_machine_id", lambda: b"another".ljust(64, b"\0"))
    with pytest.raises(SharedRateError, match="another machine uses this file"):
        await stores(tmp_path / "rate")


async def test_after_a_boot_the_clock_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [before] = await stores(tmp_path / "rate", 1)
    await before.hold(1_000_000)
    monkeypatch.setattr(rate_file, "_boot_id", lambda: b"later".ljust(40, b"\0"))
    [after] = await stores(tmp_path / "rate", 1, Pace(10.0, 5))
    assert 0 < await after.ask() <= 0.1
    await asyncio.sleep(0.11)
    assert not await after.ask()


async def test_a_process_that_was_stopped_with_the_lock_hangs_nobody(tmp_path: Path) -> None:
    [store] = await stores(tmp_path / "rate", 1)
    code = "import fcntl,sys; f=open(sys.argv[1]); fcntl.flock(f,2); print(1,flush=True); input()"
    holder = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, str(tmp_path / "rate")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    await holder.stdout.readline()
    holder.send_signal(signal.SIGSTOP)
    with pytest.raises(SharedRateError, match="another process has locked the file"):
        await store.ask()
    holder.kill()
    await holder.wait()
    assert not await store.ask(), "the kernel has freed the lock"


async def test_only_its_owner_can_read_the_file(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        await stores(tmp_path / "folder" / "rate")
    finally:
        os.umask(before)
    assert (tmp_path / "folder" / "rate").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("given_", "error", "words"),
    [
        ({"where": ""}, ValueError, "where is a path"),
        ({"where": b"rate"}, ValueError, "where is a path"),
        ({"where": "\0"}, ValueError, "where is a path"),
        ({"where": "\ud800"}, ValueError, "where is a path"),
        ({"where": "http://host"}, ValueError, "begins with redis://"),
        ({"per_second": 0}, ValueError, "per_second is a positive number"),
        ({"per_second": "10"}, TypeError, "per_second"),
        ({"alone": -1}, ValueError, "alone is a positive number"),
        ({"burst": 0}, ValueError, "burst"),
        ({"account": ""}, ValueError, "account is a name"),
    ],
)
def test_arguments_that_cannot_be_used(
    given_: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        SharedRate(**{"where": "rate", "per_second": 10, **given_})  # type: ignore[arg-type]


def test_an_address_is_not_shown() -> None:
    assert "secret" not in repr(SharedRate("redis://user:secret@host", 10))
