"""A process that is paused at any point, while another one takes its campaign over, and then goes on.

Its next write is refused, so it begins nothing new. What it had already begun is in the log, and the
process that took over treats it as what may still arrive.

GATEWAY_SMS_PROOF=all pauses at every point instead of a sample.
"""

import asyncio
import itertools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    JournalLockedError,
    Receipt,
    read_journal,
)
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ..campaign.test_kills import Count, case
from ..support.accounting import check_ledger
from ..support.children.campaign_child import Ended, Zygote
from ..support.policy import QUICK
from ..support.servers import PostgresServer
from .test_postgres_kills import PostgresScene

ALL = os.environ.get("GATEWAY_SMS_PROOF") == "all"
pytestmark = [pytest.mark.proof, pytest.mark.timeout(3_600 if ALL else 300)]

LEASE = 0.2

CASES = {
    "messages at once": case(12, recipients_per_message=4),
    "careful": case(8, recipients_per_message=4, careful=True),
    "in shards": case(12, recipients_per_message=4, shards=3),
    "in shards, with a limit": case(12, recipients_per_message=4, shards=3, max_recipients=12),
}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    running = Zygote()
    yield running
    running.close()


@pytest.fixture
async def url(postgres: PostgresServer) -> str:
    await PostgresJournals(postgres.url).install()
    return postgres.url


async def take_over(scene: PostgresScene, simulator: Simulator, url: str) -> Receipt | None:
    """Resume as soon as the lease is over; None if nothing was begun."""
    journal = PostgresJournals(url, lease=LEASE)[scene.name]
    async with GatewayClient(
        simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
    ) as gateway:
        if not scene.has_journal:
            return None
        while True:
            try:
                return await gateway.resume_bulk(journal)
            except JournalLockedError:
                await asyncio.sleep(0.02)
            except BulkSendError as error:
                return error.receipt


async def paused_at(
    point: int, name: str, zygote: Zygote, url: str, folder: Path
) -> tuple[Ended, int]:
    """Pause a process there, let another one finish, and let it go on; return its end.

    And how many requests it sent after the other one had finished.
    """
    async with Simulator(dialect=CASES[name].dialect) as simulator:
        scene = PostgresScene(CASES[name], simulator, url)
        paused = folder / f"paused {point}"
        child = scene.child(pause=point, paused=str(paused), lease=LEASE)
        running = asyncio.create_task(zygote.run(child))
        while not running.done() and not paused.exists():
            await asyncio.sleep(0.002)
        before = 0
        if not running.done():
            try:
                await take_over(scene, simulator, url)
            finally:
                before = len(simulator.requests)
                os.kill(int(paused.read_text()), signal.SIGCONT)
        [ended] = await running
        sent = len(simulator.requests) - before
        numbers = set(CASES[name].campaign.numbers)
        if scene.has_journal:
            receipt = await take_over(scene, simulator, url)
            assert receipt is not None
            check_ledger(receipt, simulator.ledger, numbers)
            assert receipt.complete, receipt
            assert await read_journal(scene.place()) == receipt
        assert simulator.ledger == Counter(numbers), ended
        return ended, sent if paused.exists() else -1


@pytest.mark.parametrize("name", CASES)
async def test_paused_at_every_point(name: str, zygote: Zygote, url: str, tmp_path: Path) -> None:
    count = Count()
    ends: Counter[str | None] = Counter()
    late = 0
    for point in itertools.count(1, 1 if ALL else 29):
        try:
            ended, sent = await paused_at(point, name, zygote, url, tmp_path)
        except Exception as error:
            count.wrong.append(f"paused at {point}: {type(error).__name__}: {error}")
            continue
        if sent < 0:
            break
        count.kills += 1
        ends[ended.error] += 1
        late += sent > 0
        assert ended.error in {None, "BulkSendError", "JournalError", "JournalLostError"}, ended
    print(f"\n{dict(ends)}, {late} sent requests after the takeover")  # noqa: T201
    assert count.kills > 2
    count.report()


async def test_a_process_that_writes_whoever_has_the_journal_is_found_out(
    url: str, tmp_path: Path
) -> None:
    """The test itself is tested: without the fence, a log cannot be read, or somebody gets it twice."""
    unfenced = Zygote(unfenced=True)
    wrong: list[Exception] = []
    try:
        for point in range(60, 120, 3):
            try:
                await paused_at(point, "messages at once", unfenced, url, tmp_path)
            except Exception as error:
                wrong.append(error)
                break
    finally:
        unfenced.close()
    assert wrong
