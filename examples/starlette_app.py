"""One-time codes, campaigns and callbacks: uvicorn starlette_app:app (one process, behind TLS)."""

import secrets
import sqlite3
from contextlib import asynccontextmanager
from os import environ

from starlette.applications import Starlette
from starlette.responses import JSONResponse

import gateway_sms_async as sms
from gateway_sms_async.callbacks.asgi import CallbackApp

signer, log = sms.CallbackSigner(environ["CALLBACK_SECRET"]), sms.CallbackLog()
codes = sqlite3.connect("codes.db", isolation_level=None)  # stands for your database
codes.execute("CREATE TABLE IF NOT EXISTS codes (reference TEXT PRIMARY KEY, body TEXT)")


@asynccontextmanager
async def lifespan(app):
    async with sms.GatewayClient(rate=50) as gateway, sms.Campaigns(gateway, "campaigns") as runs:
        hasty = gateway.with_options(timeout=3, retry=sms.RetryPolicy(max_elapsed=5))
        yield {"send": hasty.messages.send, "find": hasty.messages.find, "campaigns": runs}


def hear(callback):
    if log.accept(callback):  # repeats, and what comes late, are no news
        print(callback.reference, "is in state", callback.state, flush=True)  # noqa: T201


async def code(request):
    name, number = request.path_params["name"], await request.json()
    body = f"Your code is {secrets.randbelow(1_000_000):06}"
    try:
        codes.execute("INSERT INTO codes VALUES (?, ?)", (name, body))  # before it is sent
        await request.state.send(sender="ACME", body=body, recipients=number, reference=name)
    except (sms.OutcomeUnknownError, sqlite3.IntegrityError):  # perhaps sent: never send again
        return JSONResponse({"look": f"/sent/{name}"}, 202)
    except (sms.GatewayError, ValueError) as error:  # not sent: ask again with a new name
        return JSONResponse(str(error), 422 if isinstance(error, ValueError) else 503)
    return JSONResponse({"look": f"/sent/{name}"})


async def campaign(request):
    name, numbers = request.path_params["name"], await request.json()
    options = sms.Options(callback_url=signer.url(environ["CALLBACK_URL"], reference=name))
    await request.state.campaigns.start(name, numbers, sender="ACME", body="Ciao", options=options)
    return JSONResponse({"look": f"/sent/{name}"}, 202)


async def sent(request):
    run = request.state.campaigns.status(name := request.path_params["name"])
    return JSONResponse(run.to_dict() if run else {"sent": bool(await request.state.find(name))})


app = Starlette(lifespan=lifespan)
app.mount("/callbacks", CallbackApp(sms.CallbackReceiver(signer=signer, handle=hear)))
app.add_route("/codes/{name}", code, methods=["PUT"])
app.add_route("/campaigns/{name}", campaign, methods=["PUT"])
app.add_route("/sent/{name}", sent)
