"""One-time codes, campaigns and delivery callbacks with Starlette.

Run one process of it, behind TLS and your own authentication: `uvicorn starlette_app:app`. It reads
CALLBACK_SECRET (at least 16 bytes), CALLBACK_URL (the public address of `/callbacks`, such as
https://sms.example.com/callbacks), and the credentials of the library, for example OPENAPI_TOKEN.
"""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ
from typing import TypedDict

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import gateway_sms_async as sms
from gateway_sms_async.callbacks.asgi import CallbackApp
from reference_store import ReferenceStore

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger(__name__)
signer = sms.CallbackSigner(environ["CALLBACK_SECRET"])
CALLBACK_URL = environ["CALLBACK_URL"]
signer.url(CALLBACK_URL)  # raises if it cannot be one, before any campaign needs it
callback_log = sms.CallbackLog()


class State(TypedDict):
    """What lives as long as the service, available as `request.state`."""

    messages: sms.Messages
    campaigns: sms.Campaigns
    references: ReferenceStore


@asynccontextmanager
async def lifespan(_app: Starlette) -> AsyncIterator[State]:
    async with sms.GatewayClient(rate=50) as gateway, sms.Campaigns(gateway, "campaigns") as runs:
        # A user waits for the code: the call ends after 5 seconds, with a clear result.
        impatient = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        yield {
            "messages": impatient.messages,
            "campaigns": runs,
            "references": ReferenceStore("codes.db"),
        }


class CodeRequest(msgspec.Struct):
    """Where to send a code."""

    number: str


class CampaignRequest(msgspec.Struct):
    """A text and its recipients. Invalid numbers are counted, and do not stop the campaign."""

    numbers: list[str]
    text: str


def on_callback(callback: sms.Callback) -> None:
    """Handle a callback before it is answered; what you store here survives a crash."""
    if callback_log.accept(callback):  # skips repeated and late callbacks
        logger.info("%s is in state %s", callback.reference, callback.state)


async def put_code(request: Request) -> JSONResponse:
    """Send a code. The caller chooses `name`: asking twice with one name sends once."""
    name: str = request.path_params["name"]
    messages: sms.Messages = request.state.messages
    references: ReferenceStore = request.state.references
    accepted = {"look": f"/sent/{name}"}
    try:
        code = msgspec.json.decode(await request.body(), type=CodeRequest)
        number = sms.normalize(code.number)
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 422)
    if not await references.reserve(name):
        return JSONResponse(accepted, 202)
    try:
        await messages.send(
            sender="ACME",
            body=f"Your code is {secrets.randbelow(1_000_000):06}",
            recipients=number,
            reference=name,
        )
    except sms.OutcomeUnknownError:  # perhaps sent: never send it again
        return JSONResponse(accepted, 202)
    except sms.GatewayError as error:  # not sent: the caller may try again with a new name
        return JSONResponse({"error": str(error)}, 503)
    await references.mark_sent(name)
    return JSONResponse(accepted)


async def put_campaign(request: Request) -> JSONResponse:
    """Start a campaign in the background; when this returns, the whole list is in its journal."""
    name: str = request.path_params["name"]
    campaigns: sms.Campaigns = request.state.campaigns
    options = sms.Options(callback_url=signer.url(CALLBACK_URL, reference=name))
    try:
        campaign = msgspec.json.decode(await request.body(), type=CampaignRequest)
        await campaigns.start(
            name, campaign.numbers, sender="ACME", body=campaign.text, options=options
        )
    except ValueError as error:
        return JSONResponse({"error": str(error)}, 422)
    except sms.GatewayError as error:
        return JSONResponse({"error": str(error)}, 503)
    return JSONResponse({"look": f"/sent/{name}"}, 202)


async def get_sent(request: Request) -> JSONResponse:
    """Look up a campaign or a code."""
    name: str = request.path_params["name"]
    campaigns: sms.Campaigns = request.state.campaigns
    references: ReferenceStore = request.state.references
    if run := campaigns.status(name):
        return JSONResponse(run.to_dict())
    state = await references.state(name)
    if state != "reserved":
        return JSONResponse({"sent": state == "sent"})
    try:  # the answer to the send was lost, so ask the gateway
        found = await request.state.messages.find(name)
    except sms.GatewayError as error:  # not known yet
        return JSONResponse({"error": str(error)}, 503)
    return JSONResponse({"sent": found is not None})


receiver = sms.CallbackReceiver(signer=signer, handle=on_callback)
app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/codes/{name}", put_code, methods=["PUT"]),
        Route("/campaigns/{name}", put_campaign, methods=["PUT"]),
        Route("/sent/{name}", get_sent),
        # With and without a slash at the end: the gateway may not follow a redirect.
        Route("/callbacks", CallbackApp(receiver), methods=["POST"]),
        Route("/callbacks/", CallbackApp(receiver), methods=["POST"]),
    ],
)
