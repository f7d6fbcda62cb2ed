"""The command line, run in this process or in one of its own."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anyio
from typer.testing import CliRunner

from gateway_sms_async._cli.main import app
from gateway_sms_async.testing import Simulator

KEYS = [
    "total",
    "accepted",
    "duplicates",
    "excluded",
    "invalid",
    "doubled",
    "unknown",
    "unsent",
    "message_ids",
    "open_message_ids",
    "requests",
    "retries",
    "elapsed",
    "cost",
    "complete",
    "source_exhausted",
    "running",
]


def env(simulator: Simulator) -> dict[str, str]:
    return {"OPENAPI_TOKEN": simulator.token, "GATEWAY_SMS_BASE_URL": simulator.url}


def invoke(*args: str, **keywords: Any) -> Any:
    return CliRunner().invoke(app, args, **keywords)


async def run(simulator: Simulator, *args: str, **keywords: Any) -> Any:
    """Run in a thread, because the command starts its own event loop."""
    if "--rate" not in args:
        args = (*args, "--rate", "0")
    return await anyio.to_thread.run_sync(
        lambda: invoke(*args, env=env(simulator), **keywords), abandon_on_cancel=True
    )


@contextmanager
def full_disk() -> Generator[str]:
    """Yield the name of an open stream that has no room for a byte."""
    with Path("/dev/full").open("wb", buffering=0) as full:
        yield f"/dev/fd/{full.fileno()}"


# A shell that starts the tests in the background makes them ignore Ctrl-C, and nohup the end of the
# terminal; their children inherit that.
AS_A_USER = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
runpy.run_module("gateway_sms_async", run_name="__main__", alter_sys=True)
"""


async def start(
    *args: str, pass_fds: Sequence[int] = (), **variables: str
) -> asyncio.subprocess.Process:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OPENAPI_TOKEN", "GATEWAY_SMS_BASE_URL")
    }
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        AS_A_USER,
        *args,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=inherited | variables,
        pass_fds=pass_fds,
    )


def many_numbers(folder: Path, count: int) -> str:
    path = folder / "many.txt"
    path.write_text("".join(f"+39-340{n:07}\n" for n in range(count)))
    return str(path)


async def finish(process: asyncio.subprocess.Process, given: bytes = b"") -> tuple[int, str, str]:
    out, err = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not condition():
            await asyncio.sleep(0.01)


def one_line(result: Any, *, code: int = 2) -> str:
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("gateway-sms: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("gateway-sms: ").rstrip("\n")


async def send(simulator: Simulator, list_file: str, *more: str) -> list[str]:
    done = await run(
        simulator, "bulk", list_file, "--sender", "ACME", "--body", "Ciao {{name}}, {{sum}}",
        "--recipients-per-message", "150", *more,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)["message_ids"]


class Page(HTMLParser):
    """Parses a page; fails on a tag that is not closed or that loads something."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href", "onclick", "onload"} & dict(attrs).keys(), tag
        self.seen.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
