"""Every program and command of the README runs against the simulator."""

import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway_sms_async.testing import Simulator

from ..support.paths import ROOT
from ..support.programs import run

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("gateway-sms ")
]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(sent_after=0.0, delivered_after=0.1) as simulator:
        yield simulator


def test_there_are_examples() -> None:
    assert len(PROGRAMS) == 2
    assert len(COMMANDS) == 3


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
async def test_programs(program: str, simulator: Simulator, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    printed = await run(command, simulator, tmp_path)
    assert printed
    assert "stopped" not in printed
    assert "not sent" not in printed


@pytest.mark.parametrize("command", COMMANDS)
async def test_commands(command: str, simulator: Simulator) -> None:
    assert await run(["sh", "-c", command], simulator)
