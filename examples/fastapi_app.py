"""One-time codes, campaigns and callbacks: uvicorn fastapi_app:app (one process, behind TLS)."""

import secrets
import sqlite3
from contextlib import asynccontextmanager
from os import environ
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException, Request, Response

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


app = FastAPI(lifespan=lifespan)
app.mount("/callbacks", CallbackApp(sms.CallbackReceiver(signer=signer, handle=hear)))


@app.put("/codes/{name}")
async def code(request: Request, name: str, number: Annotated[str, Body()], response: Response):
    body = f"Your code is {secrets.randbelow(1_000_000):06}"
    try:
        codes.execute("INSERT INTO codes VALUES (?, ?)", (name, body))  # before it is sent
        await request.state.send(sender="ACME", body=body, recipients=number, reference=name)
    except (sms.OutcomeUnknownError, sqlite3.IntegrityError):
        response.status_code = 202  # perhaps sent, or asked before: look it up, never send again
    except (sms.GatewayError, ValueError) as error:  # not sent: ask again with a new name
        raise HTTPException(422 if isinstance(error, ValueError) else 503, str(error)) from None
    return {"look": f"/sent/{name}"}


@app.put("/campaigns/{name}", status_code=202)
async def campaign(request: Request, name: str, numbers: list[str]):
    options = sms.Options(callback_url=signer.url(environ["CALLBACK_URL"], reference=name))
    await request.state.campaigns.start(name, numbers, sender="ACME", body="Ciao", options=options)
    return {"look": f"/sent/{name}"}


@app.get("/sent/{name}")
async def sent(request: Request, name: str):
    run = request.state.campaigns.status(name)
    return run or {"sent": await request.state.find(name) is not None}
