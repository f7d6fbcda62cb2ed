"""A web service in several processes, with Starlette: `WEB_CONCURRENCY=4 uvicorn workers_app:app`.

Run it behind TLS and your own authentication. It reads the credentials of the library, for example
OPENAPI_TOKEN.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import gateway_sms_async as sms
from reference_store import ReferenceStore
from send_once import send_once

RATE = sms.SharedRate("gateway-sms.rate", per_second=10)  # all workers together


class State(TypedDict):
    """What lives as long as a worker, available as `request.state`."""

    gateway: sms.GatewayClient
    references: ReferenceStore


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[State]:
    """Run once in each worker."""
    async with sms.GatewayClient(rate=RATE) as gateway:
        # A user waits: the call ends after 5 seconds, with a clear result.
        impatient = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        yield {"gateway": impatient, "references": ReferenceStore("sent.db")}


class Text(msgspec.Struct):
    number: str
    body: str


async def put_text(request: Request) -> JSONResponse:
    """Send a text. The caller chooses `reference`, and may repeat the request at any worker."""
    reference: str = request.path_params["reference"]
    state = request.state
    try:
        text = msgspec.json.decode(await request.body(), type=Text)
        await send_once(state.gateway, state.references, reference, text.number, text.body)
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 422)
    except sms.OutcomeUnknownError:  # perhaps sent; the same request looks again
        return JSONResponse({"sent": None, "worker": os.getpid()}, 202)
    except sms.GatewayError as error:  # not sent; the same request tries again
        return JSONResponse({"error": str(error)}, 503)
    return JSONResponse({"sent": True, "worker": os.getpid()})


app = Starlette(lifespan=lifespan, routes=[Route("/texts/{reference}", put_text, methods=["PUT"])])
