"""Campaigns on the workers of Procrastinate, a queue in PostgreSQL. Needs the extra `procrastinate`.

The queue only says which worker does what next. The journals alone keep a recipient from being texted
twice, so the queue may be emptied, or an entry may be run twice or by two workers: one of them returns "taken".
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from procrastinate import App
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

from ._background.campaigns import Campaigns
from ._background.status import ShardEnd
from .errors import JournalError

__all__ = ["RECONCILE", "RUN_SHARD", "add_tasks", "install_queue", "wake_workers"]

RUN_SHARD = "gateway_sms.run_shard"
"""The name of the task that runs one shard of a campaign."""


RECONCILE = "gateway_sms.reconcile"
"""The name of the periodic task that finds free shards."""


_logger = logging.getLogger("gateway_sms_async")


def add_tasks(
    app: App,
    campaigns: Callable[[], Campaigns],
    *,
    queue: str = "gateway_sms",
    every: str = "* * * * *",
) -> None:
    """Register the tasks that run campaigns on the workers of an App.

    ```python
    app = App(connector=PsycopgConnector(conninfo=DATABASE))
    add_tasks(app, lambda: campaigns)
    async with app.open_async():
        await install_queue(app)
        await wake_workers(app)
        await app.run_worker_async(queues=["gateway_sms"], concurrency=2)
    ```

    - `campaigns` returns the `Campaigns` of the process, with `run=False`, and with journals in a
      database if there is more than one machine. It is called in each task.
    - `queue`: where the tasks are, one for each account. A worker needs `concurrency=2` to run two shards side by side, and a
      process that only starts campaigns registers the tasks, too.
    - `every`: how often, in the form of cron, a worker looks for free shards. So a new
      campaign begins, and one whose worker has died continues, within that time, or at once after
      `wake_workers`.

    A worker that is stopped waits for its shards. Leave its `Campaigns` then: that stops them.
    Raises what `App.task` raises if tasks of these names are registered.
    """

    @app.task(name=RUN_SHARD, queue=queue)
    async def run_shard(name: str, shard: int) -> ShardEnd:
        _logger.info("campaign %s, shard %d: begins", name, shard + 1)
        try:
            end = await campaigns().run_shard(name, shard)
        except JournalError as error:
            _logger.error("campaign %s, shard %d: %s", name, shard + 1, error)  # noqa: TRY400
            raise
        _logger.info("campaign %s, shard %d: %s", name, shard + 1, end)
        if end in {"complete", "finished"}:
            # With a limit, the next shard waits for the end of this one.
            await defer_waiting()
        return end

    @app.periodic(cron=every)
    @app.task(name=RECONCILE, queue=queue, queueing_lock=f"{RECONCILE} {queue}")
    async def reconcile(timestamp: int) -> None:  # noqa: ARG001
        try:
            await defer_waiting()
        except JournalError as error:
            _logger.error("campaigns: %s", error)  # noqa: TRY400
            raise

    async def defer_waiting() -> None:
        for name, shard in await campaigns().waiting():
            one = run_shard.configure(queueing_lock=f"{RUN_SHARD} {queue} {name} {shard}")
            with suppress(AlreadyEnqueued):
                await one.defer_async(name=name, shard=shard)


async def install_queue(app: App) -> None:
    """Create the tables of Procrastinate, unless they are there. Needs an open App.

    May be repeated, also by several processes at once. Raises what Procrastinate raises if its database
    cannot be used.
    """
    if await app.check_connection_async():
        return
    try:
        await app.schema_manager.apply_schema_async()
    except ConnectorException:
        # Another process may have begun at the same moment.
        if not await app.check_connection_async():
            raise


async def wake_workers(app: App) -> None:
    """Let a worker look at once for free shards, as after `Campaigns.start`.

    ```python
    if await campaigns.start("spring", recipients, sender="ACME", body="Ciao", shards=16):
        await wake_workers(app)
    ```

    Needs an open App that `add_tasks` was called with. Raises what Procrastinate raises if its database
    cannot be used; a worker then looks in its time.
    """
    with suppress(AlreadyEnqueued):
        await app.configure_task(RECONCILE).defer_async(timestamp=0)
