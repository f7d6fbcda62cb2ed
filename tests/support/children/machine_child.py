"""A worker on a machine of its own: `python -m tests.support.children.machine_child JSON`.

The client speaks http with this machine only, so a relay here, on the gateway's port, leads to it over the cable.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

from gateway_sms_async import Campaigns, GatewayClient, JournalError, RetryPolicy
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.testing import Simulator

_QUICK = RetryPolicy(base_delay=0.05, max_delay=0.5, max_elapsed=4)


async def _relay(host: str, port: int) -> asyncio.Server:
    """Pass bytes on, both ways, from the same port here."""

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                target.write(data)
                await target.drain()
        target.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, to_there = await asyncio.open_connection(host, port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, to_there), copy(there, writer))

    return await asyncio.start_server(connected, "127.0.0.1", port)


async def main(database: str, gateway: str, port: int, lease: float) -> None:
    relay = await _relay(gateway, port)
    url = f"http://127.0.0.1:{port}"
    journals = PostgresJournals(database, lease=lease)
    token = Simulator().token
    async with (
        relay,
        GatewayClient(token, base_url=url, rate=None, timeout=2, retry=_QUICK) as client,
    ):
        campaigns = Campaigns(client, journals, run=False)
        while True:
            waiting: list[tuple[str, int]] = []
            with suppress(JournalError):
                waiting = await campaigns.waiting()
            for name, shard in waiting:
                print(name, shard, "begins", flush=True)  # noqa: T201
                try:
                    end: Any = await campaigns.run_shard(name, shard)
                except JournalError as error:
                    end = f"{type(error).__name__}: {error}"
                print(name, shard, end, flush=True)  # noqa: T201
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
