"""SIGKILL at every point of a campaign with a journal, and two processes that resume one at once.

Each kill ends a real process with its own sockets and its own lock on the journal, while the
gateway keeps running. Wherever it is killed, sending again (if there is no journal yet) or resuming
ends with each recipient texted once, and with a receipt that says so.

GATEWAY_SMS_PROOF=all runs every case instead of a sample; GATEWAY_SMS_KILLS=1000 sets the number of
kills at random points.
"""

import asyncio
import itertools
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

import gateway_sms_async as library
from gateway_sms_async import (
    BulkSendError,
    GatewayClient,
    JournalError,
    Receipt,
    purge_journal,
    read_journal,
)
from gateway_sms_async.testing import Dialect, Simulator

from ..support.accounting import check_ledger, numbers
from ..support.children.campaign_child import Campaign, Child, Zygote
from ..support.policy import QUICK

ALL = os.environ.get("GATEWAY_SMS_PROOF") == "all"
pytestmark = [pytest.mark.proof, pytest.mark.timeout(3_600 if ALL else 300)]

RANDOM_KILLS = int(os.environ.get("GATEWAY_SMS_KILLS", "100"))
RACES = 200 if ALL else 80
CHUNKS = 2
RESUME_TIME = 2.0
"""The most seconds that a resume after a kill may take."""


@dataclass(kw_only=True)
class Case:
    """A campaign, and the dialect of its gateway."""

    campaign: Campaign
    dialect: Dialect = field(default_factory=Dialect)
    may_stay_unknown: bool = False


def case(count: int, *, dialect: Dialect | None = None, **more: Any) -> Case:
    options = {"batch_size": 2, "recipients_per_message": 20_000}
    body = more.pop("body", "Ciao")
    campaign = Campaign(numbers=numbers(count), body=body, options=options | more)
    return Case(campaign=campaign, dialect=dialect or Dialect())


CASES = {
    "three batches": case(6),
    "careful": case(6, recipients_per_message=4, careful=True),
    "messages at once": case(10, recipients_per_message=4),
    "with fields, listed": case(6, body="Ciao {{name}}", verify="always"),
    "one, no empty close": case(1, dialect=Dialect(empty_close=False)),
    "in shards": case(12, recipients_per_message=4, shards=3),
}
# After the intent to send by a single POST, only its response proves the outcome.
CASES["one, no empty close"].may_stay_unknown = True


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    running = Zygote()
    yield running
    running.close()


@pytest.fixture
def kill_folder() -> Iterator[Path]:
    """Return a folder, in memory if possible: a kill loses nothing that was written to a file."""
    memory = "/dev/shm"
    parent = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kills-", dir=parent) as folder:
        yield Path(folder)


class Scene:
    """One gateway, one journal, and the processes that use them."""

    def __init__(self, case: Case, simulator: Simulator, folder: Path) -> None:
        self.case = case
        self.simulator = simulator
        self.journal = folder / "campaign.db"

    @property
    def has_journal(self) -> bool:
        """Whether there is a journal, so that the campaign is resumed and not begun again."""
        return self.journal.exists()

    @property
    def left(self) -> list[object]:
        """What is left after the journal was purged."""
        return list(self.journal.parent.iterdir())

    def place(self) -> Any:
        return self.journal

    def child(self, *, resume: bool = False, **how: Any) -> Child:
        return Child(
            url=self.simulator.url,
            journal=str(self.journal),
            campaign=None if resume else self.case.campaign,
            **how,
        )

    async def end(self) -> Receipt:
        """Do what a user does after a crash; return the receipt, checked against the ledger."""
        simulator = self.simulator
        started = time.monotonic()
        async with GatewayClient(
            simulator.token, base_url=simulator.url, rate=None, timeout=5, retry=QUICK
        ) as gateway:
            before = len(simulator.requests)
            try:
                if self.has_journal:
                    receipt = await gateway.resume_bulk(self.place())
                else:
                    assert not before, "a request left before there was a journal"
                    receipt = await self.case.campaign.send(gateway, self.place())
            except BulkSendError as error:
                receipt = error.receipt
        assert time.monotonic() - started < RESUME_TIME
        check_ledger(receipt, simulator.ledger, set(self.case.campaign.numbers))
        if self.case.may_stay_unknown and receipt.unknown:
            return receipt
        assert receipt.complete, receipt
        assert not receipt.unknown
        assert simulator.ledger == Counter(self.case.campaign.numbers)
        assert await read_journal(self.place()) == receipt
        await purge_journal(self.place())
        assert not self.left, "something stays beside the journal"
        return receipt


