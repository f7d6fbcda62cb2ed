"""The recipes for task systems: real workers and processes, checked by what the simulator sent."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_sms_async.testing import Fault, Simulator

from ..support.paths import EXAMPLES, ROOT

CHILDREN = ROOT / "tests" / "support" / "children"
CHILD = CHILDREN / "recipe_child.py"
ANNA, BRUNO, CARLA = "+39-3401234567", "+39-3407654321", "+39-3401111111"
CAMPAIGN = [f"+39-340{n:07}" for n in range(2_000)]

pytestmark = pytest.mark.timeout(60)


class Process:
    """A recipe in a process of its own. What it writes to stderr is in `errors`."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Path) -> None:
        self.process = process
        self._errors = errors

    @property
    def errors(self) -> str:
        return self._errors.read_text(encoding="utf-8")

    async def stop(self) -> None:
        """Send SIGTERM, and check that the process ends cleanly."""
        self.process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(self.process.wait(), 20)
        assert self.process.returncode in {0, -signal.SIGTERM}, self.errors
        assert not re.search("Traceback|Unclosed|never", self.errors), self.errors

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def answer(self, event: dict[str, str]) -> Any:
        """Write one line to stdin, and return the line that answers it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(event).encode() + b"\n")
        return json.loads(await asyncio.wait_for(self.process.stdout.readline(), 20))


Start = Callable[..., Any]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(sent_after=0.0, delivered_after=0.05) as running:
        yield running


@pytest.fixture
def start(simulator: Simulator, tmp_path: Path) -> Start:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(CHILDREN), str(EXAMPLES), *filter(None, sys.path)]),
        "OPENAPI_TOKEN": simulator.token,
        "GATEWAY_SMS_BASE_URL": simulator.url,
        "REFERENCES": "sent.db",
        "WEB_CONCURRENCY": "2",
        "IPYTHONDIR": str(tmp_path),
    }

    @asynccontextmanager
    async def start(*command: object) -> AsyncIterator[Process]:
        errors = tmp_path / "errors"
        with errors.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *map(str, command)),
                cwd=tmp_path,
                env=environment,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=file,
                start_new_session=True,
            )
        try:
            yield Process(process, errors)
        except BaseException:
            sys.stderr.write(errors.read_text(encoding="utf-8"))
            raise
        finally:
            with suppress(ProcessLookupError):  # the processes of a pool would outlive their parent
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    return start


def needs(module: str) -> None:
    # Not imported: only the child process needs it.
    if importlib.util.find_spec(module) is None:
        pytest.skip("it is in the extra `test`")


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


def children(parent: int) -> list[int]:
    path = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(child) for child in path.read_text(encoding="ascii").split()]


def sends(simulator: Simulator) -> int:
    return sum(request.operation == "send" for request in simulator.requests)


# --- Celery --------------------------------------------------------------------------------------

WORKER = ["-m", "celery", "-A", "celery_child", "worker", "--loglevel", "WARNING"]
WORKER += ["--without-gossip", "--without-mingle", "--without-heartbeat"]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that queues a text and waits until its task has ended."""
    celery = pytest.importorskip("celery", reason="it is in the extra `test`")
    for folder in ("queue", "results"):
        (tmp_path / folder).mkdir()
    app = celery.Celery(
        broker="filesystem://",
        backend=f"file://{tmp_path / 'results'}",
    )
    app.conf.broker_transport_options = {
        "data_folder_in": str(tmp_path / "queue"),
        "data_folder_out": str(tmp_path / "queue"),
        "control_folder": str(tmp_path / "control"),
    }

    async def queue(reference: str, number: str) -> None:
        result = app.send_task("celery_tasks.send_text", [reference, number, "Ciao"])
        await until(result.ready)
        result.get()

    return queue


async def test_a_celery_task_that_runs_again_sends_once(
    start: Start, queue: Callable[..., Any], simulator: Simulator
) -> None:
    # Anna's answer is lost, and the search fails: Celery's retry looks again.
    simulator.fail_next("send", after_apply=True)
    simulator.fail_next("list", status=403)
    async with start(*WORKER) as worker:
        await queue("order-1", ANNA)
        assert sends(simulator) == 1
        # Bruno's is refused, so nothing was sent: Celery's retry sends.
        simulator.fail_next("send", status=422)
        await queue("order-2", BRUNO)
        assert sends(simulator) == 3
        # Queued a second time, by mistake.
        await asyncio.gather(queue("order-1", ANNA), queue("order-2", BRUNO))
        await worker.stop()
    assert sends(simulator) == 3
    simulator.assert_sent({ANNA: "Ciao", BRUNO: "Ciao"})


