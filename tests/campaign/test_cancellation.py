# ruff: noqa: ASYNC240 - only checks whether a file exists
"""A campaign with a journal is interrupted in every possible way, at many steps of an event loop.

Within five seconds every recipient is accounted for, nothing is left running, and the journal is
closed and correct. A resume then ends the campaign, with each recipient texted once.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    Progress,
    Receipt,
    RetryPolicy,
    read_journal,
)
from gateway_sms_async.testing import Fault, Simulator

from ..support.accounting import check, numbers, parts, tasks_of_ours
from ..support.policy import QUICK

ACME: dict[str, Any] = {"sender": "ACME", "body": "Ciao"}
RECIPIENTS = numbers(12)

Cut = Callable[
    [asyncio.Task[Any], GatewayClient, asyncio.Event, anyio.CancelScope], Awaitable[None]
]


async def cancel(task: asyncio.Task[Any], *_: Any) -> None:
    task.cancel()


async def cancel_twice(task: asyncio.Task[Any], *_: Any) -> None:
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()


async def scope(_: Any, __: Any, ___: Any, around: anyio.CancelScope) -> None:
    around.cancel()


async def stop(_: Any, __: Any, event: asyncio.Event, ___: Any) -> None:
    event.set()


async def aclose(_: Any, gateway: GatewayClient, *__: Any) -> None:
    await gateway.aclose()


def client(simulator: Simulator, **more: Any) -> GatewayClient:
    settings: dict[str, Any] = {"rate": None, "timeout": 5, "retry": QUICK, **more}
    return GatewayClient(simulator.token, base_url=simulator.url, **settings)


@pytest.mark.parametrize("cut", [cancel, cancel_twice, scope, stop, aclose])
@pytest.mark.parametrize("careful", [False, True])
@pytest.mark.proof
@pytest.mark.timeout(60)  # some forty campaigns and as many resumes
async def test_cut_off_at_any_step(cut: Cut, careful: bool, tmp_path: Path) -> None:
    step, over = 0, False
    while not over:
        step += 1 + step // 5
        journal = tmp_path / f"{step}.db"
        async with Simulator() as simulator:
            over = await cut_off(simulator, journal, cut, step, careful=careful)
            async with client(simulator) as gateway:
                if journal.exists():
                    receipt = await gateway.resume_bulk(journal)
                else:
                    assert not simulator.requests, "nothing leaves before the journal is there"
                    receipt = await gateway.send_bulk(RECIPIENTS, **ACME, journal=journal)
            assert receipt.complete
            check(receipt, simulator, set(RECIPIENTS))
    assert step > 10


async def cut_off(
    simulator: Simulator, journal: Path, cut: Cut, step: int, *, careful: bool
) -> bool:
    """Run a campaign for `steps` of the loop, then interrupt it; return True if it had ended."""
    event = asyncio.Event()
    reported: list[Progress] = []
    around = anyio.CancelScope()
    async with client(simulator) as gateway:

        async def campaign() -> Receipt | None:
            with around:
                return await gateway.send_bulk(
                    RECIPIENTS,
                    **ACME,
                    batch_size=3,
                    concurrency=2,
                    careful=careful,
                    journal=journal,
                    stop=event,
                    on_progress=reported.append,
                )
            return None

        task = asyncio.create_task(campaign())
        for _ in range(step):
            await asyncio.sleep(0)
        over = task.done()
        await cut(task, gateway, event, around)
        await asyncio.wait([task])
        assert not tasks_of_ours()
        assert not journal_threads()
        ended = None if task.cancelled() else task.exception()
        if isinstance(ended, BulkSendError):
            check(ended.receipt, simulator)
            assert ended.resumable == journal.exists()
        if reported:
            last = reported[-1]
            settled = last.accepted + last.invalid + last.unknown + last.unsent
            assert settled + last.duplicates == last.read
    if journal.exists():
        kept = await read_journal(journal)
        assert parts(kept) == kept.total == len(RECIPIENTS)
        check(kept, simulator, set(RECIPIENTS))
    return over


@pytest.mark.parametrize("cut", [cancel, stop, aclose])
async def test_what_hangs_is_cut_off_within_five_seconds(
    cut: Cut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The grace period is shortened; what is tested is that it is kept.
    for place in ("_campaign.campaign", "_core", "_cancellation"):
        monkeypatch.setattr(f"gateway_sms_async.{place}.GRACE_PERIOD", 0.2)
    event = asyncio.Event()
    async with Simulator() as simulator:
        simulator.faults.add(Fault.hang(after_apply=True), on="close")
        gateway = await client(simulator, timeout=60, retry=RetryPolicy()).open()
        campaign = asyncio.create_task(
            gateway.send_bulk(
                RECIPIENTS, **ACME, batch_size=3, journal=tmp_path / "campaign.db", stop=event
            )
        )
        while "close" not in [request.operation for request in simulator.requests]:
            await asyncio.sleep(0.001)
        started = time.monotonic()
        await cut(campaign, gateway, event, anyio.CancelScope())
        await asyncio.wait([campaign])
        assert time.monotonic() - started < 1
        assert campaign.cancelled() or isinstance(campaign.exception(), BulkSendError)
        await gateway.aclose()
        assert not tasks_of_ours()
        assert not journal_threads()
        kept = await read_journal(tmp_path / "campaign.db")
        assert kept.unknown == tuple(RECIPIENTS), "a close in the air is unknown"
        async with client(simulator) as again:
            receipt = await again.resume_bulk(tmp_path / "campaign.db")
        assert receipt.complete
        check(receipt, simulator, set(RECIPIENTS))


def journal_threads() -> list[str]:
    names = [thread.name for thread in threading.enumerate()]
    return [name for name in names if name.startswith("gateway-sms-journal")]
