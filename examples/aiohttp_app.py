"""One-time codes, campaigns and delivery callbacks with aiohttp.

Run one process of it, behind TLS and your own authentication: `python aiohttp_app.py`. It reads
CALLBACK_SECRET (at least 16 bytes), CALLBACK_URL (the public address of `/callbacks`, such as
https://sms.example.com/callbacks), and the credentials of the library, for example OPENAPI_TOKEN.
"""

import logging
import secrets
from collections.abc import AsyncIterator
from os import environ

import msgspec
from aiohttp import web

import gateway_sms_async as sms
from gateway_sms_async.callbacks.aiohttp import callback_handler
from reference_store import ReferenceStore

logger = logging.getLogger(__name__)
routes = web.RouteTableDef()

MESSAGES = web.AppKey("MESSAGES", sms.Messages)
CAMPAIGNS = web.AppKey("CAMPAIGNS", sms.Campaigns)
REFERENCES = web.AppKey("REFERENCES", ReferenceStore)
SIGNER = web.AppKey("SIGNER", sms.CallbackSigner)
CALLBACK_URL = web.AppKey("CALLBACK_URL", str)


async def gateway_context(app: web.Application) -> AsyncIterator[None]:
    async with sms.GatewayClient(rate=50) as gateway, sms.Campaigns(gateway, "campaigns") as runs:
        # A user waits for the code: the call ends after 5 seconds, with a clear result.
        impatient = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        app[MESSAGES] = impatient.messages
        app[CAMPAIGNS] = runs
        yield


class CodeRequest(msgspec.Struct):
    """Where to send a code."""

    number: str


class CampaignRequest(msgspec.Struct):
    """A text and its recipients. Invalid numbers are counted, and do not stop the campaign."""

    numbers: list[str]
    text: str


@routes.put("/codes/{name}")
async def put_code(request: web.Request) -> web.Response:
    """Send a code. The caller chooses `name`: asking twice with one name sends once."""
    name = request.match_info["name"]
    references = request.app[REFERENCES]
    accepted = {"look": f"/sent/{name}"}
    try:
        code = msgspec.json.decode(await request.read(), type=CodeRequest)
        number = sms.normalize(code.number)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=422)
    if not await references.reserve(name):
        return web.json_response(accepted, status=202)
    try:
        await request.app[MESSAGES].send(
            sender="ACME",
            body=f"Your code is {secrets.randbelow(1_000_000):06}",
            recipients=number,
            reference=name,
        )
    except sms.OutcomeUnknownError:  # perhaps sent: never send it again
        return web.json_response(accepted, status=202)
    except sms.GatewayError as error:  # not sent: the caller may try again with a new name
        return web.json_response({"error": str(error)}, status=503)
    await references.mark_sent(name)
    return web.json_response(accepted)


@routes.put("/campaigns/{name}")
async def put_campaign(request: web.Request) -> web.Response:
    """Start a campaign in the background; when this returns, the whole list is in its journal."""
    name = request.match_info["name"]
    callback_url = request.app[SIGNER].url(request.app[CALLBACK_URL], reference=name)
    try:
        campaign = msgspec.json.decode(await request.read(), type=CampaignRequest)
        await request.app[CAMPAIGNS].start(
            name,
            campaign.numbers,
            sender="ACME",
            body=campaign.text,
            options=sms.Options(callback_url=callback_url),
        )
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=422)
    except sms.GatewayError as error:
        return web.json_response({"error": str(error)}, status=503)
    return web.json_response({"look": f"/sent/{name}"}, status=202)


@routes.get("/sent/{name}")
async def get_sent(request: web.Request) -> web.Response:
    """Look up a campaign or a code."""
    name = request.match_info["name"]
    if run := request.app[CAMPAIGNS].status(name):
        return web.json_response(run.to_dict())
    state = await request.app[REFERENCES].state(name)
    if state != "reserved":
        return web.json_response({"sent": state == "sent"})
    try:  # the answer to the send was lost, so ask the gateway
        found = await request.app[MESSAGES].find(name)
    except sms.GatewayError as error:  # not known yet
        return web.json_response({"error": str(error)}, status=503)
    return web.json_response({"sent": found is not None})


def create_app() -> web.Application:
    signer = sms.CallbackSigner(environ["CALLBACK_SECRET"])
    callback_url = environ["CALLBACK_URL"]
    signer.url(callback_url)  # raises if it cannot be one, before any campaign needs it
    callback_log = sms.CallbackLog()

    def on_callback(callback: sms.Callback) -> None:
        """Handle a callback before it is answered; what you store here survives a crash."""
        if callback_log.accept(callback):  # skips repeated and late callbacks
            logger.info("%s is in state %s", callback.reference, callback.state)

    app = web.Application(client_max_size=64 * 2**20)  # for the lists of campaigns
    app[SIGNER] = signer
    app[CALLBACK_URL] = callback_url
    app[REFERENCES] = ReferenceStore("codes.db")
    app.cleanup_ctx.append(gateway_context)
    app.add_routes(routes)
    receive = callback_handler(sms.CallbackReceiver(signer=signer, handle=on_callback))
    # With and without a slash at the end: both are addresses that may be in CALLBACK_URL.
    app.add_routes([web.post("/callbacks", receive), web.post("/callbacks/", receive)])
    return app


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    web.run_app(create_app())
