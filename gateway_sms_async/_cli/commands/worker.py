"""The worker: a process that sends campaigns from a database, beside others on other machines."""

import asyncio
from typing import Annotated

from ..._postgres.address import is_address
from ...postgres import PostgresJournals
from ..app import command
from ..options import AccountOptions, option
from ..worker_run import WorkerRun


@command(
    "gateway-sms worker --postgres postgresql://localhost/sms",
    "gateway-sms worker --postgres postgresql://db/sms --rate-shared postgresql://db/sms --rate 10",
)
def worker(
    *,
    postgres: Annotated[
        str, option("The database of the campaigns: postgresql://host/database.", metavar="ADDRESS")
    ],
    account: AccountOptions,
    schema: Annotated[str, option("The schema of the journals.")] = "gateway_sms",
    shards_at_once: Annotated[int, option("How many shards to send side by side.")] = 2,
    queue: Annotated[str, option("The queue to work on.")] = "gateway_sms",
) -> int:
    """Send the campaigns of a database, beside other workers, until it is stopped.

    A campaign is started by `bulk --journal ADDRESS#NAME --shards N`, which sends beside the workers, or
    by a program with `Campaigns(gateway, journals, run=False)`. Each worker takes
    free shards. If one dies, the others take over its shards, at once or within the minute. Start as many as you like; with
    --rate-shared they share one rate.

    Needs the extra procrastinate. The tables are created unless they are there. The first Ctrl-C stops
    taking shards, and lets requests in flight complete; others continue the shards.

    Exit codes: 130 and 143 stopped by Ctrl-C or SIGTERM; 1 the database cannot be used; 2 wrong usage.
    """
    if not is_address(postgres) or "#" in postgres:
        raise ValueError("the address of a database is postgresql://host/database, without a name")
    if shards_at_once < 1:
        raise ValueError("--shards-at-once is at least 1")
    run = WorkerRun(
        postgres, PostgresJournals(postgres, schema=schema), queue=queue, at_once=shards_at_once
    )
    return asyncio.run(run.complete(account.client()))
