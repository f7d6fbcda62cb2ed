"""SIGKILL at every point of a campaign whose journal is in PostgreSQL. See `test_kills`."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ..campaign.test_kills import CHUNKS, Case, Count, Scene, case, run
from ..support.children.campaign_child import Zygote
from ..support.servers import PostgresServer

ALL = os.environ.get("GATEWAY_SMS_PROOF") == "all"
pytestmark = [pytest.mark.proof, pytest.mark.timeout(3_600 if ALL else 300)]

RANDOM_KILLS = int(os.environ.get("GATEWAY_SMS_KILLS", "40"))

CASES = {
    "messages at once": case(10, recipients_per_message=4),
    "careful": case(6, recipients_per_message=4, careful=True),
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


class PostgresScene(Scene):
    """One gateway, one journal in the database, and the processes that use it."""

    def __init__(self, case: Case, simulator: Simulator, url: str) -> None:
        super().__init__(case, simulator, Path())
        self.name = f"campaign {next(_names)}"
        self.journal: Any = f"{url}#{self.name}"
        self._url = url

    @property
    def has_journal(self) -> bool:
        return bool(self._rows())

    @property
    def left(self) -> list[object]:
        return self._rows()

    def place(self) -> Any:
        return PostgresJournals(self._url)[self.name]

    def _rows(self) -> list[object]:
        with psycopg.connect(self._url) as connection:
            found = "SELECT id FROM gateway_sms.campaign WHERE name = %s"
            return list(connection.execute(found, (self.name,)).fetchall())


_names = itertools.count(1)


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("name", CASES)
async def test_killed_at_every_point(name: str, chunk: int, zygote: Zygote, url: str) -> None:
    count = Count()
    step = CHUNKS if ALL else 13 * CHUNKS
    for kill in itertools.count(1 + chunk, step):
        async with Simulator(dialect=CASES[name].dialect) as simulator:
            scene = PostgresScene(CASES[name], simulator, url)
            killed = await run(zygote, scene.child(kill=kill))
            await count.end(scene, f"killed at {kill}")
        if not killed:
            break
        count.kills += 1
    assert count.kills > 1
    count.report()


@pytest.mark.parametrize("name", CASES)
async def test_killed_at_any_time(name: str, zygote: Zygote, url: str) -> None:
    count = Count()
    rng = Random(name)
    for _ in range(RANDOM_KILLS // len(CASES)):
        async with Simulator(dialect=CASES[name].dialect) as simulator:
            scene = PostgresScene(CASES[name], simulator, url)
            times = [rng.uniform(0, 0.1) for _ in range(rng.randint(1, 3))]
            for after in times:
                child = scene.child(resume=scene.has_journal, after=after)
                count.kills += await run(zygote, child)
            await count.end(scene, f"killed after {times}")
    count.report()
