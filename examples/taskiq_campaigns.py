"""Taskiq workers that send the shards of campaigns.

Run `taskiq worker taskiq_campaigns:broker` and, once, `taskiq scheduler taskiq_campaigns:scheduler`.
They read REDIS_URL, DATABASE_URL, and the credentials of the library, for example OPENAPI_TOKEN.
Elsewhere, a program starts campaigns with `Campaigns(gateway, PostgresJournals(DATABASE_URL),
run=False)`.
"""

import os

from taskiq import TaskiqEvents, TaskiqScheduler, TaskiqState
from taskiq.schedule_sources import LabelScheduleSource
from taskiq_redis import ListQueueBroker

from gateway_sms_async import Campaigns, GatewayClient, SharedRate
from gateway_sms_async.postgres import PostgresJournals

DATABASE = os.environ["DATABASE_URL"]

broker = ListQueueBroker(os.environ["REDIS_URL"])
scheduler = TaskiqScheduler(broker, [LabelScheduleSource(broker)])
gateway = GatewayClient(rate=SharedRate(DATABASE, per_second=10))
campaigns = Campaigns(gateway, PostgresJournals(DATABASE), run=False)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_gateway(_: TaskiqState) -> None:
    await gateway.open()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_gateway(_: TaskiqState) -> None:
    await gateway.aclose()


@broker.task
async def run_shard(name: str, shard: int) -> str:
    """Send one shard. Run twice, or by two workers, it is sent once."""
    return await campaigns.run_shard(name, shard)


@broker.task(schedule=[{"cron": "* * * * *"}])
async def reconcile() -> None:
    """Queue the free shards: new ones, and those whose worker has died."""
    for name, shard in await campaigns.waiting():
        await run_shard.kiq(name, shard)
