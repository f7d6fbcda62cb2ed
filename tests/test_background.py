"""Campaigns in the background: started once, stopped and resumed, with a status at any time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from gateway_sms_async import (
    Campaigns,
    CampaignStatus,
    GatewayClient,
    JournalError,
    purge_journal,
)
from gateway_sms_async.testing import Fault, Simulator

RECIPIENTS = [f"+39-340{n:07}" for n in range(1_500)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "campaigns"


async def ended(campaigns: Campaigns, name: str) -> CampaignStatus:
    while True:
        status = campaigns.status(name)
        assert status is not None
        if status.state != "running":
            return status
        await asyncio.sleep(0.005)


async def test_it_is_in_the_journal_when_start_returns_and_complete_at_the_end(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        assert campaigns.status("spring") is None
        assert await campaigns.start("spring", [*RECIPIENTS, "x"], sender="ACME", body="Ciao")
        assert (folder / "spring.db").exists()
        assert (await anyio.Path(folder).stat()).st_mode & 0o777 == 0o700
        status = await ended(campaigns, "spring")
    assert (status.state, status.reason) == ("complete", None)
    assert (status.progress.accepted, status.progress.invalid) == (1_500, 1)
    assert status.progress.total == status.to_dict()["progress"]["read"] == 1_501
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_a_name_is_good_for_one_campaign_ever(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    for _ in range(2):
        async with Campaigns(gateway, folder) as campaigns:
            both = [
                campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao"),
                campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao"),
            ]
            begun = await asyncio.gather(*both)
            assert (await ended(campaigns, "spring")).state == "complete"
        assert begun in ([True, False], [False, False])
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b", "è", "x" * 65])
async def test_a_name_is_no_path(gateway: GatewayClient, folder: Path, name: str) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        with pytest.raises(ValueError, match="name of a campaign"):
            await campaigns.start(name, RECIPIENTS, sender="ACME", body="Ciao")


async def test_what_send_bulk_refuses_is_raised_and_leaves_the_name_free(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        with pytest.raises(ValueError, match="batch_size"):
            await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao", batch_size=0)
        with pytest.raises(TypeError):
            await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao", colour="red")
        assert campaigns.status("spring") is None
        assert await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")


async def test_a_source_that_breaks_is_raised_and_nothing_was_sent(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async def broken() -> AsyncIterator[str]:
        yield RECIPIENTS[0]
        raise OSError("the database is gone")

    async with Campaigns(gateway, folder) as campaigns:
        with pytest.raises(Exception, match="source of recipients"):
            await campaigns.start("spring", broken(), sender="ACME", body="Ciao")
        assert campaigns.status("spring") is None
    assert not simulator.requests


async def test_leaving_stops_it_and_entering_goes_on(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 0.1 if request.operation == "append" else 0
    async with Campaigns(gateway, folder) as campaigns:
        assert await campaigns.start(
            "spring", RECIPIENTS, sender="ACME", body="Ciao", batch_size=100
        )
        while len(simulator.requests) < 3:
            await asyncio.sleep(0.005)
    status = campaigns.status("spring")
    assert status is not None
    assert (status.state, status.reason) == ("stopped", "stopped on request")
    assert status.progress.unsent == 1_500
    assert not simulator.ledger

    simulator.delay = None
    async with Campaigns(gateway, folder) as campaigns:
        assert (await ended(campaigns, "spring")).state == "complete"
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_one_that_is_complete_is_not_asked_about_again(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        before = await ended(campaigns, "spring")
    requests = len(simulator.requests)
    async with Campaigns(gateway, folder) as campaigns:
        after = await ended(campaigns, "spring")
    assert len(simulator.requests) == requests
    assert after.state == "complete"
    assert after.progress.accepted == before.progress.accepted == 1_500
    assert after.progress.total == 1_500


async def test_no_credit_stops_it_with_the_reason(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.fail_next("open", status=402)
    async with Campaigns(gateway, folder) as campaigns:
        await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        status = await ended(campaigns, "spring")
    assert status.state == "stopped"
    assert status.reason
    assert "402" in status.reason
    async with Campaigns(gateway, folder) as campaigns:
        assert (await ended(campaigns, "spring")).state == "complete"


async def test_a_second_one_of_the_same_folder_leaves_it_alone(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 0.2
    async with Campaigns(gateway, folder) as first:
        await first.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        while not simulator.requests:  # its journal is complete
            await asyncio.sleep(0.005)
        async with Campaigns(gateway, folder) as second:
            while (status := second.status("spring")) is None or status.reason is None:
                await asyncio.sleep(0.005)
            assert status.state == "running"
            assert "spring.db: another process is using this journal" in status.reason
            assert status.progress.total == status.progress.unsent == 1_500
        simulator.delay = None
        assert (await ended(first, "spring")).state == "complete"
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_what_is_no_journal_is_said_and_stops_nothing_else(
    gateway: GatewayClient, folder: Path
) -> None:
    await anyio.Path(folder).mkdir(parents=True)
    (folder / "old.db").write_bytes(b"no journal" * 500)
    async with Campaigns(gateway, folder) as campaigns:
        assert (await ended(campaigns, "old")).state == "stopped"
        assert await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        assert (await ended(campaigns, "spring")).state == "complete"


async def test_a_folder_that_is_gone_is_an_error_of_the_call(
    gateway: GatewayClient, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        await anyio.Path(folder).rmdir()
        with pytest.raises(JournalError):
            await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")


async def test_the_client_closing_first_stops_it_too(simulator: Simulator, folder: Path) -> None:
    simulator.delay = lambda request: 0.1
    client = GatewayClient(simulator.token, base_url=simulator.url, rate=None)
    async with client as gateway:
        campaigns = Campaigns(gateway, folder)
        await campaigns.__aenter__()
        await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
    assert (await ended(campaigns, "spring")).reason == "the client was closed"
    await campaigns.__aexit__(None, None, None)
    assert repr(campaigns).endswith("0 running)")


async def slow(gate: asyncio.Event, error: Exception | None = None) -> AsyncIterator[str]:
    yield RECIPIENTS[0]
    await gate.wait()
    if error is not None:
        raise error


async def test_a_start_that_was_cancelled_and_then_failed_leaves_the_name_free(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    gate = asyncio.Event()
    source = slow(gate, OSError("the database is gone"))
    async with Campaigns(gateway, folder) as campaigns:
        starting = asyncio.create_task(
            campaigns.start("spring", source, sender="ACME", body="Ciao")
        )
        await asyncio.sleep(0.05)
        starting.cancel()
        await asyncio.wait([starting])
        gate.set()
        while campaigns.status("spring") is not None:
            await asyncio.sleep(0.005)
        assert await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        assert (await ended(campaigns, "spring")).state == "complete"
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_a_start_that_was_cancelled_goes_on(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    gate = asyncio.Event()
    async with Campaigns(gateway, folder) as campaigns:
        starting = asyncio.create_task(
            campaigns.start("spring", slow(gate), sender="ACME", body="Ciao")
        )
        await asyncio.sleep(0.05)
        starting.cancel()
        await asyncio.wait([starting])
        assert not await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
        gate.set()
        assert (await ended(campaigns, "spring")).state == "complete"
    assert simulator.ledger == {RECIPIENTS[0]: 1}


async def test_a_name_whose_journal_was_purged_is_free(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as campaigns:
        for _ in range(2):
            assert await campaigns.start("spring", RECIPIENTS[:1], sender="ACME", body="Ciao")
            assert (await ended(campaigns, "spring")).state == "complete"
            await purge_journal(folder / "spring.db")
    assert simulator.ledger == {RECIPIENTS[0]: 2}


async def test_cut_off_while_it_is_left_nothing_is_called_running(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 0.5
    campaigns = Campaigns(gateway, folder)

    async def service() -> None:
        async with campaigns:
            await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
            while not simulator.requests:
                await asyncio.sleep(0.005)

    serving = asyncio.create_task(service())
    while not simulator.requests:
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    serving.cancel()
    await asyncio.wait([serving])
    status = campaigns.status("spring")
    assert status is not None
    assert (status.state, status.reason) == ("stopped", "cancelled")
    simulator.delay = None
    async with Campaigns(gateway, folder) as again:
        assert (await ended(again, "spring")).state == "complete"
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_of_two_that_begin_one_name_at_once_only_one_says_so(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    async with Campaigns(gateway, folder) as first, Campaigns(gateway, folder) as second:
        begun = await asyncio.gather(
            first.start("spring", RECIPIENTS, sender="ACME", body="Ciao"),
            second.start("spring", RECIPIENTS[:1], sender="ACME", body="Ciao"),
        )
        assert sorted(begun) == [False, True]
        for campaigns in (first, second):
            assert (await ended(campaigns, "spring")).state == "complete"
    assert set(simulator.ledger.values()) == {1}


async def test_when_the_one_that_has_it_leaves_another_goes_on(
    gateway: GatewayClient, simulator: Simulator, folder: Path
) -> None:
    simulator.delay = lambda request: 0.1 if request.operation == "append" else 0
    async with Campaigns(gateway, folder) as old:
        await old.start("spring", RECIPIENTS, sender="ACME", body="Ciao", batch_size=100)
        while not simulator.requests:
            await asyncio.sleep(0.005)
        async with Campaigns(gateway, folder) as new:
            while (now := new.status("spring")) is None or now.reason is None:
                await asyncio.sleep(0.005)
            assert now.state == "running"
            assert "another process" in now.reason
            await old.__aexit__(None, None, None)
            assert not simulator.ledger
            simulator.delay = None
            while (now := new.status("spring")) is None or now.state != "complete":
                await asyncio.sleep(0.005)
    assert simulator.ledger == dict.fromkeys(RECIPIENTS, 1)


async def test_one_that_ended_with_some_left_over_is_not_complete_at_the_next_start(
    gateway: GatewayClient, simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway_sms_async._campaign.campaign.ROUNDS", 1)
    simulator.faults.add(Fault.reset(), on="append")
    for _ in range(2):
        async with Campaigns(gateway, folder) as campaigns:
            await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao", batch_size=100)
            status = await ended(campaigns, "spring")
        assert status.state == "stopped"
        assert status.reason
        assert status.progress.unsent
        assert status.progress.accepted + status.progress.unsent == 1_500


class Failed(BaseException):
    """Is no Exception, like the failure of a test."""


@pytest.mark.parametrize("where", ["listener", "progress"])
async def test_what_is_no_exception_stops_a_campaign_and_is_raised_on_leaving(
    where: str, simulator: Simulator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = Failed()

    def fail(event: object) -> None:
        if where == "progress" or getattr(event, "operation", None) == "append":
            raise failure

    async with GatewayClient(
        simulator.token,
        base_url=simulator.url,
        rate=None,
        on_event=fail if where == "listener" else None,
    ) as gateway:
        campaigns = Campaigns(gateway, folder)
        if where == "progress":
            monkeypatch.setattr(
                campaigns._statuses, "report", lambda name, progress: fail(progress)
            )
        with pytest.raises(Failed) as caught:
            async with campaigns:
                if where == "progress":
                    await campaigns.start("spring", RECIPIENTS, sender="ACME", body="Ciao")
                else:
                    assert await campaigns.start(
                        "spring", RECIPIENTS, sender="ACME", body="Ciao", batch_size=100
                    )
                    status = await ended(campaigns, "spring")
                    assert status.state == "stopped"
                    assert status.reason == "Failed was raised"
        assert caught.value is failure
        assert repr(campaigns).endswith("0 running)")
        assert not simulator.ledger


@pytest.mark.parametrize("cut", [False, True])
async def test_leaving_ends_though_a_source_swallows_every_cancellation(
    gateway: GatewayClient,
    simulator: Simulator,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cut: bool,
) -> None:
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)
    released, waiting = asyncio.Event(), asyncio.Event()

    async def stubborn() -> AsyncIterator[str]:
        yield RECIPIENTS[0]
        waiting.set()
        while not released.is_set():
            with suppress(asyncio.CancelledError):
                await released.wait()

    campaigns = Campaigns(gateway, folder)

    async def service() -> None:
        async with campaigns:
            starting = asyncio.create_task(
                campaigns.start("spring", stubborn(), sender="ACME", body="Ciao")
            )
            await waiting.wait()
            starting.cancel()
            await asyncio.wait([starting])

    serving = asyncio.create_task(service())
    try:
        await waiting.wait()
        await asyncio.sleep(0.05)
        if cut:
            serving.cancel()
        done, _ = await asyncio.wait([serving], timeout=5)
        assert done
        assert repr(campaigns).endswith("0 running)")
        assert not simulator.requests
    finally:
        released.set()
        await asyncio.sleep(0.01)
