"""Every example of the README runs, against the simulator."""

import os
import re
import sys
from pathlib import Path

import anyio
import pytest

from gateway_sms_async.testing import Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("gateway-sms ")
]


async def run(command: list[str], simulator: Simulator, folder: Path = ROOT) -> str:
    scripts = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "OPENAPI_TOKEN": simulator.token,
        "GATEWAY_SMS_BASE_URL": simulator.url,
        "PATH": scripts + os.pathsep + os.environ["PATH"],
    }
    done = await anyio.run_process(command, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_there_are_examples() -> None:
    assert len(PROGRAMS) == 8
    assert len(COMMANDS) == 7


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
async def test_programs(program: str, simulator: Simulator, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program]
    printed = await run(command, simulator, tmp_path)
    assert printed or "simulator.ledger" in program
    assert "stopped" not in printed
    assert "not sent" not in printed


@pytest.mark.parametrize("command", COMMANDS)
async def test_commands(command: str, simulator: Simulator) -> None:
    assert await run(["sh", "-c", command], simulator)
