"""A campaign that any machine can continue: its journal is in PostgreSQL.

Start this program on several machines, with the same `DATABASE_URL`, such as
`postgresql://user:password@db.example.com/sms`. One of them starts the campaign, all of them send shards of
it, and if one dies, the others go on.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator

from gateway_sms_async import Campaigns, GatewayClient, SharedRate
from gateway_sms_async.postgres import PostgresJournals

DATABASE = os.environ["DATABASE_URL"]
JOURNALS = PostgresJournals(DATABASE)

logging.basicConfig(level=logging.INFO, format="%(message)s")
log = logging.getLogger("campaign")


async def customers() -> AsyncIterator[str]:
    """Stands in for a query of your database."""
    for n in range(20_000):
        yield f"+39 347 {n:07}"


async def main() -> None:
    await JOURNALS.install()
    async with (
        GatewayClient(rate=SharedRate(DATABASE, per_second=10)) as gateway,
        Campaigns(gateway, JOURNALS) as campaigns,
    ):
        begun_here = await campaigns.start(
            "spring", customers(), sender="ACME", body="Ciao", shards=4
        )
        log.info("started %s", "here" if begun_here else "elsewhere")
        while True:
            status = campaigns.status("spring")
            if status is not None and status.state != "running":
                log.info("%s %d %s", status.state, status.progress.accepted, status.reason or "")
                break
            await asyncio.sleep(1)


asyncio.run(main())
