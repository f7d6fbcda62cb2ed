"""Runs a program or a command of a guide against a simulator."""

import os
import sys
from pathlib import Path

import anyio

from gateway_sms_async.testing import Simulator

from ..support.paths import ROOT


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