class Count:
    """The kills, and the failures after them."""

    def __init__(self) -> None:
        self.kills = 0
        self.wrong: list[str] = []

    async def end(self, scene: Scene, words: str) -> None:
        try:
            await scene.end()
        except Exception as error:
            self.wrong.append(f"{words}: {type(error).__name__}: {error}")

    def report(self) -> None:
        print(f"\n{self.kills} kills, {len(self.wrong)} wrong")  # noqa: T201
        assert not self.wrong, "\n".join(self.wrong)


async def run(zygote: Zygote, child: Child) -> bool:
    """Run a child; return whether it was killed."""
    [ended] = await zygote.run(child)
    assert ended.killed or (ended.error in {None, "BulkSendError"}), ended.text
    return ended.killed


async def settled(simulator: Simulator) -> None:
    """Wait until the simulator has received the last request of a killed process."""
    assert simulator._listener is not None
    for _ in range(10):
        await asyncio.sleep(0)
    while simulator._listener.transports:
        await asyncio.sleep(0.001)


# --- at every point ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
async def test_the_points_are_those_that_matter(
    name: str, zygote: Zygote, kill_folder: Path
) -> None:
    async with Simulator(dialect=CASES[name].dialect) as simulator:
        scene = Scene(CASES[name], simulator, kill_folder)
        [ended] = await zygote.run(scene.child())
        assert ended.receipt is not None, ended.text
        passed = Counter(ended.points)
        shards = CASES[name].campaign.options.get("shards", 1)
        rows = -(-len(CASES[name].campaign.numbers) // 2)
        assert rows <= passed["after add_recipients"] <= rows + shards - 1
        assert passed["after publish"] == passed["after link"] == shards
        assert passed["after publish the folder"] == (shards > 1)
        assert passed["before commit"] == passed["after commit"] >= 3
        leaving = sum(count for point, count in passed.items() if "may leave" in point)
        assert leaving == ended.requests == len(simulator.requests)
        assert passed["after send"] + passed["after sendmsg"] >= leaving
        assert passed["after recv"] >= leaving


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", CASES)
async def test_killed_at_every_point(
    name: str, chunk: int, zygote: Zygote, kill_folder: Path
) -> None:
    count = Count()
    for kill in itertools.count(1 + chunk, CHUNKS):
        folder = kill_folder / str(kill)
        folder.mkdir()
        async with Simulator(dialect=CASES[name].dialect) as simulator:
            scene = Scene(CASES[name], simulator, folder)
            killed = await run(zygote, scene.child(kill=kill))
            await count.end(scene, f"killed at {kill}")
        if not killed:
            break
        count.kills += 1
    assert count.kills > 10
    count.report()


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", CASES)
async def test_killed_and_then_killed_again(
    name: str, chunk: int, zygote: Zygote, kill_folder: Path
) -> None:
    count = Count()
    step = 1 if ALL else 53
    for first in itertools.count(1 + chunk, CHUNKS):
        killed = False
        # Each second point is combined with some first point, and each first with some second.
        for second in itertools.count(1 + (first // CHUNKS) % step, step):
            folder = kill_folder / f"{first}-{second}"
            folder.mkdir()
            async with Simulator(dialect=CASES[name].dialect) as simulator:
                scene = Scene(CASES[name], simulator, folder)
                killed = await run(zygote, scene.child(kill=first))
                resume = scene.has_journal
                again = killed and await run(zygote, scene.child(resume=resume, kill=second))
                await count.end(scene, f"killed at {first} and {second}")
            count.kills += killed + again
            if not again:
                break
        if not killed:
            break
    assert count.kills > 10
    count.report()


@pytest.mark.parametrize("name", CASES)
async def test_killed_at_any_time(name: str, zygote: Zygote, kill_folder: Path) -> None:
    count = Count()
    rng = Random(name)
    for turn in range(RANDOM_KILLS // len(CASES)):
        folder = kill_folder / str(turn)
        folder.mkdir()
        async with Simulator(dialect=CASES[name].dialect) as simulator:
            scene = Scene(CASES[name], simulator, folder)
            times = [rng.uniform(0, 0.03) for _ in range(rng.randint(1, 3))]
            for after in times:
                child = scene.child(resume=scene.has_journal, after=after)
                count.kills += await run(zygote, child)
            await count.end(scene, f"killed after {times}")
    count.report()


# --- two at once -------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_two_processes_resume_at_once(chunk: int, zygote: Zygote, kill_folder: Path) -> None:
    wrong: list[str] = []
    seen: Counter[str] = Counter()
    one = case(6, recipients_per_message=4)
    for turn in range(chunk, RACES, CHUNKS):
        folder = kill_folder / str(turn)
        folder.mkdir()
        async with Simulator() as simulator:
            scene = Scene(one, simulator, folder)
            # Earlier points come before there is a journal. With a slow gateway, neither process
            # ends before the other has begun.
            slow = turn % 20 < CHUNKS
            assert await run(zygote, scene.child(kill=14 if slow else 12 + turn % 30))
            await settled(simulator)
            simulator.latency = 0.1 if slow else 0.0
            before = len(simulator.requests)
            racers = await zygote.run(*[scene.child(resume=True) for _ in range(2)])
            try:
                workers = [racer for racer in racers if racer.error is None]
                losers = [racer for racer in racers if racer.error == "JournalLockedError"]
                assert len(workers) + len(losers) == 2
                working = [racer for racer in workers if racer.requests]
                # A resume that begins after the end returns the stored receipt.
                assert len(working) <= 1
                assert all(racer.receipt == workers[0].receipt for racer in workers)
                assert not any(racer.requests for racer in losers)
                assert sum(racer.requests for racer in racers) == len(simulator.requests) - before
                assert simulator.ledger == Counter(one.campaign.numbers)
                assert losers or not slow
                simulator.latency = 0.0
                seen["locked" if losers else "one after the other"] += 1
                await scene.end()
            except AssertionError as error:
                wrong.append(f"race {turn}: {error}: {racers}")
    print(f"\n{dict(seen)}, {len(wrong)} wrong")  # noqa: T201
    assert not wrong, "\n".join(wrong)
    assert seen["locked"] >= RACES / CHUNKS / 20


async def test_two_processes_send_with_one_journal_at_once(
    zygote: Zygote, kill_folder: Path
) -> None:
    wrong: list[str] = []
    seen: Counter[str] = Counter()
    one = case(6, recipients_per_message=4)
    for turn in range(RACES // 4):
        folder = kill_folder / str(turn)
        folder.mkdir()
        async with Simulator() as simulator:
            scene = Scene(one, simulator, folder)
            racers = await zygote.run(scene.child(), scene.child())
            try:
                workers = [racer for racer in racers if racer.error is None]
                losers = [racer for racer in racers if racer.error is not None]
                assert len(workers) <= 1
                assert not any(racer.requests for racer in losers)
                for racer in losers:
                    assert issubclass(getattr(library, racer.error or ""), JournalError)
                    seen[racer.error or ""] += 1
                seen["sent"] += len(workers)
                assert workers, "each was in the other's way"
                await scene.end()
            except AssertionError as error:
                wrong.append(f"race {turn}: {error}: {racers}")
    print(f"\n{dict(seen)}, {len(wrong)} wrong")  # noqa: T201
    assert not wrong, "\n".join(wrong)
