"""Campaigns in their own processes, which kill themselves with SIGKILL at a given point.

`python -m tests.support.children.campaign_child` imports everything once. For each line of its
standard input it forks a process for each `Child` in the line, and starts them together.
A point is passed before and after each write of the journal and each request that leaves, after
bytes were passed to the kernel, and after bytes of a response were read from it.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from gateway_sms_async import BulkSendError, GatewayClient, GatewayError, Receipt
from gateway_sms_async._campaign import backlog
from gateway_sms_async._http import transport as _transport
from gateway_sms_async._journal.store import Store
from gateway_sms_async._postgres import store as postgres_store
from gateway_sms_async._postgres.connection import Database
from gateway_sms_async._postgres.store import ClaimedJournal, NewJournal
from gateway_sms_async._shards.folder import ShardFolder
from gateway_sms_async._shards.spool import Spool
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

from ...support.policy import QUICK
from .forking import ForkServer


@dataclass(kw_only=True)
class Campaign:
    """A campaign; each recipient gets generated fields if the text has a placeholder."""

    numbers: list[str]
    body: str = "Ciao"
    concurrency: int = 2
    options: dict[str, Any] = field(default_factory=dict)

    async def send(self, gateway: GatewayClient, journal: Any) -> Receipt:
        source: list[Any] = list(self.numbers)
        if "{{" in self.body:
            source = [(number, {"name": number[-4:]}) for number in source]
        return await gateway.send_bulk(
            source,
            sender="ACME",
            body=self.body,
            concurrency=self.concurrency,
            journal=journal,
            **self.options,
        )


@dataclass(kw_only=True)
class Child:
    """One process: it sends `campaign`, or resumes the journal if it is None.

    - `kill`: the number of the point, from 1, at which it kills itself.
    - `after`: the seconds after which it is killed from outside.
    - `pause`: the number of the point at which it pauses itself, after writing its process id into the
      file `paused`; `lease`: of a journal in a database, in seconds.
    """

    url: str
    journal: str
    campaign: Campaign | None = None
    kill: int | None = None
    after: float | None = None
    pause: int | None = None
    paused: str = ""
    lease: float = 30.0


@dataclass(kw_only=True)
class Ended:
    """How a child ended: by a signal, or with a receipt or an error; and what it has done."""

    signal: int = 0
    receipt: dict[str, Any] | None = None
    error: str | None = None
    text: str = ""
    requests: int = 0
    points: list[str] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        return self.signal == signal.SIGKILL


class Zygote(ForkServer):
    """The process that forks the children."""

    def __init__(self, *, unfenced: bool = False) -> None:
        """With `unfenced`, its children write to a database also without a claim."""
        super().__init__("campaign_child", unfenced=unfenced)

    async def run(self, *children: Child) -> list[Ended]:
        """Run children at the same time, and wait until they have ended."""
        line = json.dumps([asdict(child) for child in children])
        answer = await asyncio.to_thread(self.request, line)
        return [Ended(**one) for one in json.loads(answer)]


# --- in the child ------------------------------------------------------------------------------


class _Points:
    """Counts the points passed, and kills the process at one of them."""

    def __init__(self, child: Child) -> None:
        self._child = child
        self.passed: list[str] = []
        self.requests = 0

    def passing(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self._child.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if len(self.passed) == self._child.pause:
            # Written as a whole: it is read as soon as it is there.
            Path(f"{self._child.paused}.new").write_text(str(os.getpid()))
            Path(f"{self._child.paused}.new").rename(self._child.paused)
            os.kill(os.getpid(), signal.SIGSTOP)

    def around(self, owner: Any, name: str, called: str = "") -> None:
        """Pass a point before and after a call."""
        original = getattr(owner, name)
        called = called or name

        @functools.wraps(original)
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.passing(f"before {called}")
            done = original(*args, **kwargs)
            self.passing(f"after {called}")
            return done

        setattr(owner, name, watched)

    def after_bytes(self, name: str) -> None:
        """Pass a point after bytes went through a TCP socket."""
        original = getattr(socket.socket, name)

        @functools.wraps(original)
        def watched(one: socket.socket, *args: Any) -> Any:
            done = original(one, *args)
            if one.family != socket.AF_UNIX:
                self.passing(f"after {name}")
            return done

        setattr(socket.socket, name, watched)

    def around_requests(self) -> None:
        attempt = _transport.Transport.attempt

        @functools.wraps(attempt)
        def attempting(one: Any, method: str, *args: Any, depart: Any, **kwargs: Any) -> Any:
            async def leaving() -> None:
                self.passing(f"before {method}")
                await depart()
                self.requests += 1
                self.passing(f"after {method} may leave")

            return attempt(one, method, *args, depart=leaving, **kwargs)

        _transport.Transport.attempt = attempting  # type: ignore[method-assign]


# Writes at the end of the log, also without a claim.
UNFENCED = """
WITH latest AS (
    SELECT coalesce(max(number), 0) AS number FROM {schema}.log
    WHERE campaign = %(campaign)s AND shard = %(shard)s
),
written AS (
    INSERT INTO {schema}.log
    SELECT %(campaign)s, %(shard)s, latest.number + t.number - %(before)s, %(epoch)s, t.value
    FROM latest, unnest(%(numbers)s::bigint[], %(values)s::bytea[]) AS t (number, value)
    RETURNING number
),
counted AS (
    UPDATE {schema}.shard SET last_number = (SELECT max(number) FROM written)
    WHERE campaign = %(campaign)s AND shard = %(shard)s
)
SELECT count(*) FROM written WHERE %(last)s > 0
"""


async def _run_campaign(child: Child, ready: Callable[[], object]) -> Receipt:
    async with GatewayClient(
        Simulator().token, base_url=child.url, rate=None, timeout=5, retry=QUICK
    ) as gateway:
        ready()
        journal: Any = child.journal
        if journal.startswith("postgresql://"):
            conninfo, _, name = journal.partition("#")
            journal = PostgresJournals(conninfo, lease=child.lease)[name]
        if child.campaign is None:
            return await gateway.resume_bulk(journal)
        return await child.campaign.send(gateway, journal)


def _run_child(child: Child, ready: Callable[[], object]) -> Ended:
    points = _Points(child)
    if "UNFENCED" in os.environ:
        postgres_store.COMMIT = UNFENCED  # type: ignore[misc]
    for name in ("add_recipients", "publish", "commit"):
        points.around(Store, name)
    # Several rows of recipients, though there are only a few.
    backlog._TOGETHER = 2
    for name in ("begin", "publish"):
        points.around(ShardFolder, name, f"{name} the folder")
    points.around(NewJournal, "add_recipients")
    points.around(ClaimedJournal, "commit")
    for name in ("begin", "commit", "one"):
        points.around(Database, name, f"{name} in the database")
    points.around(Spool, "write")
    points.around(Path, "rename")
    points.around(os, "link")
    points.around_requests()
    for name in ("send", "sendmsg", "recv"):
        points.after_bytes(name)
    ended = Ended()
    try:
        ended.receipt = asyncio.run(_run_campaign(child, ready)).to_dict()
    except GatewayError as error:
        ended.error, ended.text = type(error).__name__, str(error)
        if isinstance(error, BulkSendError):
            ended.receipt = error.receipt.to_dict()
    except BaseException as error:
        ended.error, ended.text = type(error).__name__, traceback.format_exc()
    ended.requests = points.requests
    ended.points = points.passed
    return ended


# --- in the zygote -----------------------------------------------------------------------------


def _fork(child: Child, ready: int, gate: tuple[int, int]) -> tuple[int, int]:
    """Return the id of the process, and where to read how it ended."""
    reading, writing = os.pipe()
    if process := os.fork():
        os.close(writing)
        return process, reading
    # From here on this is the child, which never returns.
    try:
        os.close(0)
        os.close(gate[1])

        def wait_for_the_others() -> None:
            os.write(ready, b".")
            os.read(gate[0], 1)

        answer = json.dumps(asdict(_run_child(child, wait_for_the_others))).encode()
        while answer:
            answer = answer[os.write(writing, answer) :]
    finally:
        os._exit(0)


def _run(children: Sequence[Child]) -> list[Ended]:
    gate = os.pipe()
    ready, is_ready = os.pipe()
    forked = [_fork(child, is_ready, gate) for child in children]
    os.close(gate[0])
    os.close(is_ready)
    for _ in children:
        os.read(ready, 1)
    os.close(gate[1])
    os.close(ready)
    ended: list[Ended] = []
    for child, (process, reading) in zip(children, forked, strict=True):
        if child.after is not None:
            time.sleep(child.after)
            os.kill(process, signal.SIGKILL)
        with os.fdopen(reading, "rb") as answers:
            answer = answers.read()
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            ended.append(Ended(signal=os.WTERMSIG(status)))
        else:
            ended.append(Ended(**json.loads(answer)))
    return ended


def _child(values: dict[str, Any]) -> Child:
    campaign = values.pop("campaign")
    return Child(**values, campaign=None if campaign is None else Campaign(**campaign))


def main() -> None:
    # Trigger lazy imports here, once.
    asyncio.run(anyio.lowlevel.checkpoint())
    gc.freeze()
    for line in sys.stdin:
        ended = _run([_child(one) for one in json.loads(line)])
        sys.stdout.write(json.dumps([asdict(one) for one in ended]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
