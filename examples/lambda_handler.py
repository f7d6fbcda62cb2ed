"""An AWS Lambda function that sends one text for each event; the handler is `lambda_handler.handler`.

An event is {"reference": "order-4711", "number": "+39 340 1234567", "body": "Your order is ready"}.
It reads REFERENCES (see `reference_store.py`: a table that all instances of the function share), and
the credentials of the library, for example OPENAPI_TOKEN.
"""

import asyncio
from os import environ
from typing import Any

import aiohttp

import gateway_sms_async as sms
from reference_store import ReferenceStore
from send_once import send_once

INSTANCES = 5  # the reserved concurrency of the function
RATE = 10  # requests a second of the account; all instances together


def connections() -> aiohttp.BaseConnector:
    # A connection that is kept between two events can break unseen while the instance is frozen.
    return aiohttp.TCPConnector(force_close=True)


# Made at a cold start, and kept for all events of this instance, which come one at a time.
runner = asyncio.Runner()
gateway = sms.GatewayClient(rate=RATE / INSTANCES, connector=connections)
runner.run(gateway.open())
references = ReferenceStore(environ["REFERENCES"])


def handler(event: dict[str, str], context: Any) -> dict[str, bool]:
    # The call ends before Lambda ends the process.
    seconds = context.get_remaining_time_in_millis() / 1000 - 2
    impatient = gateway.with_options(retry=sms.RetryPolicy(max_elapsed=seconds))
    runner.run(send_once(impatient, references, event["reference"], event["number"], event["body"]))
    return {"sent": True}
