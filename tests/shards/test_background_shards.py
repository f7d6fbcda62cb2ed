"""Campaigns in shards in the background: started once, resumed at every start, shown elsewhere."""

# ruff: noqa: ASYNC240 - small files, and nothing else in the loop

import asyncio
from pathlib import Path

import pytest

from gateway_sms_async import Campaigns, CampaignStatus, GatewayClient, purge_journal
from gateway_sms_async.testing import Simulator

from ..support.accounting import numbers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "campaigns"


async def ended(campaigns: Campaigns, name: str) -> CampaignStatus:
    while (status := campaigns.status(name)) is None or status.state == "running":
        await asyncio.sleep(0.005)
    return status


async def test_started_once_and_complete(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        start = campaigns.start("spring", numbers(300), sender="ACME", body="Ciao", shards=4)
        again = campaigns.start("spring", numbers(300), sender="ACME", body="Ciao")
        assert sorted(await asyncio.gather(start, again)) == [False, True]
        status = await ended(campaigns, "spring")
        assert (status.state, status.progress.accepted) == ("complete", 300)
        assert status.progress.total == 300
    assert simulator.ledger == dict.fromkeys(numbers(300), 1)
    await purge_journal(folder / "spring.db")
    assert not list(folder.iterdir())


async def test_left_and_resumed(gateway: GatewayClient, simulator: Simulator, folder: Path) -> None:
    simulator.latency = 0.05
    async with Campaigns(gateway, folder) as campaigns:
        assert await campaigns.start(
            "spring",
            iter(numbers(400)),
            sender="ACME",
            body="Ciao",
            shards=4,
            batch_size=10,
            recipients_per_message=30,
        )
        assert (folder / "spring.db").is_dir()
    status = campaigns.status("spring")
    assert status is not None
    assert (status.state, status.reason) == ("stopped", "stopped on request")
    simulator.latency = 0
    async with Campaigns(gateway, folder) as campaigns:
        assert (await ended(campaigns, "spring")).progress.accepted == 400
        assert not await campaigns.start("spring", numbers(9), sender="ACME", body="Ciao")
    assert simulator.ledger == dict.fromkeys(numbers(400), 1)


async def test_another_process_sees_how_far_it_is(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.latency = 0.05
    async with Campaigns(gateway, folder) as first, Campaigns(gateway, folder) as second:
        assert await first.start(
            "spring", numbers(400), sender="ACME", body="Ciao", shards=4, batch_size=10
        )
        assert not await second.start("spring", numbers(400), sender="ACME", body="Ciao", shards=4)
        while (seen := second.status("spring")) is None or seen.progress.total is None:
            await asyncio.sleep(0.01)
        assert (seen.state, seen.progress.total) == ("running", 400)
        simulator.latency = 0
        await ended(first, "spring")
        assert (await ended(second, "spring")).progress.accepted == 400
    assert simulator.ledger == dict.fromkeys(numbers(400), 1)


@pytest.mark.parametrize("what", ["folder", "journal", "link"])
async def test_what_others_can_write_to_is_not_resumed(
    gateway: GatewayClient, simulator: Simulator, folder: Path, what: str
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        await campaigns.start("spring", numbers(30), sender="ACME", body="Ciao", shards=2)
        await ended(campaigns, "spring")
    journal = folder / "spring.db"
    match what:
        case "folder":
            journal.chmod(0o777)
        case "journal":
            (journal / "0002.db").chmod(0o666)
        case _:
            (journal / "0002.db").rename(folder / "elsewhere")
            (journal / "0002.db").symlink_to(folder / "elsewhere")
    async with Campaigns(gateway, folder) as campaigns:
        status = await ended(campaigns, "spring")
        assert status.state == "stopped"
        assert "not resumed" in (status.reason or "")