@pytest.mark.skipif(
    sys.platform != "linux", reason="it looks for the processes of the pool in /proc"
)
async def test_a_celery_process_that_is_killed_while_it_sends_does_not_send_again(
    start: Start, queue: Callable[..., Any], simulator: Simulator
) -> None:
    simulator.faults.add(Fault.hang(after_apply=True), on="send")
    # One process: Celery's pool does not recover if one dies that waits for a task.
    async with start(*WORKER, "--concurrency", "1") as worker, asyncio.TaskGroup() as tasks:
        tasks.create_task(queue("order-1", ANNA))
        await until(lambda: sends(simulator))
        [busy] = children(worker.process.pid)
        os.kill(busy, signal.SIGKILL)
    assert sends(simulator) == 1
    simulator.assert_sent({ANNA: "Ciao"})


# --- Lambda --------------------------------------------------------------------------------------


async def test_a_lambda_that_is_called_again_sends_once(start: Start, simulator: Simulator) -> None:
    anna, bruno, carla = (
        {"reference": f"order-{number}", "number": number, "body": "Ciao"}
        for number in (ANNA, BRUNO, CARLA)
    )
    async with start(CHILD, "lambda") as instance:
        assert await instance.answer(anna) == {"sent": True}, "cold"
        assert await instance.answer(bruno) == {"sent": True}, "warm"
        assert await instance.answer(bruno) == {"sent": True}, "the event comes twice"
        simulator.fail_next("send", after_apply=True)
        simulator.fail_next("list", status=403)
        assert await instance.answer(carla) == "OutcomeUnknownError"
        assert await instance.answer({**anna, "reference": "order-4", "number": "340"}) == (
            "InvalidNumberError"
        )
    async with start(CHILD, "lambda") as another:
        assert await another.answer(carla) == {"sent": True}, "Lambda's retry, at another instance"
        assert await another.answer(anna) == {"sent": True}
    assert sends(simulator) == 3
    simulator.assert_sent({ANNA: "Ciao", BRUNO: "Ciao", CARLA: "Ciao"})


# --- A notebook ----------------------------------------------------------------------------------


async def test_a_notebook_whose_kernel_died_is_run_again(
    start: Start, simulator: Simulator
) -> None:
    needs("IPython")
    simulator.delay = lambda request: 0.2 if request.operation == "append" else 0
    async with start(CHILD, "notebook", 1) as kernel:
        await until(lambda: any(one.operation == "append" for one in simulator.requests))
        await kernel.kill()
    assert not simulator.ledger
    simulator.delay = None
    async with start(CHILD, "notebook", 2) as kernel:
        assert await asyncio.wait_for(kernel.process.wait(), 30) == 0, kernel.errors
        assert "Unclosed" not in kernel.errors
    assert simulator.ledger == dict.fromkeys(CAMPAIGN, 1)


# --- APScheduler ---------------------------------------------------------------------------------


async def test_a_scheduled_campaign_runs_once_a_day(start: Start, simulator: Simulator) -> None:
    needs("apscheduler")
    simulator.delay = lambda request: 0.2 if request.operation in {"append", "close"} else 0
    async with start(CHILD, "scheduler") as scheduler:
        await until(lambda: any(one.operation == "append" for one in simulator.requests))
        await scheduler.stop()
    assert not simulator.ledger
    simulator.delay = None
    async with start(CHILD, "scheduler") as scheduler:
        await until(lambda: simulator.ledger)
        await asyncio.sleep(0.5)  # for more runs of the job
        await scheduler.stop()
    assert simulator.ledger == dict.fromkeys(CAMPAIGN, 1)
    assert "See you today, 2026-12-01" in simulator.sent_to(CAMPAIGN[0])


# --- Several workers -----------------------------------------------------------------------------


async def test_the_workers_share_the_rate_and_the_references(
    start: Start, simulator: Simulator
) -> None:
    needs("uvicorn")
    needs("starlette")
    async with start("-m", "uvicorn", "workers_app:app", "--port", "0") as service:
        await until(lambda: service.errors.count("Application startup complete") == 2)
        [url] = re.findall(r"running on (http://[\d.:]+)", service.errors)
        # A connection of its own for each request: each can come to another worker.
        async with aiohttp.ClientSession(
            url, connector=aiohttp.TCPConnector(force_close=True)
        ) as http:

            async def put(number: str) -> int:
                async with http.put(
                    f"/texts/order-{number}", json={"number": number, "body": "Ciao"}
                ) as response:
                    answer = await response.json()
                    assert response.status == 200, answer
                    return answer["worker"]

            sent: list[str] = []
            by: dict[int, int] = {}
            began = time.monotonic()
            while len(by) < 2 or len(sent) < 12:
                numbers = CAMPAIGN[len(sent) : len(sent) + 6]
                sent += numbers
                for worker in await asyncio.gather(*map(put, numbers)):
                    by[worker] = by.get(worker, 0) + 1
            took = time.monotonic() - began
            # Ten requests a second together, the first one at once.
            assert took >= (len(sent) - 1) / 10
            # The callers ask again, at any worker.
            await asyncio.gather(*map(put, sent))
            assert sends(simulator) == len(sent)
        await service.stop()
    simulator.assert_sent(dict.fromkeys(sent, "Ciao"))
