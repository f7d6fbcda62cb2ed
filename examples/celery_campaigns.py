"""Celery workers that send the shards of campaigns.

Run `celery -A celery_campaigns worker --beat`. It reads CELERY_BROKER_URL, DATABASE_URL, and the
credentials of the library, for example OPENAPI_TOKEN. Elsewhere, a program starts campaigns with
`Campaigns(gateway, PostgresJournals(DATABASE_URL), run=False)`.
"""

import asyncio
import os

from celery import Celery, signals

from gateway_sms_async import Campaigns, GatewayClient, SharedRate
from gateway_sms_async.postgres import PostgresJournals

DATABASE = os.environ["DATABASE_URL"]
EVERY = 60.0  # seconds between two looks for free shards

app = Celery("celery_campaigns")
app.conf.beat_schedule = {"reconcile": {"task": "celery_campaigns.reconcile", "schedule": EVERY}}

# Each process of the pool has an event loop and a client of its own: see `celery_tasks.py`.
runner = asyncio.Runner()
gateway = GatewayClient(rate=SharedRate(DATABASE, per_second=10))
campaigns = Campaigns(gateway, PostgresJournals(DATABASE), run=False)


@signals.worker_process_init.connect
def open_gateway(**_: object) -> None:
    runner.run(gateway.open())


@signals.worker_process_shutdown.connect
def close_gateway(**_: object) -> None:
    runner.run(gateway.aclose())
    runner.close()


@app.task
def run_shard(name: str, shard: int) -> str:
    """Send one shard. Run twice, or by two workers, it is sent once."""
    return runner.run(campaigns.run_shard(name, shard))


@app.task
def reconcile() -> None:
    """Queue the free shards: new ones, and those whose worker has died."""
    for name, shard in runner.run(campaigns.waiting()):
        # After that time it is queued again.
        run_shard.apply_async((name, shard), expires=EVERY)
