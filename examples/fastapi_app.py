"""One-time codes, campaigns and delivery callbacks with FastAPI.

Run one process of it, behind TLS and your own authentication: `uvicorn fastapi_app:app`. It reads
CALLBACK_SECRET (at least 16 bytes), CALLBACK_URL (the public address of `/callbacks`, such as
https://sms.example.com/callbacks), and the credentials of the library, for example OPENAPI_TOKEN.
"""

import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import environ
from typing import Annotated, TypedDict

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response, status
from pydantic import AfterValidator, BaseModel
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
async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
    async with sms.GatewayClient(rate=50) as gateway, sms.Campaigns(gateway, "campaigns") as runs:
        # A user waits for the code: the call ends after 5 seconds, with a clear result.
        impatient = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        yield {
            "messages": impatient.messages,
            "campaigns": runs,
            "references": ReferenceStore("codes.db"),
        }


def get_messages(request: Request) -> sms.Messages:
    messages: sms.Messages = request.state.messages
    return messages


def get_campaigns(request: Request) -> sms.Campaigns:
    campaigns: sms.Campaigns = request.state.campaigns
    return campaigns


def get_references(request: Request) -> ReferenceStore:
    references: ReferenceStore = request.state.references
    return references


Messages = Annotated[sms.Messages, Depends(get_messages)]
Campaigns = Annotated[sms.Campaigns, Depends(get_campaigns)]
References = Annotated[ReferenceStore, Depends(get_references)]
Name = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]


class CodeRequest(BaseModel):
    """Where to send a code. A number that cannot be sent to is answered with 422."""

    number: Annotated[str, AfterValidator(sms.normalize)]


class CampaignRequest(BaseModel):
    """A text and its recipients. Invalid numbers are counted, and do not stop the campaign."""

    numbers: list[str]
    text: str


class Accepted(BaseModel):
    """Where to look up the result."""

    look: str


class CodeStatus(BaseModel):
    """Whether the gateway has accepted a code."""

    sent: bool


def on_callback(callback: sms.Callback) -> None:
    """Handle a callback before it is answered; what you store here survives a crash."""
    if callback_log.accept(callback):  # skips repeated and late callbacks
        logger.info("%s is in state %s", callback.reference, callback.state)


receiver = sms.CallbackReceiver(signer=signer, handle=on_callback)
app = FastAPI(
    title="One-time codes and campaigns",
    lifespan=lifespan,
    # With and without a slash at the end: the gateway may not follow a redirect.
    routes=[
        Route(path, CallbackApp(receiver), methods=["POST"])
        for path in ("/callbacks", "/callbacks/")
    ],
)


@app.put("/codes/{name}")
async def put_code(
    name: Name,
    code: CodeRequest,
    messages: Messages,
    references: References,
    response: Response,
) -> Accepted:
    """Send a code. The caller chooses `name`: asking twice with one name sends once."""
    accepted = Accepted(look=f"/sent/{name}")
    if not await references.reserve(name):
        response.status_code = status.HTTP_202_ACCEPTED
        return accepted
    try:
        await messages.send(
            sender="ACME",
            body=f"Your code is {secrets.randbelow(1_000_000):06}",
            recipients=code.number,
            reference=name,
        )
    except sms.OutcomeUnknownError:
        response.status_code = status.HTTP_202_ACCEPTED  # perhaps sent: never send it again
    except sms.GatewayError as error:  # not sent: the caller may try again with a new name
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)) from None
    else:
        await references.mark_sent(name)
    return accepted


@app.put("/campaigns/{name}", status_code=status.HTTP_202_ACCEPTED)
async def put_campaign(name: Name, campaign: CampaignRequest, campaigns: Campaigns) -> Accepted:
    """Start a campaign in the background; when this returns, the whole list is in its journal."""
    options = sms.Options(callback_url=signer.url(CALLBACK_URL, reference=name))
    try:
        await campaigns.start(
            name, campaign.numbers, sender="ACME", body=campaign.text, options=options
        )
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    except sms.GatewayError as error:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)) from None
    return Accepted(look=f"/sent/{name}")


@app.get("/sent/{name}")
async def get_sent(
    name: Name, messages: Messages, campaigns: Campaigns, references: References
) -> sms.CampaignStatus | CodeStatus:
    """Look up a campaign or a code."""
    if run := campaigns.status(name):
        return run
    state = await references.state(name)
    if state != "reserved":
        return CodeStatus(sent=state == "sent")
    try:  # the answer to the send was lost, so ask the gateway
        found = await messages.find(name)
    except sms.GatewayError as error:  # not known yet
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, str(error)) from None
    return CodeStatus(sent=found is not None)
