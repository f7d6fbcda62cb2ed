"""A campaign a day, with APScheduler: `python scheduled_campaign.py`.

It reads the credentials of the library, for example OPENAPI_TOKEN.
"""

import asyncio
import logging
import signal
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger

import gateway_sms_async as sms

logger = logging.getLogger(__name__)

ROME = ZoneInfo("Europe/Rome")


def appointments(day: str) -> Iterator[sms.Recipient]:
    """Stands for a query of your own database."""
    for n in range(2_000):
        yield sms.Recipient(f"+39 340 {n:07}", {"day": day})


async def remind(campaigns: sms.Campaigns) -> None:
    """Send the reminders of today, unless they were sent, or begun, before."""
    day = f"{datetime.now(ROME):%Y-%m-%d}"
    started = await campaigns.start(
        f"reminders-{day}", appointments(day), sender="ACME", body="See you today, {{day}}"
    )
    if started:
        logger.info("started the reminders of %s", day)


async def main(trigger: BaseTrigger) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):  # (Not available on Windows.)
        loop.add_signal_handler(number, stopping.set)
    async with sms.GatewayClient() as gateway, sms.Campaigns(gateway, "campaigns") as campaigns:
        scheduler = AsyncIOScheduler(timezone=ROME)
        scheduler.add_job(remind, trigger, [campaigns], coalesce=True, misfire_grace_time=600)
        scheduler.start()
        await stopping.wait()
        scheduler.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    # Every ten minutes from nine to noon: the first run starts the campaign, and the others find it.
    asyncio.run(main(CronTrigger(hour="9-11", minute="*/10", timezone=ROME)))
