"""A worker process with `Campaigns`: `python -m tests.support.children.worker_child URL FOLDER`.

It prints "ready", then answers lines of its standard input, each in one line of JSON:

- `start NAME COUNT`: start a campaign to so many recipients; the answer is that of the call.
- `slow NAME COUNT`: the same, with a list that ends only after the line `end`.
- `status NAME`: the status.
- `leave`: leave the block; the answer is "left".
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from gateway_sms_async import Campaigns, GatewayClient
from gateway_sms_async.testing import Simulator

from ..accounting import numbers


def say(answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


async def main(url: str, folder: str) -> None:
    gate = asyncio.Event()
    tasks: list[asyncio.Task[None]] = []

    async def slowly(count: int) -> AsyncIterator[str]:
        for number in numbers(count):
            yield number
        await gate.wait()

    async with (
        GatewayClient(Simulator().token, base_url=url, rate=None) as gateway,
        Campaigns(gateway, folder) as campaigns,
    ):

        async def start(name: str, source: Any) -> None:
            try:
                say(
                    await campaigns.start(
                        name,
                        source,
                        sender="ACME",
                        body="Ciao",
                        batch_size=50,
                        recipients_per_message=100,
                        concurrency=1,
                    )
                )
            except Exception as error:
                say(f"{type(error).__name__}: {error}")

        say("ready")
        while line := (await asyncio.to_thread(sys.stdin.readline)).split():
            match line:
                case ["start", name, count]:
                    tasks.append(asyncio.create_task(start(name, numbers(int(count)))))
                case ["slow", name, count]:
                    tasks.append(asyncio.create_task(start(name, slowly(int(count)))))
                case ["end"]:
                    gate.set()
                case ["status", name]:
                    status = campaigns.status(name)
                    say(None if status is None else status.to_dict())
                case _:
                    break
    say("left")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
