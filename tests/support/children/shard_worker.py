"""Workers that run whatever shards wait, as processes of their own, which a test kills and pauses.

`python -m tests.support.children.shard_worker` imports everything once. For each line of its standard
input it forks a worker, and answers with its process id.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import traceback
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gateway_sms_async import Campaigns, GatewayClient, JournalError
from gateway_sms_async._postgres import store
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ...support.policy import QUICK
from .campaign_child import UNFENCED
from .forking import ForkServer


@dataclass(kw_only=True)
class Worker:
    """One process. It writes how each shard ended to the file `log`, a line each."""

    url: str
    database: str
    schema: str
    lease: float
    log: str
    at_once: int = 1


class Workers(ForkServer):
    """The process that forks the workers."""

    def __init__(self, *, unfenced: bool = False) -> None:
        super().__init__("shard_worker", unfenced=unfenced)

    async def start(self, worker: Worker) -> int:
        """Start a worker; return its process id."""
        return int(await asyncio.to_thread(self.request, json.dumps(asdict(worker))))


# --- in the worker -----------------------------------------------------------------------------


async def _work(worker: Worker) -> None:
    journals = PostgresJournals(worker.database, schema=worker.schema, lease=worker.lease)
    async with GatewayClient(
        Simulator().token, base_url=worker.url, rate=None, timeout=1, retry=QUICK
    ) as gateway:
        campaigns = Campaigns(gateway, journals, run=False)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(worker.at_once):
                tasks.create_task(_run_what_waits(campaigns, Path(worker.log)))


async def _run_what_waits(campaigns: Campaigns, log: Path) -> None:
    parent = os.getppid()
    while os.getppid() == parent:  # it does not outlive its test
        waiting: list[tuple[str, int]] = []
        with suppress(JournalError):
            waiting = await campaigns.waiting()
        for name, shard in waiting:
            try:
                end: str = await campaigns.run_shard(name, shard)
            except JournalError as error:
                end = f"{type(error).__name__}: {error}"
            except BaseException:
                _write(log, traceback.format_exc())
                raise
            _write(log, f"{name} {shard} {end}")
        await asyncio.sleep(0.02)


def _write(log: Path, line: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {line}\n")


# --- in the process that forks -----------------------------------------------------------------


def main() -> None:
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    if "UNFENCED" in os.environ:
        store.COMMIT = UNFENCED  # type: ignore[misc]
    for line in sys.stdin:
        if process := os.fork():
            sys.stdout.write(f"{process}\n")
            sys.stdout.flush()
            continue
        try:
            os.close(0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asyncio.run(_work(Worker(**json.loads(line))))
        finally:
            os._exit(0)


if __name__ == "__main__":
    main()
