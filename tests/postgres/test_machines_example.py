"""The example of the guide, on two machines that share only a database."""

import asyncio
import os
import sys

import pytest

from gateway_sms_async.testing import Simulator

from ..support.cli import env
from ..support.paths import ROOT
from ..support.servers import PostgresServer, started


@pytest.mark.timeout(120)
async def test_two_machines_run_one_campaign(simulator: Simulator) -> None:
    with started("postgres") as server:
        assert isinstance(server, PostgresServer)
        both = [await _start(simulator, server) for _ in range(2)]
        printed = [await asyncio.wait_for(one.communicate(), 100) for one in both]
    said = [log.decode().split() for _, log in printed]
    assert sorted(words[1] for words in said) == ["elsewhere", "here"], printed
    for words in said:
        assert words[2:4] == ["complete", "20000"], printed
    assert len(simulator.ledger) == 20_000
    assert set(simulator.ledger.values()) == {1}


async def _start(simulator: Simulator, server: PostgresServer) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "examples" / "campaign_machines.py"),
        env={**os.environ, **env(simulator), "DATABASE_URL": server.url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
