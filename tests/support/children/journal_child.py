"""A campaign in a process of its own, which does something with its own journal on the way.

`python -m tests.support.children.journal_child URL JOURNAL WHEN WHAT`. WHEN is "intake", while the
source is read, or "sending", when some recipients are accepted. It then does WHAT, prints "ready"
and waits for a line. After the campaign it prints how that ended, and waits for another line.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway_sms_async import GatewayClient, GatewayError, Progress
from gateway_sms_async._campaign import progress as reporting
from gateway_sms_async.testing import Simulator

from ...support.accounting import numbers


def nothing(journal: Path) -> None:
    """Do nothing."""


def read(journal: Path) -> None:
    """Read all files that belong to the journal, as an upload does."""
    for file in journal.parent.glob(journal.name + "*"):
        with file.open("rb") as opened:
            opened.read()


def copy(journal: Path) -> None:
    """Copy the folder, as a backup does."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(journal.parent, Path(folder, "copy"))


def fork(journal: Path) -> None:
    """Fork a process that has all handles of this one, and stays until this one is gone."""
    parent = os.getpid()
    if os.fork():
        return
    read(journal)
    while os.getppid() == parent:
        time.sleep(0.05)
    os._exit(0)


ACTIONS: dict[str, Callable[[Path], None]] = {
    one.__name__: one for one in (nothing, read, copy, fork)
}


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def main(url: str, journal: Path, when: str, what: str) -> None:
    reporting._PROGRESS_EVERY = 0.0
    waiting = True

    def wait() -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            ACTIONS[what](journal)
            say("ready")
            sys.stdin.readline()

    def source() -> Iterator[str]:
        for n, number in enumerate(numbers(40)):
            if when == "intake" and n == 25:
                wait()
            yield number

    def report(progress: Progress) -> None:
        if when == "sending" and 0 < progress.accepted < 40:
            wait()

    async with GatewayClient(Simulator().token, base_url=url, rate=None) as gateway:
        try:
            receipt = await gateway.send_bulk(
                source(),
                sender="ACME",
                body="Ciao",
                journal=journal,
                batch_size=5,
                recipients_per_message=10,
                concurrency=1,
                on_progress=report,
            )
        except GatewayError as error:
            say(type(error).__name__, error)
        else:
            say("complete" if receipt.complete else "incomplete")
        sys.stdin.readline()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
