"""Campaigns that a web service starts and workers send: Procrastinate's queue, in PostgreSQL.

    python campaign_queue.py start     what your web service does
    python campaign_queue.py work      a worker; start as many as you like, on any machine

It reads DATABASE_URL, such as `postgresql://user:password@db.example.com/sms`. A worker that needs
nothing else is there ready made: `gateway-sms worker --postgres ADDRESS`.
"""

import asyncio
import logging
import os
import sys

from procrastinate import App, PsycopgConnector

from gateway_sms_async import Campaigns, GatewayClient, SharedRate
from gateway_sms_async.postgres import PostgresJournals
from gateway_sms_async.tasks_procrastinate import add_tasks, install_queue, wake_workers

DATABASE = os.environ["DATABASE_URL"]

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("campaign")


async def start(app: App, campaigns: Campaigns) -> None:
    people = [f"+39 347 {n:07}" for n in range(20_000)]
    begun = await campaigns.start("spring", people, sender="ACME", body="Ciao", shards=8)
    log.info("started %s", "here" if begun else "before")
    await wake_workers(app)
    while True:
        await asyncio.sleep(1)
        status = campaigns.status("spring")
        if status is not None and status.state != "running":
            log.info("%s %d %s", status.state, status.progress.accepted, status.reason or "")
            break


async def work(app: App) -> None:
    # A second after SIGTERM, shards that still run are stopped: their requests in flight complete.
    await app.run_worker_async(
        queues=["gateway_sms"], concurrency=2, shutdown_graceful_timeout=1, delete_jobs="successful"
    )


async def main() -> None:
    journals = PostgresJournals(DATABASE)
    await journals.install()
    app = App(connector=PsycopgConnector(conninfo=DATABASE))
    async with (
        GatewayClient(rate=SharedRate(DATABASE, per_second=10)) as gateway,
        Campaigns(gateway, journals, run=False) as campaigns,
        app.open_async(),
    ):
        await install_queue(app)
        add_tasks(app, lambda: campaigns)
        if sys.argv[1:] == ["start"]:
            await start(app, campaigns)
        else:
            await work(app)


asyncio.run(main())
