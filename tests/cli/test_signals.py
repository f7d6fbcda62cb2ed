"""Signals after the end of a campaign, and in commands that run no campaign."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from gateway_sms_async import Receipt
from gateway_sms_async._cli.app import run
from gateway_sms_async._cli.campaign_run import CampaignRun
from gateway_sms_async._cli.signals import raise_ended
from gateway_sms_async.testing import Fault, Simulator

from ..support.cli import env, finish, many_numbers, start, until
from ..support.paths import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX signals")

ACME = ("--sender", "ACME", "--body", "Ciao")
COUNT = 3_000


class SlowFile:
    """The place of a file that is written no further than this test reads it."""

    def __init__(self) -> None:
        self._reader, self.writer = os.pipe()

    @property
    def name(self) -> str:
        return f"/dev/fd/{self.writer}"

    async def begun(self) -> bytes:
        return await asyncio.to_thread(os.read, self._reader, 1)

    async def rest(self) -> bytes:
        os.close(self.writer)
        pieces = []
        while piece := await asyncio.to_thread(os.read, self._reader, 65536):
            pieces.append(piece)
        os.close(self._reader)
        return b"".join(pieces)


def files_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def ended_campaign(
    simulator: Simulator, folder: Path, slow: SlowFile
) -> asyncio.subprocess.Process:
    """Return a campaign that has sent all, and that is writing its report."""
    process = await start(
        *("bulk", many_numbers(folder, COUNT), *ACME, "--yes", "--rate", "0"),
        *("--report", slow.name),
        pass_fds=(slow.writer,),
        **env(simulator),
    )
    await slow.begun()
    assert len(simulator.ledger) == COUNT
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_after_the_end_changes_nothing(
    simulator: Simulator, tmp_path: Path, number: int
) -> None:
    slow = SlowFile()
    process = await ended_campaign(simulator, tmp_path, slow)
    process.send_signal(number)
    ending = asyncio.create_task(finish(process))
    report = await slow.rest()
    code, out, err = await ending
    assert code == 0, err
    assert report.count(b"accepted") == COUNT
    assert json.loads(out)["accepted"] == COUNT
    assert "The campaign has ended" in err


async def test_a_second_signal_after_the_end_leaves_out_the_files_only(
    simulator: Simulator, tmp_path: Path
) -> None:
    slow = SlowFile()
    process = await ended_campaign(simulator, tmp_path, slow)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"The campaign has ended" not in await process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    code, out, err = await finish(process)
    await slow.rest()
    assert code == 6, err
    assert json.loads(out)["accepted"] == COUNT
    assert "the files were not all written: interrupted" in err


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
async def test_a_signal_leaves_no_file_behind(
    simulator: Simulator, tmp_path: Path, number: int, code: int
) -> None:
    simulator.faults.add(Fault.hang(), on="get", times=None)
    process = await start(
        "report", "a" * 24, "--csv", str(tmp_path / "deliveries.csv"), **env(simulator)
    )
    await until(lambda: bool(simulator.requests))
    assert files_in(tmp_path)
    process.send_signal(number)
    ended, _, err = await finish(process)
    assert ended == code, err
    assert err == "gateway-sms: interrupted\n"
    assert not files_in(tmp_path)


def test_a_signal_ends_a_command_with_its_own_code() -> None:
    assert run(lambda: raise_ended(signal.SIGTERM)) == 143


CANCELLED = """
import asyncio, os, signal, sys
from gateway_sms_async._cli.app import run

async def main():
    os.kill(os.getpid(), int(sys.argv[1]))
    try:
        await asyncio.sleep(10)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise

for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(run(lambda: asyncio.run(main())))
"""


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_cancels_what_a_command_awaits(number: int, code: int) -> None:
    """Raised in the middle of anything, it could come between a request and its note."""
    done = subprocess.run(
        [sys.executable, "-c", CANCELLED, str(int(number))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "cancelled\n"), done.stderr


async def test_a_signal_right_after_the_end_does_not_hide_the_receipt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes when the handlers of the event loop have just been taken away."""

    async def send(*_: object) -> Receipt:
        return Receipt(total=1, accepted=1)

    campaign = CampaignRun(send, total=1, journal=None)
    campaign._signal = signal.SIGINT

    @contextmanager
    def then_another(handler: object) -> Iterator[None]:
        yield
        campaign._handle_signal_outside(signal.SIGINT)

    monkeypatch.setattr("gateway_sms_async._cli.campaign_run.on_signal_in_loop", then_another)
    await campaign._run(nullcontext())  # type: ignore[arg-type]
    assert campaign.receipt is not None


async def test_a_signal_before_the_first_request_stops_the_campaign(simulator: Simulator) -> None:
    campaign = CampaignRun(lambda *_: asyncio.sleep(0), total=1, journal=None)  # type: ignore[arg-type]
    campaign._handle_signal_outside(signal.SIGINT)
    assert campaign._stop.is_set()
    with pytest.raises(KeyboardInterrupt):
        campaign._handle_signal_outside(signal.SIGINT)
