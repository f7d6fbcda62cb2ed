"""A Celery task that sends one text.

Run the worker with `celery -A celery_tasks worker`. It reads CELERY_BROKER_URL, and the credentials
of the library, for example OPENAPI_TOKEN. Elsewhere, queue a text:

    send_text.delay("order-4711", "+39 340 1234567", "Your order is ready")
"""

import asyncio

from celery import Celery, signals

import gateway_sms_async as sms
from reference_store import ReferenceStore
from send_once import send_once

PROCESSES = 2
RATE = 10  # requests a second of the account; all processes together

app = Celery("celery_tasks")
app.conf.worker_concurrency = PROCESSES

# A process of the pool runs one task at a time. Neither of the two does anything before its first use,
# so each process has an event loop and a client of its own, although both are made before the fork.
runner = asyncio.Runner()
gateway = sms.GatewayClient(rate=RATE / PROCESSES, retry=sms.RetryPolicy(max_elapsed=30))
references = ReferenceStore("sent.db")


@signals.worker_process_init.connect
def open_gateway(**_: object) -> None:
    runner.run(gateway.open())


@signals.worker_process_shutdown.connect
def close_gateway(**_: object) -> None:
    runner.run(gateway.aclose())
    runner.close()


@app.task(
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(sms.GatewayError,),
    default_retry_delay=60,
    max_retries=10,
)
def send_text(reference: str, number: str, body: str) -> None:
    """Send a text. `reference` names it: queued twice, or run twice, it is sent once."""
    runner.run(send_once(gateway, references, reference, number, body))
